package transport

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// maxPath is how long a socket's path may be on every system we know, without its NUL.
const maxPath = 103

// ErrRefused says that nobody listens at an address any more.
var ErrRefused = errors.New("nobody listens there")

// dialTime bounds the wait for a place in a full queue.
const dialTime = 10 * time.Second

// Dial connects to the socket at path, however long the path is.
func Dial(path string, o Options) (*Conn, error) {
	var c *Conn
	err := throughDirectory(path, func(short string) (err error) {
		c, err = dial(short, path, o)
		return err
	})
	return c, err
}

// DialDescriptor connects to the socket file that d, opened with O_PATH, stands
// for. It works after the file has been unlinked. Only Linux has such descriptors.
func DialDescriptor(d *Descriptor, o Options) (*Conn, error) {
	if !d.Retain() {
		return nil, ErrDescriptorClosed
	}
	defer d.Close()
	return dial(fmt.Sprintf("/proc/self/fd/%d", d.FD()), "endpoint", o)
}

func dial(path, name string, o Options) (*Conn, error) {
	fd, err := newSocket()
	if err != nil {
		return nil, fmt.Errorf("transport: dial %s: %w", name, err)
	}
	if err := connect(fd, path); err != nil {
		unix.Close(fd)
		if errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, unix.ENOENT) {
			err = fmt.Errorf("%w (%w)", ErrRefused, err)
		}
		return nil, fmt.Errorf("transport: dial %s: %w", name, err)
	}
	return NewSocket(fd, o)
}

// connect waits in the kernel while the queue is full, at most dialTime.
func connect(fd int, path string) error {
	tv := unix.NsecToTimeval(int64(dialTime))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &tv); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	for {
		err := unix.Connect(fd, &unix.SockaddrUnix{Name: path})
		if err != unix.EINTR {
			return os.NewSyscallError("connect", err)
		}
	}
}

// Listen binds a new listening socket to path, which must not exist, with mode 0600.
// The caller owns the descriptor; the file stays until it is removed.
func Listen(path string) (fd int, err error) {
	fd, err = newSocket()
	if err != nil {
		return -1, fmt.Errorf("transport: listen on %s: %w", path, err)
	}
	err = throughDirectory(path, func(short string) error {
		if err := unix.Bind(fd, &unix.SockaddrUnix{Name: short}); err != nil {
			return os.NewSyscallError("bind", err)
		}
		if err := os.Chmod(path, 0o600); err != nil {
			return err
		}
		return os.NewSyscallError("listen", unix.Listen(fd, Backlog))
	})
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err == nil {
		enablePassing(fd)
		return fd, nil
	}
	unix.Close(fd)
	return -1, fmt.Errorf("transport: listen on %s: %w", path, err)
}

// throughDirectory calls use with a path short enough for a socket address.
func throughDirectory(path string, use func(short string) error) error {
	if len(path) <= maxPath {
		return use(path)
	}
	return useDirectory(filepath.Dir(path), filepath.Base(path), use)
}
