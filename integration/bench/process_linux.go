package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// dieWithParent has the kernel end a child with the thread that started it,
// which is the process's first one: see main.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

// processTime reads another process's clock of processor time, which counts
// threads that have ended too (clock_getcpuclockid(3)).
func processTime(pid int) (int64, error) {
	const scheduler = 2
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|scheduler), &t); err != nil {
		return 0, fmt.Errorf("bench: processor time of %d: %w", pid, err)
	}
	return t.Nano(), nil
}

// sleeps is how often the process's present threads have given the processor up
// to wait.
func sleeps(pid int) (total int, err error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil {
		return 0, err
	}
	for _, task := range tasks {
		b, err := os.ReadFile(task)
		if err != nil {
			continue // this thread has just ended
		}
		_, rest, _ := strings.Cut(string(b), "\nvoluntary_ctxt_switches:")
		count, _, _ := strings.Cut(strings.TrimSpace(rest), "\n")
		n, err := strconv.Atoi(count)
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

// footprint is a process's resident memory in bytes that it shares with nobody,
// and its threads.
func footprint(pid int) (resident, threads int, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		switch {
		case len(f) < 2:
		case f[0] == "RssAnon:":
			resident, err = strconv.Atoi(f[1])
			resident <<= 10
		case f[0] == "Threads:":
			threads, err = strconv.Atoi(f[1])
		}
		if err != nil {
			return 0, 0, err
		}
	}
	return resident, threads, nil
}

// machine describes processor and kernel.
func machine() string {
	var u unix.Utsname
	unix.Uname(&u) // cannot fail with a good pointer
	text := "Linux " + string(bytes.TrimRight(u.Release[:], "\x00"))
	b, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value) + ", " + text
		}
	}
	return text
}
