package xpc

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/transport"
	"github.com/openxpc/openxpc/xpc/internal/lifecycle"
)

// listener is what a listening connection has beside the rest: a socket and the
// peers that came over it.
type listener struct {
	conn   *Connection
	source socketSource

	once sync.Once // opens the socket: at activation, or earlier for an endpoint
	err  error

	mu        sync.Mutex // guards the rest
	ep        *Endpoint
	socket    *transport.Listener
	accepting bool
	peers     map[*Connection]int // not invalid, and whose silent one it is; of a named listener, those not yet announced
	silent    map[int]int         // how many each user has that have said nothing
	clock     *time.Timer         // of those that have not said HELLO; nil before the first client
	clocked   bool                // clock runs
	stopped   bool
}

// socketSource gets a listening socket and lets go of it.
type socketSource interface {
	// open returns the socket, the caller's, and the endpoint that leads to it, if it is known.
	open() (fd int, ep *Endpoint, err error)
	// endpoint finds it out, if it was not; nil if there is none.
	endpoint() *Endpoint
	// close is called after the listener was cancelled.
	close()
	// owned says that the name ends with the listener, and with it the peers (R109).
	owned() bool
}

func newListener(name string, s socketSource, q *Queue) *Connection {
	c := newConnection(lifecycle.Listener, name, nil, q)
	c.listening = &listener{conn: c, source: s, peers: map[*Connection]int{}, silent: map[int]int{}}
	return c
}

