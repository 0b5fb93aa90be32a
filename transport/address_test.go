package transport

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func linuxOnly(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has descriptors that stand for a path")
	}
}

func TestDialLongPath(t *testing.T) {
	linuxOnly(t)
	dir := filepath.Join(t.TempDir(), strings.Repeat("d", 120), strings.Repeat("e", 120))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	l := listenAt(t, path)
	defer l.Close()
	if pid := pidAt(t, path); pid != os.Getpid() {
		t.Errorf("the service is process %d, want this one", pid)
	}
	long := filepath.Join(dir, strings.Repeat("n", 100))
	if _, err := Dial(long, Options{}); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("Dial: %v, want an error that says what is too long", err)
	}
}

func TestDialNobody(t *testing.T) {
	dir := t.TempDir()
	dead := filepath.Join(dir, "dead")
	fd, err := Listen(dead)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
	for _, path := range []string{
		dead,
		filepath.Join(dir, "absent"),
		filepath.Join(dir, strings.Repeat("no-such-folder", 10), "s"),
	} {
		_, err := Dial(path, Options{})
		if runtime.GOOS == "linux" && !errors.Is(err, ErrRefused) {
			t.Errorf("Dial: %v, want ErrRefused: nobody listens there", err)
		}
		if err == nil || !strings.HasPrefix(err.Error(), "transport: dial "+path) {
			t.Errorf("Dial: %v, want an error that names the place", err)
		}
	}
}

func TestListenIsPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	fd, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if m := st.Mode().Perm(); m != 0o600 {
		t.Errorf("the socket has mode %o, want 600", m)
	}
	if _, err := Listen(path); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("Listen where there is a file: %v, want EADDRINUSE", err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("a failed Listen must leave what was there: %v", err)
	}
}

func TestDialFullQueue(t *testing.T) {
	linuxOnly(t)
	path := filepath.Join(t.TempDir(), "s")
	fd, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Listen(fd, 1); err != nil {
		t.Fatal(err)
	}
	var clients []int
	for {
		c, err := newSocket()
		if err != nil {
			t.Fatal(err)
		}
		clients = append(clients, c)
		if err := connect(c, path, 0); err != nil {
			if !errors.Is(err, unix.EAGAIN) || !strings.Contains(err.Error(), "queue was full") {
				t.Errorf("connect: %v, want an error that names the full queue", err)
			}
			break
		}
	}
	dialled := make(chan error)
	go func() {
		c, err := Dial(path, Options{})
		if err == nil {
			c.Close()
		}
		dialled <- err
	}()
	n, err := acceptCloexec(fd)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-dialled; err != nil {
		t.Errorf("Dial: %v: it must wait for a place in the queue", err)
	}
	for _, c := range append(clients, n) {
		unix.Close(c)
	}
}

func TestDialDescriptor(t *testing.T) {
	linuxOnly(t)
	path := filepath.Join(t.TempDir(), "s")
	l := listenAt(t, path)
	d, err := OpenEndpoint(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	c, err := DialDescriptor(d, Options{})
	if err != nil {
		t.Fatalf("the descriptor must outlive the file: %v", err)
	}
	c.Close()
	l.Close()
	if _, err := DialDescriptor(d, Options{}); !errors.Is(err, ErrRefused) {
		t.Errorf("after the listener is gone: %v, want ErrRefused", err)
	}
	d.Close()
	if _, err := DialDescriptor(d, Options{}); err != ErrDescriptorClosed {
		t.Errorf("with a closed descriptor: %v, want ErrDescriptorClosed", err)
	}
}
