package credentials

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func mustPin(t *testing.T, fd int) *Pin {
	t.Helper()
	p, err := PinPeer(fd)
	if errors.Is(err, ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func TestPinPeer(t *testing.T) {
	a, b := pair(t)
	p, q := mustPin(t, a), mustPin(t, b)
	if err := p.Check(); err != nil {
		t.Errorf("Check: %v; this process has executed nothing", err)
	}
	if p.PID() != os.Getpid() {
		t.Errorf("PID = %d, want this process %d, which made the pair", p.PID(), os.Getpid())
	}
	if p.Key() != q.Key() {
		t.Errorf("keys %d and %d of one process", p.Key(), q.Key())
	}
	if egid, sgid, err := p.Groups(); err == nil && (egid != os.Getegid() || sgid != os.Getegid()) || err != nil && !errors.Is(err, ErrUnsupported) {
		t.Errorf("Groups = %d, %d, %v; want this process's, %d", egid, sgid, err, os.Getegid())
	}
	pidfd, err := PeerPidfd(a)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pidfd)
	if r, err := PinProcess(pidfd); err != nil || r.Key() != p.Key() || r.Check() != nil {
		t.Errorf("PinProcess: %v; want the same process", err)
	} else {
		r.Close()
	}
	var st unix.Stat_t
	if err := unix.Fstatat(p.Directory(), "fd", &st, 0); err != nil {
		t.Errorf("the process's folder: %v", err)
	}
}

// What fails must be an error and leave nothing open: the descriptors are counted
// after the tests. There is no step that may be left out.
func TestPinFailsClosed(t *testing.T) {
	a, _ := pair(t)
	mustPin(t, a)
	var steps []string
	p, err := (&pinner{before: func(s string) error { steps = append(steps, s); return nil }}).peer(a)
	if err != nil {
		t.Fatal(err)
	}
	p.close()
	if len(steps) < 6 {
		t.Fatalf("steps %q: each call of the chain is one", steps)
	}
	for _, at := range steps {
		for _, errno := range []unix.Errno{unix.EINTR, unix.EMFILE, unix.ENOENT, unix.ESRCH, unix.EACCES, unix.ENOMEM, unix.EIO} {
			p, err := (&pinner{before: func(s string) error {
				if s == at {
					return errno
				}
				return nil
			}}).peer(a)
			if err == nil || p != (pin{}) {
				t.Errorf("%s fails with %v: %+v, %v; want no pin and an error", at, errno, p, err)
			}
		}
	}
	for name, fd := range map[string]int{"no descriptor": -1, "no socket, and no process": int(os.Stderr.Fd())} {
		if p, err := PinPeer(fd); err == nil || p != nil {
			t.Errorf("%s: %v, %v", name, p, err)
		}
		if p, err := PinProcess(fd); err == nil || p != nil {
			t.Errorf("%s: %v, %v", name, p, err)
		}
	}
}

// The process stays the same, its id and its image's file too, but not what runs.
func TestPinSeesExec(t *testing.T) {
	t.Setenv(nextRole, "idle")
	cmd, conn := visit(t, "exec")
	t.Cleanup(func() { cmd.Process.Kill() })
	var p *Pin
	onFD(t, conn, func(fd int) { p = mustPin(t, fd) })
	receive(t, conn)
	if err := p.Check(); err != nil {
		t.Fatalf("before exec: %v", err)
	}
	if p.run != nil && !p.run.Lasts() || p.compare() != nil {
		t.Errorf("before exec: a thread says %v, memory and image %v", p.run.Lasts(), p.compare())
	}
	conn.Write([]byte("x"))
	io.Copy(io.Discard, conn) // ends when exec has closed the child's socket
	if err := p.Check(); err == nil {
		t.Error("the child has executed a program, and the pin holds")
	}
	// Each says so by itself, but for the image: it is the same file.
	if p.run.Lasts() {
		t.Error("a thread of the child has outlived the exec")
	}
	if err := inUse(p.memory); err == nil {
		t.Error("the child's memory from before the exec is in use")
	}
	if exe, err := statAt(p.dir, "exe"); err != nil || exe != p.exe {
		t.Errorf("the image is %v, %v; it was %v, and this test is to execute the same", exe, err, p.exe)
	}
	if err := unix.Kill(cmd.Process.Pid, 0); err != nil {
		t.Fatalf("the child is to live on as another program: %v", err)
	}
}

func TestPinOfOneThatEnded(t *testing.T) {
	cmd, conn := visit(t, "plain")
	onFD(t, conn, func(fd int) {
		p := mustPin(t, fd)
		conn.Write([]byte("x"))
		cmd.Wait()
		if err := p.Check(); err == nil {
			t.Error("the child has ended, and its pin holds")
		}
		if p, err := PinPeer(fd); err == nil {
			p.Close()
			t.Error("a process that was reaped was pinned")
		}
	})
}

// A thread can end by itself, and a program have none but the first: then memory and
// image tell.
func TestPinWithoutAThread(t *testing.T) {
	a, _ := pair(t)
	p := mustPin(t, a)
	if p.run == nil {
		t.Skip("this kernel has no handles of threads that can be asked whose they are")
	}
	p.run.Close()
	p.run = &Execution{endedThread(t)}
	if p.run.Lasts() {
		t.Error("the thread has ended, and lasts")
	}
	if err := p.Check(); err != nil {
		t.Errorf("%v; nothing was executed, only a thread ended", err)
	}
	cmd := exec.Command("cat")
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Skip("no program with one thread: ", err)
	}
	defer cmd.Wait()
	defer in.Close()
	fd, err := ProcessPidfd(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if e, err := ExecutionOf(fd); !errors.Is(err, ErrUnsupported) {
		t.Errorf("%v, %v of a process that has one thread", e, err)
	}
	q, err := PinProcess(fd)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	if err := q.Check(); err != nil || q.run != nil {
		t.Errorf("%v, with a thread %v; it lives, and has executed nothing else", err, q.run)
	}
}

// endedThread is a handle of a thread of this process that has ended.
func endedThread(t *testing.T) int {
	t.Helper()
	threads, end := make(chan int), make(chan bool)
	for range 2 { // one may be the first, which does not end with its goroutine
		go func() {
			runtime.LockOSThread() // and never unlocked: the thread ends
			threads <- unix.Gettid()
			<-end
		}()
	}
	tid, other := <-threads, <-threads
	if tid == os.Getpid() {
		tid = other
	}
	fd, err := unix.PidfdOpen(tid, pidfdThread)
	if err != nil {
		t.Fatal(err)
	}
	e := &Execution{fd}
	if !e.Lasts() {
		t.Error("the thread waits, and does not last")
	}
	close(end)
	if _, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 30_000); err != nil && err != unix.EINTR {
		t.Fatal(err)
	}
	return fd
}

