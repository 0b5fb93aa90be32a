package transport

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/credentials"
)

// newSocket makes a socket that does not block.
func newSocket() (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	return fd, os.NewSyscallError("socket", err)
}

// acceptedBlocks says whether acceptCloexec gives a socket that waits in system calls.
const acceptedBlocks = true

func acceptCloexec(fd int) (int, error) {
	n, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
	return n, err
}

// enablePassing lets accepted sockets learn the sender's credentials from their first byte on.
func enablePassing(fd int) { credentials.EnableReceive(fd) }

// passes says whether the kernel attaches who writes to what fd receives.
func passes(fd int) bool {
	on, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED)
	return err == nil && on != 0
}

// bindPrivate makes the socket file with mode 0600 from its first moment: bind
// gives it the mode of the socket itself.
func bindPrivate(fd int, path string) error {
	if err := unix.Fchmod(fd, 0o600); err != nil {
		return os.NewSyscallError("fchmod", err)
	}
	return os.NewSyscallError("bind", unix.Bind(fd, &unix.SockaddrUnix{Name: path}))
}

func useDirectory(dir, base string, use func(string) error) error {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(fd)
	short := fmt.Sprintf("/proc/self/fd/%d/%s", fd, base)
	if len(short) > maxPath {
		return fmt.Errorf("the file name %s is longer than a socket address holds", base)
	}
	return use(short)
}

// OpenEndpoint opens the socket file at path as a capability: whoever holds the
// descriptor can DialDescriptor it, also after the file is gone.
func OpenEndpoint(path string) (*Descriptor, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return NewDescriptor(fd), nil
}
