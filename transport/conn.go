package transport

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/openxpc/openxpc/credentials"
)

// ErrClosed is what Wait returns, and Closed is told, when this side closed the connection.
var ErrClosed = errors.New("transport: connection closed")

// Outcome is what a Receiver found in a frame; the bits may be combined.
type Outcome uint8

const (
	// Replied: the frame completed a Waiter.
	Replied Outcome = 1 << iota
	// Work: the Receiver has work to run; the reading goroutine calls Work.
	Work
	// Pause: read no more until Resume, or until the peer has hung up: then what
	// it sent before is read, no more than a socket holds, and the end is told.
	// Callers in Wait read on, so a Receiver that has enough answers Pause to each
	// frame. A Resume that comes after Receive was called undoes the Pause that
	// this call answers.
	Pause
	// Awaited: the peer waits for an answer to the frame, so of many answers that gather
	// the first ones leave early.
	Awaited
)

// Receiver is told what arrives on a Conn.
type Receiver interface {
	// Receive gets each frame in order; calls never overlap. It must not block
	// and must not run user code: it is called with the reading role held. f is
	// the connection's and is used again for the next frame. With inline false
	// it must not answer Work (a waiting caller is reading).
	Receive(f *Frame, inline bool) Outcome
	// Work runs what Receive left to run. The reading role may pass to another
	// goroutine meanwhile, so Receive can be called while Work runs, and Work
	// again if Receive answers so. It is called also when the connection has ended,
	// and once more, on a goroutine that may run user code, after Closed.
	Work()
	// Closed is called once, after the last frame, when the peer or an error
	// ended the connection; not after Close. io.EOF is the ordinary end,
	// io.ErrUnexpectedEOF one in the middle of a frame, a *ProtocolError the
	// peer's fault. It must not block, and may leave work as Receive does.
	Closed(err error)
}

// Later is a Receiver that holds back what its Work could run after what it runs now.
type Later interface {
	// Late is called about a millisecond after a Work that Receive asked for has begun,
	// whether or not it has returned. It must not block.
	Late()
}

// Idler is a Receiver that holds more for a busy connection than an idle one needs.
type Idler interface {
	// Idle is called when nothing has come for about a millisecond and nobody
	// reads; something may come meanwhile. It must not block.
	Idle()
}

// Conn is one end of a connection. All methods may be called from any goroutine.
// A Conn that is never closed leaks its socket. There is no zero value: see
// NewSocket, Dial, DialDescriptor, Listener and Pipe.
type Conn struct {
	m    medium
	recv Receiver
	opts Options

	mu        sync.Mutex // guards role, line and what is between; never held across I/O
	role      readRole
	ends      bool // armEnd was called
	accepting bool // its Listener's accept runs, on the goroutine that polls
	line      line // the role's callers in waiting, first come first served

	in *inbox // the holder of the reading role's; nil at rest with nothing unfinished
	w  outbox

	users   atomic.Int32  // who may be inside the medium; the last one closes it
	ended   atomic.Bool   // role.closed, for those who do not hold mu
	resumes atomic.Uint32 // calls of Resume
}

func newConn(o Options) *Conn {
	c := &Conn{opts: o.withDefaults()}
	c.users.Store(1)
	c.w.conn = c
	return c
}

// Start begins receiving. It is called once, before Wait; until then nothing is read.
func (c *Conn) Start(r Receiver) {
	c.mu.Lock()
	c.recv = r
	later := c.accepting
	c.mu.Unlock()
	if !later {
		c.decide((*readRole).start)
	}
}

// accepted is called when accept has returned: whoever polls reads first, if Start was
// called meanwhile.
func (c *Conn) accepted(t *turn) {
	c.mu.Lock()
	c.accepting = false
	started := c.recv != nil
	c.mu.Unlock()
	if started {
		c.decideIn(t, (*readRole).startFirst)
	}
}

// StartWaiting is Start for a caller who goes on to Wait: until then nobody reads,
// so that the caller need not be woken by another reader.
func (c *Conn) StartWaiting(r Receiver) { c.recv = r }

// Peer says who is at the other end, as the kernel recorded it at connect. After
// the connection has ended it is ErrClosed.
func (c *Conn) Peer() (credentials.Credentials, error) {
	if !c.enter() {
		return credentials.Unknown(), ErrClosed
	}
	defer c.release()
	return c.m.peer()
}

