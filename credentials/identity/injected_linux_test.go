package identity

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/credentials/requirement"
	"github.com/openxpc/openxpc/integration/soak"
)

const identifierRole = "XPC_TEST_IDENTIFIES"

// init is on the first thread, which strace follows.
func init() {
	if os.Getenv(identifierRole) == "" {
		return
	}
	if err := identifies(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// identifies is a process whose system calls fail: it identifies its own socket's peer,
// which is itself, and tells what it found out.
func identifies() error {
	runtime.LockOSThread()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	i := &Identifier{Verifier: trusting{flags: requirement.GetTaskAllow}} // strace traces it
	warm, err := i.Socket(context.Background(), fds[0])                   // what is asked once is asked
	if err != nil {
		return err
	}
	warm.Close()
	fmt.Println(unix.Gettid())
	if _, err := os.Stdin.Read(make([]byte, 1)); err != nil { // strace is there
		return err
	}
	unix.Access("/begin", 0)
	f := &requirement.Facts{Why: "not even the credentials are known"}
	if p, err := i.Socket(context.Background(), fds[0]); err == nil {
		f = p.Facts
	}
	unix.Access("/end", 0)
	return json.NewEncoder(os.Stdout).Encode(f)
}

// site is the n-th call of one name since strace has been there.
type site struct {
	call string
	n    int
	line string
}

// traced runs identifies under strace, with one call failing if errno is not "", and gives
// what it found out and the calls that it made for it.
func traced(t *testing.T, at site, errno string) (f *requirement.Facts, sites []site) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), identifierRole+"=1")
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	defer cmd.Wait()
	defer in.Close()
	lines := bufio.NewReader(out)
	tid, err := lines.ReadString('\n')
	must(t, err)
	log := filepath.Join(t.TempDir(), "log")
	args := []string{"-p", strings.TrimSpace(tid), "-o", log}
	if errno != "" {
		args = append(args, "-e", fmt.Sprintf("inject=%s:error=%s:when=%d", at.call, errno, at.n))
	}
	tracer := exec.Command("strace", args...)
	says, err := tracer.StderrPipe()
	must(t, err)
	must(t, tracer.Start())
	first, _ := bufio.NewReader(says).ReadString('\n')
	if !strings.Contains(first, "attached") {
		tracer.Wait()
		t.Skip("strace: ", first)
	}
	in.Write([]byte("x"))
	text, silent := lines.ReadString('\n')
	in.Close()
	cmd.Wait()
	tracer.Wait()
	b, err := os.ReadFile(log)
	must(t, err)
	counts, on := map[string]int{}, false
	for line := range strings.Lines(string(b)) {
		call, _, _ := strings.Cut(line, "(")
		counts[call]++
		switch {
		case strings.Contains(line, `"/begin"`):
			on = true
		case strings.Contains(line, `"/end"`):
			on = false
		case on:
			sites = append(sites, site{call, counts[call], strings.TrimSpace(line)})
		}
	}
	if silent != nil && errno != "" && !injected(sites) { // it met another call, such as the read of "x", which may be one or two
		return nil, nil
	}
	must(t, silent)
	f = &requirement.Facts{}
	must(t, json.Unmarshal([]byte(text), f))
	return f, sites
}

func injected(sites []site) bool {
	return slices.ContainsFunc(sites, func(s site) bool { return strings.Contains(s.line, "(INJECTED)") })
}

// The kernel's own answers fail, at each call: no more is known than without the
// failure, and what the identity of the code rests on takes that away.
func TestInjectedFailures(t *testing.T) {
	fd, _ := pair(t)
	needPins(t, fd)
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip(err)
	}
	whole, all := traced(t, site{}, "")
	if whole.Code == nil {
		t.Skipf("under strace nothing is known: %s", whole.Why)
	}
	asks := []string{"getsockopt", "fcntl", "ioctl", "open", "openat", "pidfd_open", "pidfd_send_signal", "poll", "ppoll", "statx", "newfstatat", "fstatat64", "fstat", "fstatfs", "read", "pread64", "getdents64"}
	all = slices.DeleteFunc(all, func(s site) bool { return !slices.Contains(asks, s.call) })
	essential := []string{"SO_PEERPIDFD", "SOL_SOCKET, 0x4d ", `"ns/user"`, `"pagemap"`, `"exe", O`, `"environ"`, `"status"`, "pidfd_send_signal"}
	errnos := []string{"EIO", "EINTR", "EMFILE", "ENOENT", "ESRCH", "EACCES", "ENOMEM"}
	hit, failed := 0, map[string]bool{}
	every := rand.Perm(len(all) * len(errnos))
	for _, n := range every[:min(len(every), soak.Times(6, len(every)))] {
		at, errno := all[n/len(errnos)], errnos[n%len(errnos)]
		f, sites := traced(t, at, errno)
		if !injected(sites) {
			continue
		}
		hit++
		where := fmt.Sprintf("%s %s (%s)", errno, at.call, at.line)
		known := f.Code != nil || f.Assurance > requirement.CredentialsOnly
		for _, part := range essential {
			if !strings.Contains(at.line, part) {
				continue
			}
			failed[part] = true
			if known && errno != "EINTR" { // which is tried again
				t.Errorf("%s: the code is %v at level %v", where, f.Code, f.Assurance)
			}
		}
		if f.Assurance > whole.Assurance || !known && f.Why == "" {
			t.Errorf("%s: level %v, because of %q", where, f.Assurance, f.Why)
		}
		for name, got := range map[string][2]string{
			"cgroup": {f.Cgroup, whole.Cgroup}, "unit": {f.Unit, whole.Unit}, "label": {f.Label, whole.Label}, "container": {f.Container, whole.Container},
		} {
			if got[0] != got[1] && got[0] != "" {
				t.Errorf("%s: %s is %q instead of %q", where, name, got[0], got[1])
			}
		}
	}
	t.Logf("%d failures at %d calls, of these essential: %v", hit, len(all), failed)
	if hit == 0 {
		t.Error("no call failed: this test tests nothing")
	}
}