// open makes the socket, once.
func (l *listener) open() error {
	l.once.Do(func() {
		fd, ep, err := l.source.open()
		var socket *transport.Listener
		if err == nil {
			socket, err = transport.NewListener(fd, l.options())
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.socket, l.ep, l.err = socket, ep, err
	})
	return l.err
}

func (l *listener) options() transport.Options {
	l.conn.mu.Lock()
	defer l.conn.mu.Unlock()
	return l.conn.options()
}

func (l *listener) endpoint() *Endpoint {
	if l.open() != nil {
		return &Endpoint{}
	}
	l.mu.Lock()
	ep := l.ep
	l.mu.Unlock()
	if ep != nil {
		return ep
	}
	if ep = l.source.endpoint(); ep == nil {
		return &Endpoint{}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ep == nil {
		l.ep = ep
	}
	return l.ep
}

// renew has the listener accept from fd, which it takes over, unless that is the
// socket that it has.
func (l *listener) renew(fd int, ep *Endpoint) error {
	if err := l.open(); err != nil { // it is under way
		unix.Close(fd)
		return err
	}
	next, err := transport.NewListener(fd, l.options())
	if err != nil {
		return err
	}
	guarded := l.conn.rareGuard() != nil
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.socket
	if l.stopped || next.Same(old) {
		next.Close()
		return nil
	}
	if !l.accepting {
		old.Close()
	} else if err := l.acceptFrom(next, guarded); err != nil {
		next.Close()
		return err
	} else {
		old.Retire() // for clients who knew only of that one
	}
	l.socket, l.ep = next, ep
	return nil
}

// listen answers the core's wish to look up: it runs on a goroutine of its own.
func (l *listener) listen() {
	err := l.open()
	if err == nil {
		err = l.start()
	}
	c := l.conn
	c.mu.Lock()
	op := lifecycle.LookedUp
	if err != nil {
		op = lifecycle.LookUpFailed
		if c.m.State() != lifecycle.Invalid {
			c.rarely().cause = err
		}
	}
	c.step(lifecycle.Event{Op: op})
	c.unlock()
}

func (l *listener) start() error {
	if err := l.startAccepting(); err != nil {
		return err
	}
	if l.source.owned() {
		return nil
	}
	l.conn.process.listens(l)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped { // meanwhile: it was forgotten before it was known
		l.conn.process.stopped(l)
	}
	return nil
}

func (l *listener) startAccepting() error {
	guarded := l.conn.rareGuard() != nil
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return ErrCanceled
	}
	l.accepting = true
	return l.acceptFrom(l.socket, guarded)
}

func (l *listener) acceptFrom(socket *transport.Listener, guarded bool) error {
	if err := socket.Restamp(); err != nil {
		return err
	}
	if guarded {
		socket.NoteEmpty()
	}
	return socket.Start(func(conn *transport.Conn) { l.accept(conn, socket.Empty()) })
}

// accept makes a peer of a client, which connected after that time. The program hears of it
// with its first message (R53).
func (l *listener) accept(conn *transport.Conn, after time.Time) {
	p := newAccepted(l, nil)
	l.conn.mu.Lock()
	lim := l.conn.limits
	if r := l.conn.rare; r.guard != nil {
		p.rare = &rare{guard: r.guard, attester: r.attester, after: after}
	}
	l.conn.mu.Unlock()
	p.limits = lim // nobody else knows p yet
	p.sendLimits.Store(lim)
	l.mu.Lock()
	if l.stopped {
		l.mu.Unlock()
		conn.Close()
		return
	}
	if !l.admit(p, conn, lim.MaxSilentPeers) {
		l.mu.Unlock()
		return
	}
	p.process = l.conn.process
	p.process.join(p)
	if !l.clocked {
		l.setClock(helloPatience)
	}
	l.mu.Unlock()
	p.attach(conn)
}

// setClock is called with l.mu held.
func (l *listener) setClock(d time.Duration) {
	l.clocked = true
	if l.clock == nil {
		l.clock = time.AfterFunc(d, l.hurry)
		return
	}
	l.clock.Reset(d)
}

// leastHurry is how often clients are looked at at most.
const leastHurry = 100 * time.Millisecond

// hurry ends the sockets of clients that have not said HELLO in time. One clock does for all:
// the runtime keeps a timer that was stopped for a while, and with it what it would call.
func (l *listener) hurry() {
	l.mu.Lock()
	l.clocked = false
	var silent []*Connection
	for p, uid := range l.peers {
		if uid != hasSpoken {
			silent = append(silent, p)
		}
	}
	l.mu.Unlock()
	next := time.Duration(0)
	for _, p := range silent {
		if left := p.patience(); left > 0 && (next == 0 || left < next) {
			next = left
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if next > 0 && !l.stopped {
		l.setClock(max(next, leastHurry))
	}
}

// admit counts a client that has said nothing under its user, unless there are too
// many: then it is turned away. l.mu is held.
func (l *listener) admit(p *Connection, conn *transport.Conn, most int) bool {
	if who, err := conn.Peer(); err == nil {
		p.peer = who
	}
	if l.silent[p.peer.UID] >= most {
		conn.Append(refusalFrame(overLimit("MaxSilentPeers", most).Error()))
		conn.Flush()
		conn.Close()
		return false
	}
	l.silent[p.peer.UID]++
	l.peers[p] = p.peer.UID
	return true
}

// hasSpoken stands in place of a user in listener.peers.
const hasSpoken = -2

// spoke counts a client as silent no more: it has spoken, or is gone. l.mu is held.
func (l *listener) spoke(p *Connection) {
	uid, ok := l.peers[p]
	if !ok || uid == hasSpoken {
		return
	}
	l.peers[p] = hasSpoken
	if l.silent[uid]--; l.silent[uid] == 0 {
		delete(l.silent, uid)
	}
}

func newAccepted(home *listener, q *Queue) *Connection {
	c := newConnection(lifecycle.Accepted, "", nil, q)
	c.home = home
	return c
}

// announce tells the program of a peer whose first message has come, unless the
// process takes no more. It reports whether that is left to the reader, which may be nil.
func (l *listener) announce(p *Connection, reader *link) bool {
	if p.process.isEnding() {
		return false
	}
	if l.source.owned() {
		l.mu.Lock()
		l.spoke(p)
		l.mu.Unlock()
	} else {
		l.forget(p)
	}
	c := l.conn
	c.mu.Lock()
	id := c.newID()
	c.events.push(event{id: id, obj: p})
	c.reader = reader
	c.step(lifecycle.Event{Op: lifecycle.Arrived, ID: id})
	c.reader = nil
	c.unlock()
	return reader != nil && reader.work.greets != nil
}

func (l *listener) forget(p *Connection) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.spoke(p)
	delete(l.peers, p)
}

// stop ends the listening; it runs after the connection became invalid.
func (l *listener) stop() {
	l.mu.Lock()
	if l.stopped {
		l.mu.Unlock()
		return
	}
	l.stopped = true
	if l.clock != nil {
		l.clock.Stop()
	}
	l.conn.process.stopped(l)
	peers := l.peers
	l.peers = nil
	l.mu.Unlock()
	l.once.Do(func() { l.err = ErrCanceled })
	if l.stopAccepting() {
		l.source.close()
	}
	for p := range peers {
		p.endWithListener()
	}
}

// endWithListener is Cancel, but for a peer that the program is just being told of: it
// hears of the end when it has set its handler.
func (c *Connection) endWithListener() {
	c.mu.Lock()
	c.rarely().cause = ErrCanceled
	op := lifecycle.Cancel
	if c.announced && c.m.State() == lifecycle.Inactive {
		op = lifecycle.Lost
	}
	c.step(lifecycle.Event{Op: op, Epoch: c.m.Epoch()})
	c.unlock()
}

// stopAccepting leaves the clients in the queue to others; false if there never was one.
func (l *listener) stopAccepting() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.socket == nil {
		return false
	}
	l.socket.Close()
	return true
}

// anonymous is a socket that only an endpoint leads to.
type anonymous struct{ path string }

func anonymousSocket() socketSource { return &anonymous{} }

func (a *anonymous) open() (int, *Endpoint, error) {
	dir, err := os.MkdirTemp("", "xpc-")
	if err != nil {
		return -1, nil, fmt.Errorf("xpc: anonymous listener: %w", err)
	}
	path := filepath.Join(dir, "s")
	fd, err := transport.Listen(path)
	if err != nil {
		os.RemoveAll(dir)
		return -1, nil, err
	}
	if d, err := transport.OpenEndpoint(path); err == nil {
		os.RemoveAll(dir) // the descriptor goes on leading there
		return fd, &Endpoint{d: d}, nil
	}
	a.path = path
	return fd, &Endpoint{path: path}, nil
}

func (a *anonymous) endpoint() *Endpoint { return nil }

func (a *anonymous) close() {
	if a.path != "" {
		os.RemoveAll(filepath.Dir(a.path))
	}
}

func (a *anonymous) owned() bool { return true }

// handed is a listening socket that somebody else made.
type handed struct{ f *os.File }

func handedSocket(f *os.File) socketSource { return &handed{f} }

func (h *handed) open() (int, *Endpoint, error) {
	fd, err := takeFD(h.f)
	if err != nil {
		return -1, nil, fmt.Errorf("xpc: the listening socket that was handed over: %w", err)
	}
	return fd, nil, nil
}

func (h *handed) endpoint() *Endpoint { return nil }
func (h *handed) close()              {}
func (h *handed) owned() bool         { return false }

// Refuse accepts every client that waits on a listening socket and tells it why
// it will not be served: its calls end with ErrConnectionInterrupted and a cause
// that is ErrLaunchFailed and reads text. It returns how many there were, at most as
// many as a queue holds. listener stays the caller's. It is the registry's door, for jobs that cannot be launched.
func Refuse(listener *os.File, text string) (int, error) {
	l, err := refusing(listener)
	if err != nil {
		return 0, err
	}
	defer l.Close()
	n := 0
	for n < transport.Backlog { // a client that dials again at once must not keep us here
		conn, err := l.Accept()
		if err != nil || conn == nil {
			return n, err
		}
		n++
		conn.Append(refusalFrame(text))
		conn.Flush()
		conn.Close()
	}
	return n, nil
}

func refusing(f *os.File) (*transport.Listener, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd := -1
	err = raw.Control(func(n uintptr) {
		var d *transport.Descriptor
		if d, err = transport.DupDescriptor(int(n)); err == nil {
			fd, err = d.Dup()
			d.Close()
		}
	})
	if err != nil {
		return nil, err
	}
	return transport.NewListener(fd, transport.Options{})
}