// Socket lends the socket's descriptor to use, to ask the kernel about the peer. use
// must not keep, read or close it. The error is use's, ErrClosed after the connection
// has ended, and of a Pipe one that wraps credentials.ErrUnsupported.
func (c *Conn) Socket(use func(fd int) error) error {
	if !c.enter() {
		return ErrClosed
	}
	defer c.release()
	return c.m.socket(use)
}

// enter counts the caller as a user of the medium, unless the connection has ended.
func (c *Conn) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.role.closed {
		return false
	}
	c.retain()
	return true
}

// Close ends the connection: what can be written without blocking is, the rest
// is dropped and its descriptors closed. It does not wait: a Receive or Work
// under way goes on, and so does a goroutine that is writing. More calls do nothing.
func (c *Conn) Close() {
	if !c.end(nil) {
		return
	}
	if c.w.end() {
		c.m.shutdown()
	}
	c.release()
}

// end makes the role final and reports whether this call did it.
func (c *Conn) end(held *uint32) bool {
	c.mu.Lock()
	if c.role.closed || (held != nil && !c.role.holds(*held)) {
		c.mu.Unlock()
		return false
	}
	c.role.close()
	c.ended.Store(true)
	for w := c.line.first; w != nil; w = w.behind {
		w.signal()
	}
	c.mu.Unlock()
	return true
}

// fail ends the connection from the reading side and reports whether this call did
// it: then there may be work.
func (c *Conn) fail(term uint32, err error) bool {
	if !c.end(&term) {
		return false
	}
	if err == io.EOF && c.in.partial() {
		err = io.ErrUnexpectedEOF
	}
	c.m.shutdown()
	c.w.end()
	if cause := c.w.failure(); err == io.EOF && cause != nil {
		err = cause
	}
	c.in.drop()
	c.release()
	c.recv.Closed(err)
	return true
}

func (c *Conn) retain() { c.users.Add(1) }

func (c *Conn) release() {
	if c.users.Add(-1) == 0 {
		c.in.drop()
		c.m.close()
	}
}

// decide asks the role under the lock and carries out what it answers. It
// reports whether the holder may go on.
func (c *Conn) decide(ask func(*readRole) next) bool { return c.decideIn(nil, ask) }

// decideIn is decide in the turn of a goroutine that polls, which reads itself what was
// not in use lately, and the end: of more that comes it would be told each time.
func (c *Conn) decideIn(t *turn, ask func(*readRole) next) bool {
	c.mu.Lock()
	here := t != nil && (t.ended || !c.role.ticking)
	do := ask(&c.role)
	var lead *Waiter
	if do == handToNext {
		lead = c.line.first
		c.line.remove(lead)
		lead.leads, lead.term = true, c.role.term
	}
	if do == startOne || do == handToNext {
		c.retain() // the new holder's
	}
	term := c.role.term
	end := !c.ends && c.role.blind()
	c.ends = c.ends || end
	c.mu.Unlock()
	if end {
		c.m.armEnd()
	}
	switch do {
	case startOne:
		if here {
			t.take(reading{c, term})
			break
		}
		// Ends when the connection rests, is parked or closed; nobody waits for it.
		go c.readAlone(term, nil)
	case handToNext:
		lead.signal()
	case armPoller:
		c.m.arm(true, false)
	case armAndTick:
		c.m.arm(true, false)
		c.m.startTicking()
	}
	return do == carryOn
}

// ready is called by the poller.
func (c *Conn) ready(t *turn, in, out bool) {
	if out {
		c.w.writable()
	}
	if in {
		c.decideIn(t, (*readRole).ready)
	}
}

// hangUp is called when the peer will send no more.
func (c *Conn) hangUp() { c.decide((*readRole).hangUp) }

// tick is called by the ticker.
func (c *Conn) tick() (keep bool) {
	idle, late := false, false
	c.decide(func(r *readRole) (do next) {
		late = r.began
		do, keep = r.tick()
		if !keep && r.holder == nobody && !r.closed && !c.in.holdsFrame() {
			c.putAside()
			idle = true
		}
		return do
	})
	if idle {
		c.idle()
	}
	if l, ok := c.recv.(Later); ok && late {
		l.Late()
	}
	return keep
}

