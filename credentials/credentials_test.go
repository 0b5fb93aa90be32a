package credentials

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// pair is a connected pair of sockets; both ends carry this process.
func pair(t *testing.T) (int, int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	unix.CloseOnExec(fds[0])
	unix.CloseOnExec(fds[1])
	t.Cleanup(func() { unix.Close(fds[0]); unix.Close(fds[1]) })
	return fds[0], fds[1]
}

func TestUnknownIsNotRoot(t *testing.T) {
	if got, want := Unknown(), (Credentials{PID: 0, UID: -1, GID: -1}); got != want {
		t.Errorf("Unknown() = %+v, want %+v: R195 shows pid 0, uid and gid -1", got, want)
	}
	if Unknown() == (Credentials{}) {
		t.Error("Unknown() equals the zero value, which reads as root")
	}
}

func TestString(t *testing.T) {
	for _, c := range []struct {
		in   Credentials
		want string
	}{
		{Credentials{PID: 12, UID: 1000, GID: 100}, "pid 12 uid 1000 gid 100"},
		{Credentials{}, "pid unknown uid 0 gid 0"},
		{Unknown(), "pid unknown uid unknown gid unknown"},
	} {
		if got := c.in.String(); got != c.want {
			t.Errorf("%#v.String() = %q, want %q", c.in, got, c.want)
		}
	}
}

func TestIDKeepsAllBitsApart(t *testing.T) {
	if got := id(^uint32(0)); got != -1 {
		t.Errorf("id(all bits) = %d, want -1: that is the kernel's nobody", got)
	}
	if got := id(0); got != 0 {
		t.Errorf("id(0) = %d, want 0", got)
	}
	if got := id(^uint32(0) - 1); got == -1 {
		t.Error("id(4294967294) = -1: a real id must not look unknown")
	}
}

func TestFromSocketOfAPair(t *testing.T) {
	a, _ := pair(t)
	got, err := FromSocket(a)
	if err != nil {
		t.Fatal(err)
	}
	if got.UID != os.Geteuid() || got.GID != os.Getegid() {
		t.Errorf("FromSocket = %v, want the ids of this process, which made the pair", got)
	}
	if got.PID != 0 && got.PID != os.Getpid() {
		t.Errorf("FromSocket pid = %d, want %d (or 0 where the kernel has none)", got.PID, os.Getpid())
	}
}

// Each failure must give Unknown: an error that leaves uid 0 behind has made
// root of strangers before (polkit's CVE-2021-3560).
func TestFromSocketFailsClosed(t *testing.T) {
	lonely, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(lonely)
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for _, c := range []struct {
		name string
		fd   int
		want error
	}{
		{"a socket without a peer", lonely, ErrNotConnected},
		{"no socket at all", int(null.Fd()), unix.ENOTSOCK},
		{"no descriptor at all", -1, unix.EBADF},
	} {
		got, err := FromSocket(c.fd)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: error %v, want %v", c.name, err, c.want)
		}
		if got != Unknown() {
			t.Errorf("%s: %+v, want Unknown()", c.name, got)
		}
	}
}

func TestProcessPidfdIsTheProcess(t *testing.T) {
	fd, err := ProcessPidfd(os.Getpid())
	if errors.Is(err, ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	os.NewFile(uintptr(fd), "").Close()
	if _, err := ProcessPidfd(-1); err == nil {
		t.Error("a handle of process -1")
	}
}
