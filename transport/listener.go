package transport

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Backlog is the length of a listening socket's queue.
const Backlog = 4096

// acceptBatch is how many clients are taken before others get the goroutine's time.
const acceptBatch = 64

// retryAccept is the pause after a failure that only time mends: no descriptors left.
const retryAccept = 100 * time.Millisecond

// Listener accepts clients from a listening Unix socket. While none comes it
// holds no goroutine and no thread.
type Listener struct {
	fd     int
	opts   Options
	accept func(*Conn)

	mu     sync.Mutex // guards the rest
	cancel func()
	timer  *time.Timer
	busy   bool // a goroutine is accepting
	closed bool
}

// NewListener takes ownership of the listening socket fd. Start begins to accept.
func NewListener(fd int, o Options) (*Listener, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("transport: listening socket: %w", os.NewSyscallError("fcntl", err))
	}
	unix.CloseOnExec(fd)
	return &Listener{fd: fd, opts: o}, nil
}

// Restamp calls listen again: who connects from now on sees this process in the
// socket's credentials.
func (l *Listener) Restamp() error { return os.NewSyscallError("listen", unix.Listen(l.fd, Backlog)) }

// Start calls accept for each client, one at a time and never after Close has
// returned and the running call has ended. accept must not block.
func (l *Listener) Start(accept func(*Conn)) error {
	l.accept = accept
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.watch()
}

func (l *Listener) watch() error {
	if l.cancel != nil {
		l.cancel()
		l.cancel = nil
	}
	cancel, err := Watch(l.fd, l.ready)
	l.cancel = cancel
	return err
}

func (l *Listener) ready() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.busy {
		return
	}
	l.busy = true
	// Ends when nobody waits to be accepted.
	go l.acceptAll()
}

func (l *Listener) acceptAll() {
	pause := false
	for range acceptBatch {
		fd, err := acceptCloexec(l.fd)
		if err != nil {
			pause = errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.ENOMEM) || errors.Is(err, unix.ENOBUFS)
			if errors.Is(err, unix.EINTR) || errors.Is(err, unix.ECONNABORTED) {
				continue
			}
			break
		}
		if c, err := NewSocket(fd, l.opts); err == nil {
			l.accept(c)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy = false
	switch {
	case l.closed:
		l.finish()
	case pause:
		l.timer = time.AfterFunc(retryAccept, l.again)
	default:
		l.watch()
	}
}

func (l *Listener) again() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.watch()
	}
}

// Close stops accepting and closes the socket. Clients in the queue are left to
// whoever else holds the socket.
func (l *Listener) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.closed = true
	if l.timer != nil {
		l.timer.Stop()
	}
	if !l.busy {
		l.finish()
	}
}

func (l *Listener) finish() {
	if l.cancel != nil {
		l.cancel()
	}
	unix.Close(l.fd)
}

// File returns a duplicate of the listening socket; the caller closes it.
func (l *Listener) File() (*os.File, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, os.ErrClosed
	}
	fd, err := dupCloexec(l.fd)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(fd), "listener"), nil
}
