//go:build unix && !linux

package transport

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

func newSocket() (int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	unix.CloseOnExec(fd)
	return fd, nil
}

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

func useDirectory(dir, base string, use func(string) error) error {
	return fmt.Errorf("the path %s is longer than a socket address holds (%d bytes)", filepath.Join(dir, base), maxPath)
}

// OpenEndpoint has no meaning on this system: endpoints are paths here.
func OpenEndpoint(path string) (*Descriptor, error) {
	return nil, fmt.Errorf("transport: %s: this system has no descriptors that stand for a socket file", path)
}
