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

// Dial connects to the socket at path, however long the path is (on Linux). It
// waits up to ten seconds for a place in a full queue. The error wraps
// ErrRefused if there is no such socket or nobody listens on it.
func Dial(path string, o Options) (*Conn, error) {
	return dial(path, o, func(fd int) error {
		err := throughDirectory(path, func(short string) error { return connect(fd, short, dialTime) })
		if errors.Is(err, unix.ENOENT) {
			err = fmt.Errorf("%w (%w)", ErrRefused, err)
		}
		return err
	})
}

// DialDescriptor connects to the socket file that d, opened with O_PATH, stands
// for; d stays the caller's. It works after the file has been unlinked. Only
// Linux has such descriptors. Errors are those of Dial.
func DialDescriptor(d *Descriptor, o Options) (*Conn, error) {
	return dialDescriptor(d, o, dialTime)
}

// DialDescriptorNow is DialDescriptor for who must not wait: a full queue is an error.
func DialDescriptorNow(d *Descriptor, o Options) (*Conn, error) { return dialDescriptor(d, o, 0) }

func dialDescriptor(d *Descriptor, o Options, within time.Duration) (*Conn, error) {
	if !d.Retain() {
		return nil, ErrDescriptorClosed
	}
	defer d.Close()
	return dial("endpoint", o, func(fd int) error {
		err := connect(fd, fmt.Sprintf("/proc/self/fd/%d", d.FD()), within)
		if errors.Is(err, unix.ENOENT) {
			err = fmt.Errorf("it is reached through /proc, which is not mounted here (%w)", err)
		}
		return err
	})
}

func dial(name string, o Options, connect func(fd int) error) (*Conn, error) {
	fd, err := newSocket()
	if err != nil {
		return nil, fmt.Errorf("transport: dial %s: %w", name, err)
	}
	if err := connect(fd); err != nil {
		unix.Close(fd)
		if errors.Is(err, unix.ECONNREFUSED) {
			err = fmt.Errorf("%w (%w)", ErrRefused, err)
		}
		return nil, fmt.Errorf("transport: dial %s: %w", name, err)
	}
	return newConnected(&socket{fd: fd}, o)
}

// connect tries again while the queue is full: a wait in the kernel would hold
// a thread for each dialler, and poll reports a full queue as writable.
func connect(fd int, path string, within time.Duration) error {
	pause, waited := time.Millisecond, time.Duration(0)
	for {
		err := unix.Connect(fd, &unix.SockaddrUnix{Name: path})
		switch {
		case err == unix.EINTR:
			continue
		case err != unix.EAGAIN:
			return os.NewSyscallError("connect", err)
		case waited >= within:
			return fmt.Errorf("the service takes no clients: its queue was full for %v: %w", within, err)
		}
		time.Sleep(pause)
		waited, pause = waited+pause, min(2*pause, 50*time.Millisecond)
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
		if err := bindPrivate(fd, short); err != nil {
			return err
		}
		enablePassing(fd)
		if err := unix.Listen(fd, Backlog); err != nil {
			os.Remove(path)
			return os.NewSyscallError("listen", err)
		}
		return nil
	})
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("transport: listen on %s: %w", path, err)
	}
	return fd, nil
}

// throughDirectory calls use with a path short enough for a socket address.
func throughDirectory(path string, use func(short string) error) error {
	if len(path) <= maxPath {
		return use(path)
	}
	return useDirectory(filepath.Dir(path), filepath.Base(path), use)
}
