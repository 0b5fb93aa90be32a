package main

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// traced is what one process asked of the kernel while calls were made.
type traced struct {
	PerCall float64            `json:"per_call"`
	Calls   map[string]float64 `json:"calls"` // by name, per call; rare ones are left out
}

func (t traced) String() string {
	var names []string
	for name := range t.Calls {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return strings.Compare(fmt.Sprintf("%08.3f%s", 99-t.Calls[a], a), fmt.Sprintf("%08.3f%s", 99-t.Calls[b], b))
	})
	var parts []string
	for _, name := range names {
		parts = append(parts, fmt.Sprintf("%s %.2f", name, t.Calls[name]))
	}
	return fmt.Sprintf("%.2f (%s)", t.PerCall, strings.Join(parts, ", "))
}

// moving is the part that moves bytes. What is left is waiting, most of it the Go
// runtime's: while strace makes a system call take longer than 20 µs, the runtime
// takes the thread for blocked and starts another.
func (t traced) moving() (sum float64) {
	for name, n := range t.Calls {
		if moves(name) {
			sum += n
		}
	}
	return sum
}

func moves(name string) bool {
	switch strings.TrimRight(name, "0123456789") {
	case "read", "write", "readv", "writev", "pread", "pwrite", "recvfrom", "recvmsg", "sendto", "sendmsg", "recvmmsg", "sendmmsg":
		return true
	}
	return false
}

// tracer is an strace that counts.
type tracer struct {
	cmd *exec.Cmd
	err io.ReadCloser
}

// attach returns when strace has hold of all threads of the process.
func attach(pid int) (*tracer, error) {
	if _, err := exec.LookPath("strace"); err != nil {
		return nil, skip("strace is not installed")
	}
	t := &tracer{cmd: exec.Command("strace", "-c", "-f", "-p", strconv.Itoa(pid))}
	var err error
	if t.err, err = t.cmd.StderrPipe(); err != nil {
		return nil, err
	}
	if err := t.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReaderSize(t.err, 16).ReadString('\n')
	if err != nil || !strings.Contains(line, "attached") {
		t.cmd.Process.Kill()
		t.cmd.Wait()
		return nil, skip("strace cannot attach to a process here: %s", strings.TrimSpace(line))
	}
	return t, nil
}

// detach returns how often the process made which system call.
func (t *tracer) detach() (map[string]int, error) {
	if err := t.cmd.Process.Signal(syscall.SIGINT); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(t.err)
	if err != nil {
		return nil, err
	}
	t.cmd.Wait() // ended by the signal
	return parseTrace(string(text)), nil
}

// inVain marks calls that failed: a reader looked for bytes that had not come yet.
const inVain = " in vain"

// parseTrace reads strace's summary: lines that begin with a number, whose
// fourth field is the count, whose last is the name, and which may have the number
// of those that failed in between.
func parseTrace(text string) map[string]int {
	counts := map[string]int{}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 5 || f[len(f)-1] == "total" {
			continue
		}
		if _, err := strconv.ParseFloat(f[0], 64); err != nil {
			continue
		}
		n, err := strconv.Atoi(f[3])
		if err != nil {
			continue
		}
		name := f[len(f)-1]
		if failed, err := strconv.Atoi(f[4]); err == nil && len(f) == 6 && moves(name) {
			counts[name+inVain] += failed
			n -= failed
		}
		counts[name] += n
	}
	return counts
}

// perCall leaves out what happened less than once in 50 calls.
func perCall(counts map[string]int, calls int) traced {
	t := traced{Calls: map[string]float64{}}
	for name, n := range counts {
		each := float64(n) / float64(calls)
		t.PerCall += each
		if each >= 0.02 {
			t.Calls[name] = each
		}
	}
	return t
}

// trace counts the system calls of a client and its server during round trips.
// Tracing slows them down, which makes readers wait longer than they would.
func (r *running) trace(ms int) (client, server traced, err error) {
	pid, err := r.serverPID()
	if err != nil {
		return client, server, err
	}
	cmd := command{"rtt", 64, 1, ms}
	if _, err := r.ask(command{"rtt", 64, 1, 1}); err != nil {
		return client, server, err
	}
	ct, err := attach(r.client.pid())
	if err != nil {
		return client, server, err
	}
	st, err := attach(pid)
	if err != nil {
		ct.detach()
		return client, server, err
	}
	o, askErr := r.ask(cmd)
	c, cerr := ct.detach()
	s, serr := st.detach()
	for _, err := range []error{askErr, cerr, serr} {
		if err != nil {
			return client, server, err
		}
	}
	return perCall(c, o.Calls), perCall(s, o.Calls), nil
}
