//go:build unix && !linux

package transport

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// newSocket makes a socket that does not block.
func newSocket() (int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	unix.CloseOnExec(fd)
	return fd, os.NewSyscallError("fcntl", unix.SetNonblock(fd, true))
}

// acceptedBlocks: on some it does not, if what listens does not; nothing waits in it here.
const acceptedBlocks = true

func acceptCloexec(fd int) (int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	n, _, err := unix.Accept(fd)
	if err == nil {
		unix.CloseOnExec(n)
	}
	return n, err
}

func enablePassing(int) {}

func passes(int) bool { return false }

// bindPrivate narrows the mode after the fact; until listen nobody can connect.
func bindPrivate(fd int, path string) error {
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return os.NewSyscallError("bind", err)
	}
	return os.Chmod(path, 0o600)
}

func useDirectory(dir, base string, use func(string) error) error {
	return fmt.Errorf("the path %s is longer than a socket address holds (%d bytes)", filepath.Join(dir, base), maxPath)
}

// OpenEndpoint has no meaning on this system: endpoints are paths here.
func OpenEndpoint(path string) (*Descriptor, error) {
	return nil, fmt.Errorf("transport: %s: this system has no descriptors that stand for a socket file", path)
}
