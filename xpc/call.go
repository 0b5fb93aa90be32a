package xpc

import (
	"context"
	"sync"

	"github.com/openxpc/openxpc/transport"
	"github.com/openxpc/openxpc/xpc/internal/lifecycle"
)

// call is a request that waits for its reply. It is completed once, under c.mu:
// for a synchronous caller by waiter, else by a block on q.
type call struct {
	waiter *transport.Waiter
	q      *Queue
	h      Handler

	reply   *receivedMessage
	outcome lifecycle.Outcome
	cause   error

	next *call // of a connection's spare ones, or of those that ended together
}

// keepCalls is how many synchronous calls a connection keeps to be used again. They
// are not pooled across connections: a waiter belongs where its channel was made.
const keepCalls = 255

// asyncCalls are calls without a waiter.
var asyncCalls = sync.Pool{New: func() any { return new(call) }}

// gatherFrom: with so many calls waiting one more is in less haste than it is worth a system call.
const gatherFrom = 4

// newID numbers what the core must tell apart; c.mu is held.
func (c *Connection) newID() lifecycle.ID {
	c.lastID++
	return lifecycle.ID(c.lastID)
}

// pack encodes m. The message is a snapshot (R141).
func (c *Connection) pack(m *Dictionary) (*outgoing, error) {
	if m == nil {
		misuse("a message must be a dictionary.")
	}
	o := newOutgoing()
	if err := encodeFrame(&o.frame, o.memory, m, c.sendLimits.Load()); err != nil {
		o.recycle()
		return nil, err
	}
	o.frame.Kind, o.memory = frameMessage, o.frame.Body[:0]
	return o, nil
}

// agreeLimits works out what may be sent: this side's limits, and the other's
// where it has said them; c.mu is held.
func (c *Connection) agreeLimits() {
	lim := *c.limits
	if l := c.link; l != nil && l.greeted {
		lim.MaxMessageSize = min(lim.MaxMessageSize, l.limits.maxMessage)
		lim.MaxDescriptors = min(lim.MaxDescriptors, l.limits.maxDescriptors)
		lim.MaxSharedSize = min(lim.MaxSharedSize, l.limits.maxShared)
	} else {
		// Perhaps the other side knows nothing of shared data: only what cannot go
		// otherwise is sent on trust.
		lim.SharedDataFrom = max(lim.SharedDataFrom, lim.MaxMessageSize/2)
	}
	if lim == *c.limits {
		c.sendLimits.Store(c.limits)
		return
	}
	agreed := lim
	c.sendLimits.Store(&agreed)
}

// SendMessage sends m and returns at once; it never blocks (R78)
// (xpc_connection_send_message). Messages leave in the order in which they were
// sent. A reply made by CreateReply is sent this way on its RemoteConnection, once
// (R143, R147, R148). On an invalid connection, or one that is lost before the
// message left, m is dropped silently (R85, R120). A message beyond the
// connection's [Limits], or one more than its queue may hold, cancels the
// connection, and the reason names the limit; Send waits or returns an error
// instead.
func (c *Connection) SendMessage(m *Dictionary) {
	if err := c.send(m); err != nil {
		c.cancelBecause(err)
	}
}

func (c *Connection) send(m *Dictionary) error {
	if m != nil && m.in != nil && m.in.isReply {
		return c.sendReply(m)
	}
	o, err := c.pack(m)
	if err != nil {
		return err
	}
	c.mu.Lock()
	return c.submitSend(o)
}

// submitSend is called with c.mu held; it releases it.
func (c *Connection) submitSend(o *outgoing) error {
	id := c.newID()
	o.frame.ID = uint64(id)
	c.after.soon = true
	c.submit(lifecycle.Event{Op: lifecycle.Send, ID: id}, o)
	return c.sent()
}

