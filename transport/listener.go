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

// retryAccept is the pause after a failure that only time mends, such as no
// descriptors left: the socket stays readable, and watching it at once would spin.
const retryAccept = 100 * time.Millisecond

// maxFruitless is how often in a row the socket may be readable with nobody to
// accept. Now and then another process was quicker; but a listening socket that
// its holder has shut down is readable for ever.
const maxFruitless = 10

var errFruitless = errors.New("transport: listening socket: readable, and nobody to accept")

// Listener accepts clients from a listening Unix socket. While none comes it
// holds no goroutine and no thread. Its methods may be called from any
// goroutine. There is no zero value: see NewListener.
type Listener struct {
	fd     int
	opts   Options
	accept func(*Conn)

	notes bool // empty; set before Start

	// Touched by the accepting goroutine only.
	fruitless int
	empty     time.Time

	first sync.Once // has accepted one, and seen whether
	tells bool      // accepted sockets inherit being told who writes

	mu     sync.Mutex // guards the rest
	entry  pollEntry
	timer  *time.Timer
	busy   bool // a goroutine is accepting
	last   bool // no more clients come; with those that wait it closes
	closed bool
}

// NewListener takes ownership of the listening socket fd, also when it fails.
// o is for the accepted connections. Start begins to accept.
func NewListener(fd int, o Options) (*Listener, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("transport: listening socket: %w", os.NewSyscallError("fcntl", err))
	}
	unix.CloseOnExec(fd)
	enablePassing(fd) // others may have made it
	return &Listener{fd: fd, opts: o}, nil
}

// Restamp calls listen again: who connects from now on sees this process in the
// socket's credentials. After Close it is os.ErrClosed.
func (l *Listener) Restamp() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return os.ErrClosed
	}
	return os.NewSyscallError("listen", unix.Listen(l.fd, Backlog))
}

// NoteEmpty has Empty tell what it can; it is called before Start, and costs a system call
// for each client.
func (l *Listener) NoteEmpty() { l.notes = true }

// Start calls accept for each client, one at a time, until Close; a call under
// way when Close is called goes on. accept owns the connection that it is given
// and must not block. Start is called once; after Close it is os.ErrClosed.
func (l *Listener) Start(accept func(*Conn)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return os.ErrClosed
	}
	l.accept = accept
	if err := l.entry.add(l.fd, pollFunc(l.ready)); err != nil {
		return err
	}
	// Whoever was launched for a client finds that one waiting: the poller is asked afterwards.
	l.acceptLocked()
	return nil
}

// ready runs on the poller's goroutine and takes one client there, whom that goroutine
// reads, too: to start another costs more, and others who are ready wait no longer for that.
func (l *Listener) ready(t *turn) {
	l.mu.Lock()
	idle := !l.closed && !l.busy
	l.busy = l.busy || idle
	l.mu.Unlock()
	switch {
	case idle && l.notes:
		l.acceptSome(t, 2) // the second is mostly nobody
	case idle:
		l.acceptSome(t, 1)
	}
}

func (l *Listener) acceptLocked() {
	if l.closed || l.busy {
		return
	}
	l.busy = true
	// Ends when nobody waits to be accepted, and the last one's connection rests.
	go l.acceptAlone()
}

// acceptAlone reads the last of those it accepts itself: who was launched for one client
// has no other goroutine to start for it.
func (l *Listener) acceptAlone() {
	t := new(turn)
	l.acceptSome(t, acceptBatch)
	if r := t.last; r.conn != nil {
		r.conn.readAlone(r.term, nil)
	}
}

// acceptSome is called with l.busy set.
func (l *Listener) acceptSome(t *turn, most int) {
	l.mu.Lock()
	last := l.last
	l.mu.Unlock()
	err := l.acceptUpTo(t, most)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy = false
	if last && (err == errNobody || errors.Is(err, unix.EINVAL)) { // the latter is what a socket says that was shut down
		l.closed = true
	}
	switch {
	case l.closed:
		l.finish()
	case err == nil || err == errNobody && !l.last:
		l.entry.arm(true, false)
	case err == errNobody: // one may have come before it was shut down
		l.acceptLocked()
	default:
		l.timer = time.AfterFunc(retryAccept, l.again)
	}
}

// errNobody: nobody waits to be accepted.
var errNobody = errors.New("transport: listening socket: nobody waits")

// acceptUpTo returns nil when more may wait, and errNobody when none does.
func (l *Listener) acceptUpTo(t *turn, most int) error {
	for n := range most {
		var now time.Time
		if l.notes {
			now = time.Now()
		}
		fd, err := acceptCloexec(l.fd)
		switch {
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.ECONNABORTED):
			continue
		case errors.Is(err, unix.EAGAIN):
			l.empty = now
			return l.caughtUp(n)
		case err != nil:
			return err
		case l.isClosed():
			unix.Close(fd)
			return nil
		}
		if c, err := l.connected(fd); err == nil {
			c.accepting = true
			l.accept(c)
			c.accepted(t)
		}
	}
	return nil
}

// Empty is when nobody waited last, for accept to ask, while it runs: the client that it is given
// connected after that. It is the zero time if somebody has waited ever since, or without NoteEmpty.
func (l *Listener) Empty() time.Time { return l.empty }

func (l *Listener) caughtUp(accepted int) error {
	if l.fruitless++; accepted > 0 {
		l.fruitless = 0
	}
	if l.fruitless > maxFruitless {
		return errFruitless
	}
	return errNobody
}

func (l *Listener) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

func (l *Listener) again() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.entry.arm(true, false)
}

// Close stops accepting and closes the socket. Clients in the queue are left to
// whoever else holds the socket. It does not wait, and more calls do nothing.
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

// Retire closes the socket of a Listener that was started when those who wait are
// accepted. Who comes later is refused at once, where the system can shut a listening
// socket down, whoever else holds it. It does not wait.
func (l *Listener) Retire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	unix.Shutdown(l.fd, unix.SHUT_RD)
	l.last = true
	l.acceptLocked()
}

func (l *Listener) finish() {
	l.entry.remove()
	unix.Close(l.fd)
}

// Same says whether other listens on the same socket, by another descriptor or this one.
func (l *Listener) Same(other *Listener) bool {
	a, err := l.File()
	if err != nil {
		return false
	}
	defer a.Close()
	b, err := other.File()
	if err != nil {
		return false
	}
	defer b.Close()
	one, err := a.Stat()
	if err != nil {
		return false
	}
	two, err := b.Stat()
	return err == nil && os.SameFile(one, two)
}

// File returns a duplicate of the listening socket; the caller closes it. After
// Close it is os.ErrClosed.
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
