package xpc

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/openxpc/openxpc/credentials"
	"github.com/openxpc/openxpc/transport"
	"github.com/openxpc/openxpc/xpc/internal/lifecycle"
	"github.com/openxpc/openxpc/xpc/wire"
)

// link is one socket of a connection: an epoch. It is what the transport tells
// about arriving frames.
type link struct {
	c     *Connection
	conn  *transport.Conn
	epoch lifecycle.Epoch
	dials bool          // this side dialed and has said HELLO
	since time.Duration // of a client that a listener accepted, when; after processBegan
	own   *Limits       // what this side accepts on this socket

	// Of Receive alone: bytes of the frames that came, who wrote the first, and whether another wrote
	// one (which others read); who wrote the last.
	received uint64
	writer   int
	mixed    atomic.Bool
	asked    atomic.Bool              // w is not nil; set under c.mu
	sender   *credentials.Credentials // of the first frame; never changed once there is a message

	// Reads of the socket that brought frames, which Receive alone counts, and up to which
	// of them all was written before a check of who writes held.
	reads, vouched atomic.Uint64

	// Guarded by c.mu.
	started  bool // callers may read it themselves
	said     bool // this side's HELLO was appended
	greeted  bool // the other side's HELLO has come; written by Receive alone
	paired   bool // this process made both ends: the socket says nothing of who is at the other
	limits   hello
	work     work
	sent     uint64      // bytes of the frames appended
	w        *witness    // nil while nobody wants to know who is at the other end
	heldBack bool        // dialed, and nothing but HELLO leaves before the requirement is met
	hidden   bool        // accepted, and to be announced when its listener's requirement is met
	unread   *time.Timer // not nil while the peer leaves too many replies unread: see unread.go
}

// helloPatience is how long a client that a listener accepted may take to say
// HELLO: whoever holds a socket and says nothing, or drips, must not do so for ever.
const helloPatience = 5 * time.Second

var processBegan = time.Now()

// ownPID does not change.
var ownPID = os.Getpid()

// append hands a frame to the socket, the first one behind this side's HELLO; c.mu is held.
func (l *link) append(f *transport.Frame) bool {
	l.sayHello()
	l.sent += size(f)
	return l.conn.Append(f)
}

// sayHello is for the first frame: an accepting side may have something to say before
// the other side has greeted. c.mu is held.
func (l *link) sayHello() {
	if l.said {
		return
	}
	l.said = true
	lim := l.c.limits
	if l.dials {
		lim = l.own
	}
	l.append(helloFrame(lim))
}

func (c *Connection) options() transport.Options {
	return transport.Options{MaxBody: c.limits.MaxMessageSize, MaxFiles: c.limits.MaxDescriptors}
}

// attach gives an accepted peer its socket and begins to read it.
func (c *Connection) attach(conn *transport.Conn) {
	c.mu.Lock()
	if c.m.State() == lifecycle.Invalid { // its listener was cancelled meanwhile
		c.mu.Unlock()
		conn.Close()
		return
	}
	l := &link{c: c, conn: conn, epoch: c.m.Epoch(), own: c.limits, since: time.Since(processBegan)}
	c.link = l
	if c.home == nil { // else admit has asked
		if p, err := conn.Peer(); err == nil {
			c.peer = p
		}
	}
	c.mu.Unlock()
	l.start()
}

// patience is how long an accepted client may still take to say HELLO, 0 if that is no
// matter any more. It ends the socket of one that had its time.
func (c *Connection) patience() time.Duration {
	c.mu.Lock()
	l := c.link
	greeted := l != nil && l.greeted
	c.mu.Unlock()
	switch {
	case l == nil: // it is about to be attached
		return helloPatience
	case greeted:
		return 0
	}
	left := helloPatience - (time.Since(processBegan) - l.since)
	if left <= 0 {
		l.broken(fmt.Errorf("no HELLO within %v", helloPatience))
	}
	return max(left, 0)
}

// Groups are the supplementary groups of the other side as of its connect, empty
// where the kernel does not tell them or they are not known yet: who decides by
// them must refuse who is not in them. Any goroutine may call it. It is an
// extension beside EGID; Apple has no such call.
func (c *Connection) Groups() credentials.GroupSet { return c.credentials().Groups }

// dial connects for an epoch: it runs on a goroutine of its own.
func (c *Connection) dial(e lifecycle.Epoch) {
	c.holdProbe(e)
	c.mu.Lock()
	o := c.options()
	lim := c.limits
	c.mu.Unlock()
	conn, err := c.origin.dial(c, o)
	if err != nil {
		c.mu.Lock()
		c.dialFailed(e, err)
		return
	}
	c.dialed(e, conn, lim, false)
}