// idle lets go of what only a busy connection needs.
func (c *Conn) idle() {
	c.w.idle()
	if i, ok := c.recv.(Idler); ok {
		i.Idle()
	}
}

// Resume undoes every Pause answered so far, and the one that a Receive which
// runs now will answer. Without a Pause it does nothing.
func (c *Conn) Resume() {
	c.resumes.Add(1)
	c.decide((*readRole).resume)
}

func (c *Conn) readAlone(term uint32, t *turn) {
	_, ended := c.read(term, nil, nil, t)
	c.release()
	if ended {
		c.work(term, t)
	}
}

// Wait returns nil when w is complete, ctx's error when that comes first, and
// ErrClosed when the connection ended (w may be completed later by others).
// While it waits it reads, if nobody else does: the Receiver is then called on
// this goroutine, its Work never.
func (c *Conn) Wait(ctx context.Context, w *Waiter) error {
	term, reads, err := c.join(w)
	if err != nil {
		return err
	}
	for {
		if reads {
			served, ended := c.read(term, w, ctx, nil)
			c.release()
			if ended {
				go c.work(term, nil) // ends with the work
			}
			if served {
				return nil
			}
		}
		if w.Completed() {
			return c.quit(w, nil)
		}
		if c.ended.Load() {
			return c.quit(w, ErrClosed)
		}
		if !w.sleep(ctx) {
			return c.quit(w, ctx.Err())
		}
		c.mu.Lock()
		reads, term = w.leads, w.term
		w.leads = false
		c.mu.Unlock()
	}
}

// join takes the role, counted as a user of the medium, or a place in line.
func (c *Conn) join(w *Waiter) (term uint32, reads bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.role.closed {
		return 0, false, ErrClosed
	}
	term, reads = c.role.join()
	if reads {
		c.retain()
	} else {
		c.line.add(w)
	}
	return term, reads, nil
}

// quit leaves the line, or passes on a role that came too late.
func (c *Conn) quit(w *Waiter, err error) error {
	c.mu.Lock()
	led, term := w.leads, w.term
	w.leads = false
	if c.line.remove(w) {
		c.role.quit()
	}
	c.mu.Unlock()
	if led {
		c.leave(term)
		c.release()
	}
	if w.Completed() {
		return nil
	}
	return err
}

// read holds the reading role until it is gone, nobody needs it, or w is
// complete: then it says so. ended says that it told the end. w is nil for a reader.
// Whoever polls reads once.
func (c *Conn) read(term uint32, w *Waiter, ctx context.Context, t *turn) (served, ended bool) {
	if c.in == nil {
		c.in = newInbox()
	}
	for filled := false; ; filled = true {
		var seen traffic
		done, err := c.deliver(term, w, &seen, t)
		if done {
			return w != nil && w.Completed(), false
		}
		if err == nil {
			if w != nil && w.Completed() { // by another reader, before the role came to us
				c.leave(term)
				return true, false
			}
			c.uncork()
			if seen.replies > 0 {
				c.letCallersRun(seen.replies)
			}
			if !c.mayBlock(term, ctx, seen.replies > 0 && !seen.others) {
				return false, false
			}
			switch polls := t.polls(); {
			case polls && filled && c.in.partial():
				c.retain()
				go c.readAlone(term, nil) // more is on its way
				return false, false
			case polls && filled:
				err = errAgain
			default:
				c.in.notice(seen.frames, c.w.taken.Load())
				err = c.in.fill(c.m, !polls)
			}
		}
		switch err {
		case nil:
		case errAgain:
			c.park(term, w)
			return false, false
		default:
			return false, c.fail(term, err)
		}
	}
}

// traffic is what was delivered since the reader last blocked.
type traffic struct {
	frames  int
	replies int
	others  bool // not replies to callers that wait
	awaited bool
}

// mostHeldBack is how many bytes of answers gather while more frames are received: so
// many that a write and a wake-up are little beside them, and so few that the peer has
// some to work on while the next are made.
const mostHeldBack = 3 << 10

// manyReplies: to so many callers at once a reply has come that the first of them to
// send more is in less haste than it is worth a system call.
const manyReplies = 4

