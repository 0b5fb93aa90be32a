package xpc

import (
	"fmt"
	"sync"

	"github.com/openxpc/openxpc/transport"
	"github.com/openxpc/openxpc/xpc/internal/lifecycle"
)

// after is what a Step leaves to be done once the lock is released.
type after struct {
	flush  *link
	soon   bool       // the flush may wait for more
	more   *afterMore // nil mostly; see rarely
	dial   lifecycle.Epoch
	lookUp bool
	unlist bool // the listening socket is no longer wanted
	left   bool // the connection became invalid: whoever keeps it in a table is told
}

// afterMore is what few Steps leave.
type afterMore struct {
	closing []*link
	written *link
	behind  lifecycle.ID
	refused []*Connection // peers that will not be delivered
	misuse  string
	resume  *link
	appears bool // the peer met its listener's requirement
	ask     *witness

	ended, endedLast *call // without a reply, whose handlers are to run beside each other
}

func (a *after) rarely() *afterMore {
	if a.more == nil {
		a.more = new(afterMore)
	}
	return a.more
}

func (a *after) end(x *call) {
	m := a.rarely()
	if m.ended == nil {
		m.ended = x
	} else {
		m.endedLast.next = x
	}
	m.endedLast = x
}

// step takes an event and carries out its effects as far as they are memory; c.mu
// is held, and the caller releases it with unlock. It is the one door for every
// change of the connection's state.
func (c *Connection) step(ev lifecycle.Event) {
	wasValid := c.m.State() != lifecycle.Invalid
	for _, e := range c.m.Step(ev) {
		c.apply(e)
	}
	if wasValid && c.m.State() == lifecycle.Invalid {
		c.becameInvalid()
	}
}

func (c *Connection) becameInvalid() {
	r := c.rarely()
	if r.reason = r.cause; r.reason == nil {
		r.reason = ErrCanceled
	}
	c.signalRoom()
	c.after.left = true
}

func (c *Connection) apply(e lifecycle.Effect) {
	switch e.Do {
	case lifecycle.Write:
		c.write(e.ID)
	case lifecycle.Schedule:
		c.schedule()
	case lifecycle.Run:
		c.due, c.what = true, e.What
	case lifecycle.Complete:
		c.complete(e.ID, e.Outcome)
	case lifecycle.Discard:
		if o := c.takeOutgoing(e.ID); o != nil {
			o.discard()
		}
	case lifecycle.Drop:
		c.dropEvent(e.ID)
	case lifecycle.RunBarrier:
		c.runBarrier(e.ID)
	case lifecycle.Flush:
		a := c.after.rarely()
		a.written, a.behind = c.link, e.ID
	case lifecycle.LookUp:
		c.after.lookUp = true
	case lifecycle.Dial:
		c.after.dial = e.Epoch
	case lifecycle.Close:
		c.closeLink(e.Epoch)
	case lifecycle.Finish:
		c.handler = nil
	case lifecycle.OverResume:
		c.after.rarely().misuse = "Over-resume of a connection."
	}
}

// unlock releases c.mu and does what may not be done under it.
func (c *Connection) unlock() {
	a := c.after
	c.after = after{}
	c.mu.Unlock()
	switch {
	case a.flush == nil:
	case a.soon:
		a.flush.conn.FlushSoon()
	default:
		a.flush.conn.Flush()
	}
	if a.more != nil {
		c.followUp(a.more)
	}
	if a.left {
		c.leave()
	}
	if a.unlist {
		c.listening.stop()
	}
	if a.lookUp && !c.lookUpNow() {
		// Ends with the registry's answer.
		go c.lookUp()
	}
	if a.dial != 0 && c.dialNow(a.dial, false) == nil {
		// Ends when the socket is connected or that failed.
		go c.dial(a.dial)
	}
	if a.more != nil && a.more.misuse != "" {
		misuse("%s", a.more.misuse)
	}
}

func (c *Connection) followUp(a *afterMore) {
	startEach(a.ended)
	if a.written != nil {
		c.awaitWritten(a.written, a.behind)
	}
	if a.resume != nil {
		a.resume.conn.Resume()
	}
	if a.ask != nil {
		a.ask.begin()
	}
	for _, l := range a.closing {
		l.conn.Close()
	}
	for _, p := range a.refused {
		p.Cancel()
	}
	if a.appears {
		c.home.announce(c, nil)
	}
}

