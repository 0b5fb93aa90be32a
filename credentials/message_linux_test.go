package credentials

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// The tests' second process is the test binary itself, told by this variable
// what to be: "plain", "effective" for a process whose effective ids differ, or
// "member" for one with many groups.
const (
	childRole    = "CREDENTIALS_TEST_CHILD"
	childUID     = 1234
	childGID     = 4242
	childCommand = "done"
	nextRole     = "CREDENTIALS_TEST_NEXT" // what an "exec" child becomes
)

// childGroups are more than fit into the first guess of their number.
func childGroups() []int {
	all := make([]int, 100)
	for i := range all {
		all[i] = 5000 + i
	}
	return all
}

// child dials the socket named in its argument, tells who it is in a message,
// and stays until the other side closes.
func child(role string) int {
	runtime.LockOSThread() // only this thread becomes somebody else
	if role == "effective" && (unix.Setresgid(-1, childGID, -1) != nil || unix.Setresuid(-1, childUID, -1) != nil) {
		return 3
	}
	switch role {
	case "idle":
		unix.Pause() // until it is killed
		return 0
	case "look":
		if p, err := PinPeer(3); !errors.Is(err, unix.EACCES) && !errors.Is(err, unix.EPERM) {
			fmt.Fprintf(os.Stderr, "root's process was pinned by user %d: %v, %v\n", os.Geteuid(), p, err)
			return 2
		}
		return 0
	}
	if role == "member" && unix.Setgroups(childGroups()) != nil {
		return 3
	}
	conn, err := net.Dial("unix", os.Args[1])
	if err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		return 4
	}
	defer conn.Close()
	if _, _, err := conn.(*net.UnixConn).WriteMsgUnix([]byte(childCommand), AppendCredentials(nil), nil); err != nil {
		return 5
	}
	conn.Read(make([]byte, 1))
	if role == "exec" {
		os.Setenv(childRole, os.Getenv(nextRole))
		fmt.Fprintln(os.Stderr, syscall.Exec(os.Args[0], os.Args, os.Environ()))
		return 6
	}
	return 0
}

func credential(uid uint32) *syscall.Credential { return &syscall.Credential{Uid: uid, Gid: uid} }

// visit starts a child and returns its process and the accepted socket.
func visit(t *testing.T, role string) (*exec.Cmd, *net.UnixConn) {
	t.Helper()
	dir, err := os.MkdirTemp("", "cred")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	// The child may have become somebody else before it dials.
	if err := errors.Join(os.Chmod(dir, 0o755), os.Chmod(path, 0o777)); err != nil {
		t.Fatal(err)
	}
	onFD(t, l, func(fd int) {
		if err := EnableReceive(fd); err != nil {
			t.Fatal(err)
		}
	})
	cmd := exec.Command(os.Args[0], path)
	cmd.Env = append(os.Environ(), childRole+"="+role)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	conn, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); cmd.Wait() })
	return cmd, conn
}

func onFD(t *testing.T, c interface {
	SyscallConn() (syscall.RawConn, error)
}, f func(fd int),
) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) { f(int(fd)) }); err != nil {
		t.Fatal(err)
	}
}

// receive reads the child's message with the credentials that came with it.
func receive(t *testing.T, conn *net.UnixConn) Credentials {
	t.Helper()
	b, oob := make([]byte, 16), make([]byte, 2*ControlSpace())
	n, oobn, flags, _, err := conn.ReadMsgUnix(b, oob)
	if err != nil || string(b[:n]) != childCommand || flags&unix.MSG_CTRUNC != 0 {
		t.Fatalf("message %q, flags %#x, error %v; want %q whole", b[:n], flags, err, childCommand)
	}
	h, data, rest, err := unix.ParseOneSocketControlMessage(oob[:oobn])
	if err != nil || len(rest) != 0 {
		t.Fatalf("control message: %v, %d bytes left over; want exactly one", err, len(rest))
	}
	c, ok := ParseCredentials(h, data)
	if !ok {
		t.Fatalf("no credentials in control message level %d type %d", h.Level, h.Type)
	}
	return c
}

func TestOtherProcess(t *testing.T) {
	cmd, conn := visit(t, "plain")
	want := Credentials{PID: cmd.Process.Pid, UID: os.Geteuid(), GID: os.Getegid()}
	onFD(t, conn, func(fd int) {
		got, err := FromSocket(fd)
		got.Groups = GroupSet{} // TestGroups is about those
		if err != nil || got != want {
			t.Errorf("FromSocket = %v, %v; want the child %v, which connected", got, err, want)
		}
	})
	if got := receive(t, conn); got != want {
		t.Errorf("credentials of the message = %v, want the child %v, which sent it", got, want)
	}
}

// Real and effective ids differ in setuid programs, and what the kernel attaches
// by itself are the real ones: a setuid helper would pass for its caller.
func TestEffectiveIDsAreTold(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to have a child with other effective ids")
	}
	cmd, conn := visit(t, "effective")
	want := Credentials{PID: cmd.Process.Pid, UID: childUID, GID: childGID}
	onFD(t, conn, func(fd int) {
		got, err := FromSocket(fd)
		got.Groups = GroupSet{} // TestGroups is about those
		if err != nil || got != want {
			t.Errorf("FromSocket = %v, %v; want the effective ids as of connect: %v", got, err, want)
		}
	})
	if got := receive(t, conn); got != want {
		t.Errorf("credentials of the message = %v, want the effective ids %v", got, want)
	}
}