func (c *Connection) sendReply(m *Dictionary) error {
	m.in.takeReply(c)
	defer m.in.replySent()
	o, err := c.pack(m)
	if err != nil {
		c.abandon(m.in.link.epoch, m.in.id)
		return err
	}
	o.frame.Kind, o.frame.ID = frameReply, m.in.id
	c.mu.Lock()
	c.submit(lifecycle.Event{Op: lifecycle.Reply, ID: c.newID(), Epoch: m.in.link.epoch}, o)
	l, lim := c.link, c.limits
	err = c.sent()
	l.boundReplies(lim)
	return err
}

// sent releases the lock after a submit and cancels if too much has piled up.
func (c *Connection) sent() error {
	l, lim := c.link, c.limits.MaxQueuedBytes
	queued := c.waiting
	c.unlock()
	if l != nil {
		queued += l.conn.Queued()
	}
	if queued <= lim {
		return nil
	}
	err := overLimit("MaxQueuedBytes", lim)
	c.cancelBecause(err)
	return err
}

// abandon tells the sender of a request that no reply is coming (R149).
func (c *Connection) abandon(e lifecycle.Epoch, id uint64) { c.abandonFor(e, id, 0) }

func (c *Connection) abandonFor(e lifecycle.Epoch, id uint64, flags uint8) {
	o := newOutgoing()
	o.frame.Kind, o.frame.ID, o.frame.Flags = frameAbandoned, id, flags
	c.mu.Lock()
	c.submit(lifecycle.Event{Op: lifecycle.Reply, ID: c.newID(), Epoch: e}, o)
	l, lim := c.link, c.limits
	c.unlock()
	l.boundReplies(lim)
}

// SendMessageWithReply sends m and has h called once with the reply, on q, nil
// meaning the connection's target queue (xpc_connection_send_message_with_reply,
// R76). In place of a reply h gets ErrConnectionInterrupted (the service is gone,
// or dropped the request: R127, R149) or ErrConnectionInvalid. Replies come in no
// order (R80).
func (c *Connection) SendMessageWithReply(m *Dictionary, q *Queue, h Handler) {
	if h == nil {
		misuse("a reply handler must not be nil")
	}
	x := asyncCalls.Get().(*call)
	x.q, x.h = q, h
	if _, _, _, err := c.request(m, x); err != nil {
		c.cancelBecause(err)
		c.mu.Lock()
		x.outcome = lifecycle.Invalidated
		c.answer(x)
		c.unlock()
	}
}

// request sends m as the request of x, or with x nil as that of a synchronous
// caller. On error nothing was sent.
func (c *Connection) request(m *Dictionary, x *call) (lifecycle.ID, *link, *call, error) {
	if m != nil && m.in != nil && m.in.isReply {
		misuse("Attempt to send a reply as a message that expects a reply.")
	}
	o, err := c.pack(m)
	if err != nil {
		return 0, nil, nil, err
	}
	c.mu.Lock()
	if n := c.limits.MaxPendingReplies; c.m.Pending() >= n {
		c.mu.Unlock()
		o.discard()
		return 0, nil, nil, overLimit("MaxPendingReplies", n)
	}
	waits := x == nil
	if waits {
		x = c.spareCall()
	}
	id := c.newID()
	o.frame.ID, o.frame.Flags = uint64(id), flagWantsReply
	c.calls.add(id, x)
	if c.paused && c.link != nil {
		c.paused = false
		c.after.rarely().resume = c.link
	}
	c.after.soon = !waits || c.m.Pending() >= gatherFrom
	c.submit(lifecycle.Event{Op: lifecycle.Send, ID: id, Call: true}, o)
	l := c.link
	if l != nil && !l.started {
		l = nil // somebody else will read the reply
	}
	var dial lifecycle.Epoch
	if waits {
		dial, c.after.dial = c.after.dial, 0 // who waits can dial, and read what comes
	}
	c.sent() // too much ends this call too
	if dial != 0 {
		if l = c.dialNow(dial, true); l == nil {
			// Ends when the socket is connected or that failed.
			go c.dial(dial)
		}
	}
	return id, l, x, nil
}