// leave takes an invalid connection out of the tables it stands in.
func (c *Connection) leave() {
	if c.home != nil {
		c.home.forget(c)
	}
	if c.origin != nil {
		c.origin.leave(c)
	}
	if c.isPeer() {
		c.process.forget(c)
	}
}

// ---- sending

// outgoing is a message on its way out. From submit on it is the connection's,
// which recycles or discards it.
type outgoing struct {
	id     lifecycle.ID
	frame  transport.Frame
	memory []byte // empty; Body lies in it, unless it was too long
}

// keepBodies: longer memory is left to the collector.
const keepBodies = 16 << 10

var outgoings = sync.Pool{New: func() any { return &outgoing{memory: make([]byte, 0, 512)} }}

func newOutgoing() *outgoing { return outgoings.Get().(*outgoing) }

func (o *outgoing) discard() {
	for _, d := range o.frame.Files {
		d.Close()
	}
	o.recycle()
}

func (o *outgoing) recycle() {
	if cap(o.memory) > keepBodies {
		return
	}
	o.frame = transport.Frame{}
	outgoings.Put(o)
}

func (o *outgoing) size() int { return o.frame.Size() + o.frame.Beside }

// submit steps with o as the message of the event; c.mu is held.
func (c *Connection) submit(ev lifecycle.Event, o *outgoing) {
	o.id = ev.ID
	c.staged = o
	c.step(ev)
	if c.staged == nil {
		return
	}
	c.staged = nil
	if c.outgoing == nil {
		c.outgoing = map[lifecycle.ID]*outgoing{}
	}
	c.outgoing[ev.ID] = o
	c.waiting += o.size()
}

// takeOutgoing finds a message that is to be written or discarded.
func (c *Connection) takeOutgoing(id lifecycle.ID) *outgoing {
	if o := c.staged; o != nil && o.id == id {
		c.staged = nil
		return o
	}
	o := c.outgoing[id]
	if o == nil {
		return nil
	}
	if delete(c.outgoing, id); len(c.outgoing) == 0 {
		c.outgoing = nil
	}
	if c.waiting -= o.size(); c.waiting == 0 {
		c.signalRoom()
	}
	return o
}

func (c *Connection) write(id lifecycle.ID) {
	o := c.takeOutgoing(id)
	if c.rare.probes > 0 {
		c.rare.probes = 0
	}
	if !c.link.append(&o.frame) {
		o.recycle()
	}
	c.after.flush = c.link
}

func (c *Connection) awaitWritten(l *link, id lifecycle.ID) {
	l.conn.Written(func() {
		c.mu.Lock()
		c.step(lifecycle.Event{Op: lifecycle.Flushed, Epoch: l.epoch, ID: id})
		c.unlock()
	})
}

// runBarrier runs the block on a goroutine of its own: never on a sender's (R77).
func (c *Connection) runBarrier(id lifecycle.ID) {
	f := c.rare.barriers[id]
	delete(c.rare.barriers, id)
	// Ends with the block.
	go func() {
		f()
		c.mu.Lock()
		c.step(lifecycle.Event{Op: lifecycle.BarrierDone, ID: id})
		c.unlock()
	}()
}

// ---- delivering

// schedule has deliver run on the target queue: by the reader itself if it asked
// and the queue is idle, else as a block.
func (c *Connection) schedule() {
	if c.inDeliver {
		c.again = true
		return
	}
	if l := c.link; l != nil && l.undecided() && !l.dials {
		l.w.held = true
		return
	}
	c.on = c.queue
	if l := c.reader; l != nil && c.queue.enter() {
		if l.c == c {
			l.work.deliver = c.queue
		} else {
			l.work.greets = c.queue // nobody else knows that connection yet
		}
		return
	}
	c.queue.Async(c.deliver)
}

// deliver is a block on the target queue: it runs the event handler for what is
// due, and for what became due meanwhile unless others wait for the queue.
func (c *Connection) deliver() {
	c.mu.Lock()
	c.deliverLocked()
}