// dialNow is dial on the goroutine of whoever gave reason to, if that needs no
// waiting; else it returns nil. With waits the caller reads, by Wait.
func (c *Connection) dialNow(e lifecycle.Epoch, waits bool) *link {
	q, ok := c.origin.(quick)
	if !ok {
		return nil
	}
	c.mu.Lock()
	o, lim, s := c.options(), c.limits, c.m.State()
	c.mu.Unlock()
	if s != lifecycle.Dialing { // who probes may have to hold back
		return nil
	}
	conn := q.dialNow(c, o)
	if conn == nil {
		return nil
	}
	return c.dialed(e, conn, lim, waits)
}

// dialed gives the connection its socket, unless it no longer wants one.
func (c *Connection) dialed(e lifecycle.Epoch, conn *transport.Conn, lim *Limits, waits bool) *link {
	l := &link{c: c, conn: conn, epoch: e, dials: true, own: lim}
	c.mu.Lock()
	if s := c.m.State(); e != c.m.Epoch() || s != lifecycle.Dialing && s != lifecycle.Probing {
		c.mu.Unlock()
		conn.Close()
		c.leaveLate(s)
		return l
	}
	if c.rare.guard != nil && c.m.State() == lifecycle.Probing {
		// The listener lives, which is all that was to be found out: who it is now is
		// asked with the next message.
		conn.Close()
		c.dialFailed(e, ErrPeerGone)
		return l
	}
	c.link = l
	l.sayHello()
	c.after.flush = l
	if l.heldBack = c.rare.guard != nil; !l.heldBack {
		c.step(lifecycle.Event{Op: lifecycle.Dialed, Epoch: e})
	}
	c.unlock()
	if waits {
		l.begin(conn.StartWaiting)
	} else {
		l.begin(conn.Start)
	}
	return l
}

// mostProbePause is how long a probe waits at most.
const mostProbePause = time.Second