// SendMessageWithReplySync sends m and waits for the reply
// (xpc_connection_send_message_with_reply_sync, R152). The error is a
// [*ConnectionError], ctx's error, or that of a message which cannot be sent. ctx
// covers the look-up, the launch, the write and the reply; when it ends first, the
// reply is dropped when it comes and the service is not told (R151). It may be
// called inside handlers of the same connection, where Apple's deadlocks.
//
// The reply is the caller's for good: it needs no Retain.
func (c *Connection) SendMessageWithReplySync(ctx context.Context, m *Dictionary) (*Dictionary, error) {
	id, l, x, err := c.request(m, nil)
	if err != nil {
		return nil, err
	}
	if err := c.await(ctx, l, id, x); err != nil {
		return nil, err
	}
	reply, outcome, cause := x.reply, x.outcome, x.cause
	c.keepCall(x)
	if outcome == lifecycle.Replied {
		return &reply.Dictionary, nil
	}
	return nil, &ConnectionError{Event: eventOf(outcome), Cause: cause}
}

// spareCall returns a call to be completed for a synchronous caller; c.mu is held.
func (c *Connection) spareCall() *call {
	x := c.spare
	if x == nil {
		return &call{waiter: transport.NewWaiter()}
	}
	c.spare, x.next = x.next, nil
	c.spares--
	return x
}

func (c *Connection) keepCall(x *call) {
	x.reply, x.cause = nil, nil
	x.waiter.Reset()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.spares < keepCalls {
		c.spare, x.next = x, c.spare
		c.spares++
	}
}

// await returns nil when x is complete. When ctx ends first the call is forgotten.
func (c *Connection) await(ctx context.Context, l *link, id lifecycle.ID, x *call) error {
	if l != nil {
		if err := l.conn.Wait(ctx, x.waiter); err == nil {
			return nil
		}
	}
	for !x.waiter.Completed() {
		select {
		case <-x.waiter.Woken():
		case <-ctx.Done():
			return c.forget(id, x, ctx.Err())
		}
	}
	return nil
}

func (c *Connection) forget(id lifecycle.ID, x *call, err error) error {
	c.mu.Lock()
	if x.waiter.Completed() {
		c.mu.Unlock()
		return nil
	}
	c.calls.remove(id)
	c.step(lifecycle.Event{Op: lifecycle.Forget, ID: id})
	c.unlock()
	return err
}

func eventOf(o lifecycle.Outcome) *Error {
	switch o {
	case lifecycle.Interrupted:
		return ErrConnectionInterrupted
	case lifecycle.Unqualified:
		return ErrPeerCodeSigningRequirement
	}
	return ErrConnectionInvalid
}

// complete ends a call; c.mu is held.
func (c *Connection) complete(id lifecycle.ID, o lifecycle.Outcome) {
	x := c.calls.remove(id)
	x.outcome = o
	if o != lifecycle.Replied && x.cause == nil {
		x.cause = c.rare.cause
		if c.rare.reason != nil {
			x.cause = c.rare.reason
		}
	}
	if x.waiter != nil {
		x.waiter.Complete()
		return
	}
	c.answer(x)
}

// answer sends the reply handler of a call that has ended to its queue; c.mu is held.
func (c *Connection) answer(x *call) {
	if x.q == nil {
		x.q = c.queue
	}
	if x.outcome != lifecycle.Replied && x.q.concurrent { // it may be one of very many
		c.after.end(x)
		return
	}
	c.answerAsync(x)
	x.recycle()
}

func (x *call) recycle() {
	*x = call{}
	asyncCalls.Put(x)
}

// answerAsync sends the reply handler to its queue, or lets the reader run it; c.mu is held.
func (c *Connection) answerAsync(x *call) {
	b := x.block()
	if l := c.reader; l != nil && b.q.enter() {
		l.work.replies = append(l.work.replies, b)
		return
	}
	b.q.Async(b.run)
}

func (x *call) block() replyBlock {
	if x.outcome == lifecycle.Replied {
		return replyBlock{x.q, x.h, &x.reply.Dictionary}
	}
	return replyBlock{x.q, x.h, eventOf(x.outcome)}
}