// deliverLocked is deliver with c.mu held; it releases it.
func (c *Connection) deliverLocked() {
	for {
		c.inDeliver = true
		c.step(lifecycle.Event{Op: lifecycle.Begin})
		h, ev := c.takeDue()
		if ev.obj == nil {
			c.endDeliver()
			return
		}
		guarded := c.rare.guard != nil
		c.unlock()

		got := ev.obj
		if guarded && h != nil {
			got = c.admit(got)
		}
		if h != nil && got != nil {
			h(got)
		}
		if d, ok := ev.obj.(*Dictionary); ok && d.in != nil {
			d.handlerReturned()
		}

		c.mu.Lock()
		c.step(lifecycle.Event{Op: lifecycle.HandlerDone})
		if ev.obj == Object(ErrConnectionInvalid) {
			c.finish()
			return
		}
		if !c.again || c.on != c.queue || !c.on.uncontended() {
			c.endDeliver()
			return
		}
		c.again = false
	}
}

// endDeliver gives up the block; c.mu is held.
func (c *Connection) endDeliver() {
	c.inDeliver = false
	if c.again {
		c.again = false
		c.on = c.queue
		c.queue.Async(c.deliver)
	}
	c.unlock()
}

// finish runs after the final event's handler: the finalizer, then Done. c.mu is held.
func (c *Connection) finish() {
	f, v := c.rare.finalizer, c.rare.context
	if f != nil {
		c.rare.finalizer = nil
	}
	c.inDeliver = false
	c.unlock()
	if f != nil {
		f(v)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.finished = true
	if c.rare.done != nil {
		close(c.rare.done)
	}
}

// takeDue is what the Step has chosen to be handled, an event without an object
// if there is nothing.
func (c *Connection) takeDue() (Handler, event) {
	if !c.due {
		return nil, event{}
	}
	c.due = false
	switch c.what {
	case lifecycle.InterruptedEvent:
		return c.handler, event{obj: ErrConnectionInterrupted}
	case lifecycle.InvalidEvent:
		return c.handler, event{obj: ErrConnectionInvalid}
	}
	ev := c.events.pop()
	c.account(-ev.size)
	if d, ok := ev.obj.(*Dictionary); ok && c.isPeer() && !d.in.deliver() {
		return nil, ev
	}
	return c.handler, ev
}

// account counts what waits for the event handler, and reads on when there is room.
func (c *Connection) account(n int) {
	c.unread += n
	if c.paused && c.hasRoom() {
		c.paused = false
		c.after.rarely().resume = c.link
	}
}

// hasRoom says whether enough was handled, and read by the peer, to read on.
func (c *Connection) hasRoom() bool {
	return c.unread <= c.limits.MaxReceivedBytes/2 && c.events.len() <= c.limits.MaxReceivedMessages/2 && (c.link == nil || c.link.unread == nil)
}

// dropEvent lets go of something that will not be delivered: what was just
// pushed, or on cancel the oldest.
func (c *Connection) dropEvent(id lifecycle.ID) {
	var ev event
	switch {
	case c.events.len() == 0:
		return
	case c.events.last().id == id:
		ev = c.events.popLast()
	case c.events.first().id == id:
		ev = c.events.pop()
	default:
		return
	}
	c.account(-ev.size)
	switch o := ev.obj.(type) {
	case *Connection:
		a := c.after.rarely()
		a.refused = append(a.refused, o)
	case *Dictionary:
		o.in.discardUnseen()
	}
}

// discardUnseen closes what came with a message that no handler will see. Its
// sender learns of the end of the connection.
func (in *incoming) discardUnseen() {
	in.mu.Lock()
	in.states.put(owes, false)
	in.mu.Unlock()
	in.giveUp()
}

// ---- room

func (c *Connection) signalRoom() {
	if c.rare.room != nil {
		close(c.rare.room)
		c.rare.room = nil
		c.crowded.Store(false)
	}
}

// overLimit is a limit of this side's that a connection ran into.
func overLimit(name string, limit int) error {
	return fmt.Errorf("the connection's limit %s of %d was reached", name, limit)
}