// holdProbe has a probe wait, longer each time, if the socket of the one before
// was lost before anything was sent on it: a listener that closes whatever it
// accepts must not keep this process dialing.
func (c *Connection) holdProbe(e lifecycle.Epoch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m.State() != lifecycle.Probing {
		return
	}
	r := c.rarely()
	r.probes++
	pause := min(time.Millisecond<<min(r.probes-1, 20), mostProbePause)
	if r.probes == 1 {
		return
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for c.m.State() == lifecycle.Probing && c.m.Epoch() == e {
		if r.room == nil {
			r.room = make(chan struct{})
		}
		changed := r.room
		c.mu.Unlock()
		var over bool
		select {
		case <-changed:
		case <-timer.C:
			over = true
		}
		c.mu.Lock()
		if over {
			c.signalRoom() // nobody else closes a room made without a socket
			return
		}
	}
}

// start begins to read. Until then others may send on the link, not wait on it.
func (l *link) start() { l.begin(l.conn.Start) }

func (l *link) begin(start func(transport.Receiver)) {
	start(l)
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	l.started = true
}

// dialFailed tells the core whether the origin is gone for good; c.mu is held.
func (c *Connection) dialFailed(e lifecycle.Epoch, err error) {
	op := lifecycle.DialFailed
	if c.origin.gone(err) {
		op = lifecycle.Refused
	}
	if e == c.m.Epoch() {
		c.rarely().cause = err
	}
	c.step(lifecycle.Event{Op: op, Epoch: e})
	s := c.m.State()
	c.unlock()
	c.leaveLate(s)
}

// leaveLate makes up for an origin that was asked while the connection became invalid.
func (c *Connection) leaveLate(s lifecycle.State) {
	if s == lifecycle.Invalid {
		c.origin.leave(c)
	}
}

func (c *Connection) closeLink(e lifecycle.Epoch) {
	if c.listening != nil {
		c.after.unlist = true
		return
	}
	if c.link != nil && c.link.epoch == e {
		c.link.repliesLeft()
		c.link.ended()
		a := c.after.rarely()
		a.closing = append(a.closing, c.link)
		c.link = nil
		c.paused = false
		c.agreeLimits()
		c.signalRoom()
	}
}

// Receive takes one frame. It runs none of the program's code.
func (l *link) Receive(f *transport.Frame, inline bool) transport.Outcome {
	l.speaks(f)
	if early := f.Kind != frameHello && f.Kind <= frameAnswer && f.Kind != frameRefused; early && !l.greeted {
		closeFiles(f.Files)
		l.broken(fmt.Errorf("a frame of kind %d before HELLO", f.Kind))
		return 0
	}
	switch f.Kind {
	case frameMessage:
		return l.message(f, inline)
	case frameReply:
		return l.reply(f, inline)
	case frameAbandoned:
		if f.Flags&flagUnfit != 0 {
			return l.answered(f, nil, lifecycle.Unqualified, ErrUnfit, inline)
		}
		return l.answered(f, nil, lifecycle.Interrupted, ErrDropped, inline)
	case frameChallenge:
		l.challenged(f)
	case frameAnswer:
		l.answer(f)
	case frameHello:
		l.hello(f)
	case frameRefused:
		l.refused(f)
	default:
		// Kinds that a later protocol may add are not an error, but nothing may leak.
		closeFiles(f.Files)
	}
	return 0
}

func closeFiles(files []*transport.Descriptor) {
	for _, d := range files {
		d.Close()
	}
}

// Closed is told the end of the socket by the transport.
func (l *link) Closed(err error) {
	cause := ErrPeerGone
	if err != io.EOF && err != nil {
		cause = err
	}
	l.lostBy(cause, l)
}

func (l *link) lost(cause error) { l.lostBy(cause, nil) }

// lostBy is told whose reader will do what work is left, nil if nobody does.
func (l *link) lostBy(cause error, reader *link) {
	c := l.c
	c.mu.Lock()
	if c.rare.unloaded != nil {
		cause = c.rare.unloaded
	}
	if l.epoch == c.m.Epoch() && c.m.State() != lifecycle.Invalid {
		c.rarely().cause = cause
	}
	if l.heldBack {
		l.giveBack(cause)
		return
	}
	c.reader = reader
	c.step(lifecycle.Event{Op: lifecycle.Lost, Epoch: l.epoch})
	c.reader = nil
	c.unlock()
}

// broken ends the link because of what the peer sent.
func (l *link) broken(err error) {
	l.lost(fmt.Errorf("the peer broke the protocol: %w", err))
	l.conn.Close()
}

func (l *link) hello(f *transport.Frame) {
	h, err := parseHello(f)
	if err == nil && l.greeted {
		err = errors.New("a second HELLO")
	}
	if err != nil {
		l.broken(err)
		return
	}
	c := l.c
	c.mu.Lock()
	l.greeted, l.limits = true, h
	c.agreeLimits()
	l.paired = !l.dials && c.peer.PID == ownPID && f.Sender.PID != 0 && f.Sender.PID != c.peer.PID
	if l.dials || l.paired {
		c.peer = l.speaker(f)
	}
	l.sayHello()
	asks := c.rare.guard != nil && !l.identify().settled
	if !l.dials && !(asks && c.rare.attester == nil) { // else the challenge comes soon, in the same write
		c.after.flush = l
	}
	c.unlock()
}

// speaker is who wrote the other side's HELLO, or where the kernel attaches nothing
// to a message, who listened last.
func (l *link) speaker(f *transport.Frame) credentials.Credentials {
	if f.Sender.PID == 0 {
		if p, err := l.conn.Peer(); err == nil {
			return p
		}
	}
	return f.Sender
}

func (l *link) refused(f *transport.Frame) {
	cause := parseRefusal(f)
	c := l.c
	c.mu.Lock()
	if l.epoch == c.m.Epoch() {
		c.rarely().cause = cause
	}
	if l.heldBack {
		l.giveBack(cause)
		return
	}
	c.step(lifecycle.Event{Op: lifecycle.TurnedAway, Epoch: l.epoch})
	c.unlock()
}

// decode makes an object of a message's or a reply's frame.
func (l *link) decode(f *transport.Frame) (m *receivedMessage, size int, err error) {
	m = newReceived(l, f.ID, wire.EntriesHint(f.Body))
	if f.Sender != *l.sender {
		sender := f.Sender
		m.from.rarely().sender = &sender
	}
	fds, cost, err := decodeCounted(&m.Dictionary, ownedBody(f), f.Files, l.own)
	if fds != nil {
		m.from.rarely().fds = fds
	}
	return m, messageCost + len(f.Body) + cost, err
}

func (l *link) message(f *transport.Frame, inline bool) transport.Outcome {
	m, size, err := l.decode(f)
	if err != nil {
		l.broken(err)
		return 0
	}
	m.from.states.put(owes, f.Flags&flagWantsReply != 0)
	var refusal error
	if m.from.judged, refusal = l.sees(f.Sender); refusal != nil {
		m.from.rarely().refusal = refusal
	}
	c := l.c
	c.mu.Lock()
	if inline {
		c.reader = l
	}
	id := c.newID()
	c.events.push(event{id, &m.Dictionary, size})
	c.account(size)
	c.step(lifecycle.Event{Op: lifecycle.Received, Epoch: l.epoch, ID: id})
	c.reader = nil
	out := l.pause()
	if inline && l.work.deliver != nil { // else it is that of a reader who is about to run it
		out |= transport.Work
	}
	if f.Flags&flagWantsReply != 0 {
		out |= transport.Awaited
	}
	tell := c.home != nil && !c.announced && c.m.State() != lifecycle.Invalid
	tell = tell && !l.hides()
	if tell {
		c.announced = true
	}
	c.unlock()
	if !tell {
		return out
	}
	var reader *link
	if inline {
		reader = l
	}
	if c.home.announce(c, reader) {
		return out | transport.Work
	}
	runtime.Gosched() // the handlers run here, now: to block at once would leave them to another thread
	return out
}

// pause bounds what is read ahead of the handlers, and what is read of a peer that
// leaves its replies unread; c.mu is held. While calls wait the reader goes on,
// because their replies may be behind, and so may the answer to a challenge.
func (l *link) pause() transport.Outcome {
	c := l.c
	limit, ahead := c.limits.MaxReceivedBytes, c.unread
	if l.work.deliver != nil && c.events.len() > 0 {
		ahead -= c.events.first().size // whoever reads handles it before reading on
	}
	switch {
	case ahead <= limit && c.events.len() < c.limits.MaxReceivedMessages && l.unread == nil:
		return 0
	case c.m.Pending() == 0 && !l.undecided():
		c.paused = true
		return transport.Pause
	case c.unread > 4*limit && c.m.State() != lifecycle.Invalid:
		c.rarely().cause = overLimit("MaxReceivedBytes", limit)
		c.step(lifecycle.Event{Op: lifecycle.Cancel})
	}
	return 0
}

func (l *link) reply(f *transport.Frame, inline bool) transport.Outcome {
	m, _, err := l.decode(f)
	if err != nil {
		l.broken(err)
		return 0
	}
	known, why := l.sees(f.Sender)
	switch {
	case why != nil:
		return l.unfitReply(f, m, why, inline)
	case !known && l.slow():
		late := &transport.Frame{ID: f.ID}
		go func() { // Ends with the attester's check.
			if why := m.from.unfit(); why != nil {
				l.unfitReply(late, m, why, false)
			} else {
				l.answered(late, m, lifecycle.Replied, nil, false)
			}
		}()
		return 0
	}
	return l.answered(f, m, lifecycle.Replied, nil, inline)
}

// unfitReply puts the error in the reply's place (R174).
func (l *link) unfitReply(f *transport.Frame, m *receivedMessage, why error, inline bool) transport.Outcome {
	m.from.giveUp()
	l.c.rareGuard().reject(why)
	return l.answered(f, nil, lifecycle.Unqualified, why, inline)
}

// answered completes the call that f names, if it still waits.
func (l *link) answered(f *transport.Frame, m *receivedMessage, o lifecycle.Outcome, why error, inline bool) (out transport.Outcome) {
	c := l.c
	c.mu.Lock()
	id := lifecycle.ID(f.ID)
	call := c.calls.get(id)
	if call == nil || l.epoch != c.m.Epoch() {
		c.mu.Unlock()
		if m != nil {
			m.from.giveUp() // nobody waits for it: its descriptors must not stay open
		}
		return 0
	}
	if call.waiter != nil {
		out = transport.Replied
	}
	call.reply, call.cause = m, why
	if inline {
		c.reader = l
	}
	c.step(lifecycle.Event{Op: lifecycle.Answered, Epoch: l.epoch, ID: id, Outcome: o})
	c.reader = nil
	unwanted := c.calls.get(id) == call // an answer to what was not even written
	if unwanted {
		call.reply, call.cause, out = nil, nil, 0
	}
	if inline && len(l.work.replies) > 0 {
		out |= transport.Work
	}
	c.unlock()
	if unwanted && m != nil {
		m.from.giveUp()
	}
	return out
}

// Idle lets go of what only a busy connection needs.
func (l *link) Idle() {
	c := l.c
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spare, c.spares = nil, 0
	c.calls.shrink()
	c.events.shrink()
	c.m.Shrink()
	if len(l.work.replies) == 0 {
		l.work.replies = nil
	}
}
