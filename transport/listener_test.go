package transport

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// inChild runs the calling test again in a process of its own, for tests that
// change what belongs to the process. It reports whether this is the child.
func inChild(t *testing.T, extra ...*os.File) (child bool) {
	t.Helper()
	if os.Getenv("TRANSPORT_TEST_CHILD") == t.Name() {
		return true
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), "TRANSPORT_TEST_CHILD="+t.Name())
	cmd.ExtraFiles = extra
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("in a process of its own: %v\n%s", err, out)
	}
	return false
}

// leaveRoomFor lowers the limit of descriptors so that n more can be opened.
func leaveRoomFor(t *testing.T, n int) {
	t.Helper()
	fd, err := unix.Dup(0)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	assign(&limit.Cur, fd+n)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
}

// assign: the field is signed on some systems.
func assign[T int64 | uint64](field *T, n int) { *field = T(n) }

func listenAt(t *testing.T, path string) *Listener {
	t.Helper()
	fd, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	l, err := NewListener(fd, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// accepting starts l and passes each client on.
func accepting(t *testing.T, l *Listener) chan *Conn {
	t.Helper()
	conns := make(chan *Conn, 1000)
	if err := l.Start(func(c *Conn) { conns <- c }); err != nil {
		t.Fatal(err)
	}
	return conns
}

func TestListenerAccepts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l := listenAt(t, path)
	defer l.Close()
	conns := accepting(t, l)
	const clients = 3 * acceptBatch
	for range clients {
		c, err := Dial(path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	for range clients {
		c := <-conns
		if who, err := c.Peer(); err != nil || who.PID != os.Getpid() {
			t.Errorf("the client is %v, %v; want this process", who, err)
		}
		c.Close()
	}
}

// Who waited already when the listener began to accept may have connected at any time; who
// comes when nobody waited connected after that.
func TestListenerEmpty(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l := listenAt(t, path)
	defer l.Close()
	l.NoteEmpty()
	dial := func() {
		c, err := Dial(path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
	}
	dial()
	dial()
	empty := make(chan time.Time, 10)
	if err := l.Start(func(c *Conn) { c.Close(); empty <- l.Empty() }); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if at := <-empty; !at.IsZero() {
			t.Errorf("somebody has waited since the beginning, and nobody did at %v", at)
		}
	}
	eventually(t, "the listener has caught up", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return !l.busy
	})
	before := time.Now()
	dial()
	if at := <-empty; at.IsZero() || at.After(before) {
		t.Errorf("nobody waited at %v; want a time before the client came, at %v", at, before)
	}
}

func TestListenerAfterClose(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l := listenAt(t, path)
	l.Close()
	l.Close()
	if err := l.Restamp(); err != os.ErrClosed {
		t.Errorf("Restamp: %v, want os.ErrClosed: the number may be another socket's by now", err)
	}
	if err := l.Start(func(*Conn) {}); err != os.ErrClosed {
		t.Errorf("Start: %v, want os.ErrClosed", err)
	}
	if _, err := l.File(); err != os.ErrClosed {
		t.Errorf("File: %v, want os.ErrClosed", err)
	}
}

// TestListenerCloseWhileAccepting: clients and Close come at the same time;
// every client is either accepted or told that nobody is there.
func TestListenerCloseWhileAccepting(t *testing.T) {
	for range 20 {
		path := filepath.Join(t.TempDir(), "s")
		l := listenAt(t, path)
		conns := accepting(t, l)
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for range 20 {
					c, err := Dial(path, Options{})
					if err == nil {
						c.Close()
					} else if !errors.Is(err, ErrRefused) && !errors.Is(err, unix.ECONNRESET) {
						t.Errorf("Dial: %v", err)
					}
				}
			})
		}
		(<-conns).Close()
		l.Close()
		all.Wait()
		eventually(t, "the listener is idle", func() bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			return !l.busy
		})
		for len(conns) > 0 {
			(<-conns).Close()
		}
	}
}

// TestListenerWithoutDescriptors: while none are left it waits on a timer, for
// the socket stays readable; when there is room again the client is served.
func TestListenerWithoutDescriptors(t *testing.T) {
	if !inChild(t) {
		return
	}
	path := filepath.Join(t.TempDir(), "s")
	l := listenAt(t, path)
	defer l.Close()
	fd, err := newSocket()
	if err != nil {
		t.Fatal(err)
	}
	var filler []int
	leaveRoomFor(t, 20)
	for {
		n, err := unix.Dup(0)
		if err != nil {
			break
		}
		filler = append(filler, n)
	}
	// The poller needs descriptors too, and had them when the daemon began.
	for range 4 {
		unix.Close(filler[0])
		filler = filler[1:]
	}
	conns := accepting(t, l)
	for {
		n, err := unix.Dup(0)
		if err != nil {
			break
		}
		filler = append(filler, n)
	}
	if err := connect(fd, path, 0); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	eventually(t, "the failure leads to a timer and not to the poller", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.timer != nil && !l.busy
	})
	if len(conns) != 0 {
		t.Error("a client was accepted without a descriptor")
	}
	for _, n := range filler {
		unix.Close(n)
	}
	(<-conns).Close()
}