func TestPeerPidfdOutlivesThePeer(t *testing.T) {
	cmd, conn := visit(t, "plain")
	pidfd := -1
	onFD(t, conn, func(fd int) {
		var err error
		if pidfd, err = PeerPidfd(fd); errors.Is(err, ErrUnsupported) {
			t.Skip(err)
		} else if err != nil {
			t.Fatal(err)
		}
	})
	defer unix.Close(pidfd)
	if flags, err := unix.FcntlInt(uintptr(pidfd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("descriptor flags %#x, %v: the handle must not leak into children", flags, err)
	}
	if err := unix.PidfdSendSignal(pidfd, 0, nil, 0); err != nil {
		t.Errorf("signal 0 to the living child: %v, want success: the handle is the child's", err)
	}
	conn.Close()
	cmd.Wait()
	if err := unix.PidfdSendSignal(pidfd, 0, nil, 0); !errors.Is(err, unix.ESRCH) {
		t.Errorf("signal 0 after the child was reaped: %v, want ESRCH, whoever has its pid now", err)
	}
}

func TestPeerPidfdFailsClosed(t *testing.T) {
	lonely, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(lonely)
	got, err := PeerPidfd(lonely)
	if got != -1 || !errors.Is(err, ErrNotConnected) && !errors.Is(err, ErrUnsupported) {
		t.Errorf("PeerPidfd of a socket without a peer = %d, %v; want -1, ErrNotConnected", got, err)
	}
	if err := EnableReceive(-1); !errors.Is(err, unix.EBADF) {
		t.Errorf("EnableReceive(-1) = %v, want EBADF", err)
	}
}

func TestParseCredentialsRefuses(t *testing.T) {
	good := unix.Cmsghdr{Level: unix.SOL_SOCKET, Type: unix.SCM_CREDENTIALS}
	full := make([]byte, unix.SizeofUcred)
	for _, c := range []struct {
		name string
		h    unix.Cmsghdr
		data []byte
	}{
		{"descriptors, not credentials", unix.Cmsghdr{Level: unix.SOL_SOCKET, Type: unix.SCM_RIGHTS}, full},
		{"another level", unix.Cmsghdr{Level: unix.SOL_IP, Type: unix.SCM_CREDENTIALS}, full},
		{"one byte short", good, full[1:]},
		{"no data", good, nil},
	} {
		if got, ok := ParseCredentials(c.h, c.data); ok || got != Unknown() {
			t.Errorf("%s: %v, %v; want Unknown, false", c.name, got, ok)
		}
	}
	if got, ok := ParseCredentials(good, full); !ok || got != (Credentials{}) {
		t.Errorf("12 zero bytes: %v, %v; want the pid, uid and gid 0 that they are", got, ok)
	}
}

// Each received message may carry credentials, so their price is paid each time.
func TestCredentialsDoNotAllocate(t *testing.T) {
	oob := make([]byte, 0, ControlSpace())
	if n := testing.AllocsPerRun(100, func() { oob = AppendCredentials(oob[:0]) }); n != 0 {
		t.Errorf("AppendCredentials into a warm buffer allocates %v times, want 0", n)
	}
	if len(oob) != ControlSpace() {
		t.Fatalf("AppendCredentials gave %d bytes, want ControlSpace() = %d", len(oob), ControlSpace())
	}
	var got Credentials
	n := testing.AllocsPerRun(100, func() {
		h, data, _, _ := unix.ParseOneSocketControlMessage(oob)
		got, _ = ParseCredentials(h, data)
	})
	if n != 0 {
		t.Errorf("parsing allocates %v times, want 0", n)
	}
	if want := (Credentials{PID: os.Getpid(), UID: os.Geteuid(), GID: os.Getegid()}); got != want {
		t.Errorf("append, then parse = %v, want %v", got, want)
	}
}

// The transport appends descriptors first, at any length.
func TestAppendCredentialsAfterRights(t *testing.T) {
	oob := AppendCredentials(unix.UnixRights(0, 1, 2))
	list, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(list) != 2 {
		t.Fatalf("parsed %d control messages, %v; want rights and credentials", len(list), err)
	}
	if c, ok := ParseCredentials(list[1].Header, list[1].Data); !ok || c.PID != os.Getpid() {
		t.Errorf("second control message = %v, %v; want this process", c, ok)
	}
}

func TestAuditSession(t *testing.T) {
	got, err := AuditSession(os.Getpid())
	if errors.Is(err, ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile("/proc/self/sessionid")
	if err != nil {
		t.Fatal(err)
	}
	if none := strings.TrimSpace(string(b)) == "4294967295"; none != (got == -1) {
		t.Errorf("AuditSession = %d where the kernel says %s: -1 stands for 4294967295 and nothing else", got, b)
	}
	for _, pid := range []int{0, -1, 1 << 30} {
		if got, err := AuditSession(pid); err == nil || got != -1 {
			t.Errorf("AuditSession(%d) = %d, %v; want -1 and an error", pid, got, err)
		}
	}
}