// To take hold of what a process executes takes no right, but it must be that process's.
func TestExecutionOf(t *testing.T) {
	t.Setenv(nextRole, "idle")
	cmd, conn := visit(t, "exec")
	t.Cleanup(func() { cmd.Process.Kill() })
	fd, err := ProcessPidfd(cmd.Process.Pid)
	if err != nil {
		t.Skip(err)
	}
	defer unix.Close(fd)
	e, err := ExecutionOf(fd)
	if errors.Is(err, ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	receive(t, conn)
	if !e.Lasts() {
		t.Error("the child has executed nothing yet")
	}
	conn.Write([]byte("x"))
	io.Copy(io.Discard, conn)
	if e.Lasts() {
		t.Error("the child has executed a program")
	}
	dir, err := unix.Open("/proc/self", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(dir)
	if e, err := executionIn(dir, cmd.Process.Pid); err == nil {
		e.Close()
		t.Error("a thread of this process passed for the child's")
	}
	cmd.Process.Kill()
	cmd.Wait()
	if e, err := ExecutionOf(fd); !errors.Is(err, unix.ESRCH) {
		t.Errorf("%v, %v of a process that was reaped", e, err)
	}
	if (*Execution)(nil).Lasts() {
		t.Error("nothing lasts")
	}
}

// Who may not look into a process learns nothing about it.
func TestPinNeedsTheRight(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to have a child that is somebody else")
	}
	dir, err := os.MkdirTemp("", "pin")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	os.Chmod(dir, 0o755)
	program := filepath.Join(dir, "program")
	b, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, b, 0o755); err != nil {
		t.Fatal(err)
	}
	a, other := pair(t)
	f := os.NewFile(uintptr(dup(t, other)), "pair")
	defer f.Close()
	mustPin(t, a)
	cmd := exec.Command(program)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), childRole+"=look")
	cmd.ExtraFiles = []*os.File{f}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential(childUID)}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

func dup(t *testing.T, fd int) int {
	t.Helper()
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func BenchmarkPinPeer(b *testing.B) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	for b.Loop() {
		p, err := PinPeer(fds[0])
		if err != nil {
			b.Skip(err)
		}
		p.Close()
	}
}

// What each message costs once its connection is pinned.
func BenchmarkPinCheck(b *testing.B) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	p, err := PinPeer(fds[0])
	if err != nil {
		b.Skip(err)
	}
	defer p.Close()
	for b.Loop() {
		if err := p.Check(); err != nil {
			b.Fatal(err)
		}
	}
}