// TestListenerShutDown: another holder of the socket may shut it down for good;
// it is then readable for ever, and must not be watched without a pause.
func TestListenerShutDown(t *testing.T) {
	linuxOnly(t)
	l := listenAt(t, filepath.Join(t.TempDir(), "s"))
	defer l.Close()
	accepting(t, l)
	if err := unix.Shutdown(l.fd, unix.SHUT_RDWR); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the failure leads to a timer", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.timer != nil && !l.busy
	})
}

// TestRestamp: clients that connect after Restamp see the process that called it.
func TestRestamp(t *testing.T) {
	const handed = 3 // the first of ExtraFiles
	if os.Getenv("TRANSPORT_TEST_CHILD") == t.Name() {
		l, err := NewListener(handed, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Restamp(); err != nil {
			t.Fatal(err)
		}
		os.Stdout.WriteString("R")
		io.Copy(io.Discard, os.Stdin)
		l.Close()
		return
	}
	path := filepath.Join(t.TempDir(), "s")
	l := listenAt(t, path)
	defer l.Close()
	if pid := pidAt(t, path); pid != os.Getpid() {
		t.Errorf("before Restamp clients see process %d, want this one", pid)
	}
	file, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cmd := exec.Command(os.Args[0], "-test.run=^TestRestamp$")
	cmd.Env = append(os.Environ(), "TRANSPORT_TEST_CHILD=TestRestamp")
	cmd.ExtraFiles = []*os.File{file}
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if pid := pidAt(t, path); pid != cmd.Process.Pid {
		t.Errorf("after Restamp clients see process %d, want the one that called it, %d", pid, cmd.Process.Pid)
	}
	in.Close()
	io.Copy(io.Discard, out)
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func pidAt(t *testing.T, path string) int {
	t.Helper()
	c, err := Dial(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	who, err := c.Peer()
	if err != nil {
		t.Fatal(err)
	}
	return who.PID
}

// Whoever got through to a listener that retires is accepted; the others are refused,
// and so can look for its successor. Without the one or the other a client is lost.
func TestListenerRetires(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere a listening socket cannot be shut down")
	}
	for range 50 {
		path := filepath.Join(t.TempDir(), "s")
		l := listenAt(t, path)
		accepted := make(chan *Conn)
		if err := l.Start(func(c *Conn) { accepted <- c }); err != nil {
			t.Fatal(err)
		}
		dialed := make(chan *Conn)
		var clients sync.WaitGroup
		for range 4 {
			clients.Go(func() {
				for {
					c, err := Dial(path, Options{})
					if err != nil {
						if !errors.Is(err, unix.ECONNREFUSED) {
							t.Errorf("a client was turned away with %v", err)
						}
						return
					}
					dialed <- c
				}
			})
		}
		over := make(chan struct{})
		go func() {
			clients.Wait()
			close(over)
		}()
		lacking, retired := 0, false
		for open := true; open || lacking > 0; {
			select {
			case c := <-dialed:
				lacking++
				c.Close()
			case c := <-accepted:
				lacking--
				c.Close()
			case <-over:
				open, over = false, nil
			}
			if !retired {
				retired = true
				l.Retire()
			}
		}
		l.Close()
	}
}

// first tells the first frame, and the stack on which it came.
type first struct {
	frame chan Frame
	stack []byte
}

func (f *first) Receive(got *Frame, _ bool) Outcome {
	if f.stack == nil {
		f.stack = make([]byte, 8<<10)
		f.stack = f.stack[:runtime.Stack(f.stack, false)]
		f.frame <- *got
	}
	return 0
}

func (f *first) Work()        {}
func (f *first) Closed(error) {}

// The socket of a service is made by whoever launches it, and its client has sent
// already when it listens.
func TestFirstClientOfASocketThatOthersMade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	fd, err := newSocket()
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 8); err != nil {
		t.Fatal(err)
	}
	c, err := Dial(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Append(&Frame{ID: 7})
	c.Flush()
	l, err := NewListener(fd, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f := &first{frame: make(chan Frame, 1)}
	var accepted *Conn
	if err := l.Start(func(c *Conn) { accepted = c; c.Start(f) }); err != nil {
		t.Fatal(err)
	}
	got := <-f.frame
	defer func() { accepted.Close() }()
	if runtime.GOOS == "linux" && int(got.Sender.PID) != os.Getpid() {
		t.Errorf("the first frame's sender has pid %d, want %d: nobody had asked the kernel before it was sent", got.Sender.PID, os.Getpid())
	}
	if !strings.Contains(string(f.stack), "acceptAlone") {
		t.Errorf("the first client is read by another goroutine than it was accepted by:\n%s", f.stack)
	}
}
