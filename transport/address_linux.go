package transport

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/credentials"
)

func newSocket() (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	return fd, os.NewSyscallError("socket", err)
}

func acceptCloexec(fd int) (int, error) {
	n, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
	return n, err
}

// enablePassing lets accepted sockets learn the sender's credentials from their first byte on.
func enablePassing(fd int) { credentials.EnableReceive(fd) }

func useDirectory(dir, base string, use func(string) error) error {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(fd)
	return use(fmt.Sprintf("/proc/self/fd/%d/%s", fd, base))
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