// startEach runs the handler of each call on a goroutine of its own, which the one
// before it has started: to start all of them at once would take as many stacks.
func startEach(x *call) {
	if x == nil {
		return
	}
	// Ends with the handler.
	go func() {
		b := x.block()
		startEach(x.next)
		x.recycle()
		b.run()
	}()
}

// SendBarrier has f run once, on a goroutine of its own, after every message sent
// before has been written or discarded; none is written while f runs (R153, R154,
// R156). It says nothing of what the other side has received. After Cancel f still
// runs (R86).
func (c *Connection) SendBarrier(f func()) {
	if f == nil {
		misuse("a barrier must not be nil")
	}
	c.mu.Lock()
	id := c.newID()
	r := c.rarely()
	if r.barriers == nil {
		r.barriers = map[lifecycle.ID]func(){}
	}
	r.barriers[id] = f
	c.step(lifecycle.Event{Op: lifecycle.Barrier, ID: id})
	c.unlock()
}

// sendWindow is what may be queued before Send waits.
const sendWindow = 1 << 20

// Send is SendMessage for senders that would rather wait than fill the queue: it
// waits until less than 1 MiB, or half of MaxQueuedBytes, is queued for the other
// side, or ctx ends. It returns ctx's error, a [*ConnectionError] if the connection
// is invalid, or why m cannot be sent; then nothing was. Only a message that is
// itself beyond MaxQueuedBytes, or that many senders together, cancel the connection.
func (c *Connection) Send(ctx context.Context, m *Dictionary) error {
	if sent, err := c.sendAtOnce(m); sent {
		return err
	}
	for {
		room, err := c.awaitRoom()
		if err != nil {
			return err
		}
		if room == nil {
			return c.send(m)
		}
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// sendAtOnce is Send where nobody waits for room and there is some: with one look under
// the lock. It reports whether that was so.
func (c *Connection) sendAtOnce(m *Dictionary) (sent bool, err error) {
	if c.crowded.Load() || m != nil && m.in != nil && m.in.isReply {
		return false, nil
	}
	o, err := c.pack(m)
	if err != nil {
		return false, nil // what is wrong with the connection comes first
	}
	c.mu.Lock()
	if _, full := c.sendingFull(); full || c.rare.reason != nil {
		c.mu.Unlock()
		o.discard()
		return false, nil
	}
	return true, c.submitSend(o)
}

// awaitRoom returns nil when there is room, else a channel that is closed when it is time to look again.
func (c *Connection) awaitRoom() (<-chan struct{}, error) {
	c.mu.Lock()
	room, await, err := c.roomLocked()
	c.mu.Unlock()
	if await != nil { // not under the lock: Written may call what others gave it, too
		await.conn.HalfWritten(c.roomAgain)
	}
	return room, err
}

// roomLocked is awaitRoom with c.mu held; the room that it makes is to be closed
// when everything is written that was appended to await, if it is not nil.
func (c *Connection) roomLocked() (room <-chan struct{}, await *link, err error) {
	if c.rare.reason != nil {
		return nil, nil, &ConnectionError{Event: ErrConnectionInvalid, Cause: c.rare.reason}
	}
	appended, full := c.sendingFull()
	if !full {
		return nil, nil, nil
	}
	r := c.rarely()
	if r.room == nil {
		r.room = make(chan struct{})
		c.crowded.Store(true)
		if appended > 0 { // else only what is not appended yet is in the way
			await = c.link
		}
	}
	return r.room, await, nil
}

// sendingFull says whether so much is queued that Send waits, and how much of it was handed
// to the socket; c.mu is held.
func (c *Connection) sendingFull() (appended int, full bool) {
	if c.link != nil {
		appended = c.link.conn.Queued()
	}
	queued := c.waiting + appended
	return appended, queued > 0 && queued >= min(sendWindow, c.limits.MaxQueuedBytes/2)
}

func (c *Connection) roomAgain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.signalRoom()
}