// letCallersRun has those who got a reply send what they send next before this goroutine
// blocks: that needs no other thread, and of many it leaves with one write.
func (c *Conn) letCallersRun(replies int) {
	if replies < manyReplies {
		runtime.Gosched()
		return
	}
	c.cork(true)
	c.in.queueBehind()
	c.uncork()
}

// deliver hands over every whole frame in the buffer. done says that the role is given up.
func (c *Conn) deliver(term uint32, w *Waiter, seen *traffic, t *turn) (done bool, err error) {
	f := &c.in.frame
	for !c.ended.Load() {
		ok, err := c.in.next(f, &c.opts)
		if err != nil || !ok {
			return false, err
		}
		c.cork(c.in.holdsFrame() && !(seen.awaited && c.w.queued.Load() >= mostHeldBack))
		resumes := c.resumes.Load()
		out := c.recv.Receive(f, w == nil)
		seen.frames++
		if out&Replied != 0 {
			seen.replies++
		}
		seen.awaited = seen.awaited || out&Awaited != 0
		seen.others = seen.others || out&Replied == 0
		holds := out&Pause == 0 || c.pause(term, resumes)
		if out&Work != 0 {
			holds = c.work(term, t)
		}
		if !holds {
			return true, nil
		}
		if w != nil && w.Completed() {
			c.leave(term)
			return true, nil
		}
	}
	return true, nil
}

// work runs the receiver's work and reports whether the role is still ours.
func (c *Conn) work(term uint32, t *turn) bool {
	c.mu.Lock()
	tick := c.role.startWork(term)
	c.mu.Unlock()
	if tick {
		c.m.startTicking()
	}
	t.lend()
	c.recv.Work()
	t.takeBack()
	return c.decide(func(r *readRole) next { return r.endWork(term) })
}

// pause reports whether the role is still ours. resumes is how often Resume had
// been called before the Receive that answered Pause: another call since then
// means that there is room again.
func (c *Conn) pause(term, resumes uint32) bool {
	c.uncork()
	return c.decide(func(r *readRole) next {
		if c.resumes.Load() != resumes && r.holds(term) {
			return carryOn
		}
		return r.pause(term)
	})
}

// leave gives up a caller's role; frames may remain in the buffer.
func (c *Conn) leave(term uint32) {
	left := c.in.holdsFrame()
	c.uncork() // perhaps nobody reads on: the receiver may have paused
	c.decide(func(r *readRole) next { return c.resting(r, r.leave(term, left)) })
}

// mayBlock says whether this goroutine may wait for more.
func (c *Conn) mayBlock(term uint32, ctx context.Context, repliesOnly bool) bool {
	if ctx != nil && ctx.Err() != nil {
		c.leave(term)
		return false
	}
	partial := c.in.partial() // then more is on its way
	return c.decide(func(r *readRole) next {
		return c.resting(r, r.beforeBlocking(term, repliesOnly && !partial))
	})
}

// resting gives up the read buffer when the role has just been laid down for more
// than a moment; c.mu is held. Between the calls of a busy caller it stays.
func (c *Conn) resting(r *readRole, do next) next {
	if r.holder == nobody && !r.ticking && !c.in.holdsFrame() {
		c.putAside()
	}
	return do
}

// putAside keeps no more than an unfinished frame. The caller holds the reading
// role, or c.mu while nobody does.
func (c *Conn) putAside() {
	if c.in.shrink() {
		c.in.recycle()
		c.in = nil
	}
}

// park gives the connection to the poller; a caller goes to wait in line.
func (c *Conn) park(term uint32, w *Waiter) {
	c.putAside()
	c.decide(func(r *readRole) next {
		if w != nil && r.holds(term) {
			c.line.add(w)
		}
		return r.wouldBlock(term)
	})
	if w == nil {
		c.idle()
	}
}

// cork holds back what is appended while more frames wait to be received. With
// the last of them it ends, and what was held back leaves with the next Flush: of
// that frame's receiver, or of uncork. Only the reading role calls it.
func (c *Conn) cork(on bool) {
	if c.in != nil && c.in.corked != on {
		c.in.corked = on
		c.in.held = true
		c.w.cork(on)
	}
}

// uncork writes what is held back still.
func (c *Conn) uncork() {
	c.cork(false)
	if c.in != nil && c.in.held {
		c.in.held = false
		c.Flush()
	}
}
