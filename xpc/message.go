package xpc

import (
	"runtime"
	"sync"

	"github.com/openxpc/openxpc/credentials"
	"github.com/openxpc/openxpc/xpc/internal/lifecycle"
)

// incoming ties a received dictionary to where it came from and to what the
// sender is still owed. One obligation lives in it: a request that expects a
// reply is answered, passed on to a reply object, or reported as dropped (R149).
type incoming struct {
	link   *link // that the message came on, or what a reply object answers
	id     uint64
	reply  *Dictionary   // made while the handler runs; this and what follows are guarded by mu
	rare   *incomingRare // &noRare until there is something; see rarely
	mu     sync.Mutex
	held   int32 // Retains without their Release
	states incomingStates

	isReply bool // this ties a reply object to its request; it and what follows never change
	judged  bool // it is known whether the connection's requirement is met
}

// incomingStates are several in one byte: a message is to be small.
type incomingStates uint8

const (
	owes     incomingStates = 1 << iota // a reply is expected and no reply object was made
	returned                            // the handler has returned
	released
	sending // this reply was claimed by its sender and has not left yet
	counts  // a transaction is open for it
)

func (s incomingStates) are(which incomingStates) bool { return s&which != 0 }

// put makes them so or not.
func (s *incomingStates) put(which incomingStates, so bool) {
	if *s &^= which; so {
		*s |= which
	}
}

// take says whether they were so, and they are no longer.
func (s *incomingStates) take(which incomingStates) (were bool) {
	were = s.are(which)
	s.put(which, false)
	return were
}

// incomingRare is what few messages have: a message is to be small.
type incomingRare struct {
	sender  *credentials.Credentials // nil: the link's
	fds     []*FD
	refusal error // why the connection's requirement is not met, once judged
	cleanup runtime.Cleanup
}

var noRare incomingRare

// rarely is the message's rare, to be written to.
func (in *incoming) rarely() *incomingRare {
	if in.rare == &noRare {
		in.rare = new(incomingRare)
	}
	return in.rare
}

// sender is who wrote a received message.
func (in *incoming) sender() credentials.Credentials {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.rare.sender != nil {
		return *in.rare.sender
	}
	return *in.link.sender
}

// receivedMessage is one allocation for a dictionary and its origin.
type receivedMessage struct {
	Dictionary
	from incoming
}

// newReceived makes room for n entries, if they are few, in the same allocation.
func newReceived(l *link, id uint64, n int) (m *receivedMessage) {
	switch {
	case n <= 1:
		s := new(struct {
			receivedMessage
			room [1]entry
		})
		m, s.entries = &s.receivedMessage, s.room[:0]
	case n <= 2:
		s := new(struct {
			receivedMessage
			room [2]entry
		})
		m, s.entries = &s.receivedMessage, s.room[:0]
	case n <= 3:
		s := new(struct {
			receivedMessage
			room [3]entry
		})
		m, s.entries = &s.receivedMessage, s.room[:0]
	case n <= 4:
		s := new(struct {
			receivedMessage
			room [4]entry
		})
		m, s.entries = &s.receivedMessage, s.room[:0]
	case n <= 8:
		s := new(struct {
			receivedMessage
			room [8]entry
		})
		m, s.entries = &s.receivedMessage, s.room[:0]
	default:
		m = new(receivedMessage)
	}
	m.in = &m.from
	m.from.link, m.from.id, m.from.rare = l, id, &noRare
	return m
}

// debt is what is left of a message or reply that is given up, and what a cleanup
// needs to settle it without keeping the dictionary alive.
type debt struct {
	c      *Connection
	epoch  lifecycle.Epoch
	id     uint64
	owed   bool // the sender is to be told that no reply is coming
	counts bool
}

func (in *incoming) debt() debt {
	return debt{in.link.c, in.link.epoch, in.id, in.states.are(owes), in.states.are(counts)}
}

func (d debt) settle() {
	if d.owed {
		d.c.abandon(d.epoch, d.id)
	}
	if d.counts {
		d.c.process.end()
	}
}

// CreateReply makes the reply to a received message (xpc_dictionary_create_reply):
// fill it and send it with SendMessage on RemoteConnection. It returns nil, as
// Apple's does (R144), for a dictionary that was not received, whose sender
// expects no reply, or that has its reply already; and, in Go, when the handler
// has returned without Retain. The obligation to answer moves to the reply: send
// it or Release it, or the sender waits until the collector finds the reply and
// tells it that none is coming (R150).
func (d *Dictionary) CreateReply() *Dictionary {
	if d == nil || d.in == nil || d.in.isReply {
		return nil
	}
	in := d.in
	in.mu.Lock()
	defer in.mu.Unlock()
	if !in.states.are(owes) || in.states.are(released) {
		return nil
	}
	in.states.put(owes, false)
	reply := newReceived(in.link, in.id, fewKeys)
	reply.from.isReply, reply.from.states = true, owes
	if in.states.are(returned) {
		reply.from.states.put(counts, in.states.take(counts))
		in.rare.cleanup.Stop()
		reply.from.watch(&reply.Dictionary)
	} else {
		in.reply = &reply.Dictionary
	}
	return &reply.Dictionary
}

// RemoteConnection is the connection that a received message, or a received
// reply, came on, and for a reply made by CreateReply the one to send it on
// (xpc_dictionary_get_remote_connection, R145). It is nil for any other dictionary.
func (d *Dictionary) RemoteConnection() *Connection {
	if d == nil || d.in == nil {
		return nil
	}
	return d.in.link.c
}

// Sender says who wrote a received message, as the kernel attached it to the
// message itself; it is credentials.Unknown for a dictionary that was not
// received, and where the kernel does not say. [Connection.PID] and its
// neighbours tell who connected (R162, R196).
func (d *Dictionary) Sender() credentials.Credentials {
	if d == nil || d.in == nil || d.in.isReply {
		return credentials.Unknown()
	}
	return d.in.sender()
}

// Retain keeps a received message beyond the return of its handler (xpc_retain,
// R69); it must be called inside the handler, and each Retain needs a Release. It
// returns d. On other dictionaries it does nothing: the collector keeps those.
func (d *Dictionary) Retain() *Dictionary {
	if d == nil || d.in == nil {
		return d
	}
	d.in.mu.Lock()
	gone := d.in.states.are(released)
	d.in.held++
	d.in.mu.Unlock()
	if gone {
		misuse("Retain of a message that was released.")
	}
	return d
}

// Release undoes a Retain (xpc_release). The last one after the handler has
// returned gives the message up: if it expects a reply and has none, the sender
// is told that none is coming, and descriptors that nobody took are closed. On a
// reply made by CreateReply that was not sent it tells the sender the same
// (R150). On other dictionaries it does nothing. More releases than retains are
// misuse.
func (d *Dictionary) Release() {
	if d == nil || d.in == nil {
		return
	}
	in := d.in
	in.mu.Lock()
	if in.isReply && in.held == 0 {
		in.mu.Unlock()
		in.giveUp()
		return
	}
	in.held--
	over := in.held < 0
	last := in.held == 0 && (in.states.are(returned) || in.isReply)
	in.mu.Unlock()
	if over {
		misuse("Over-release of object.")
	}
	if last {
		in.giveUp()
	}
}

// handlerReturned ends the runtime's own hold on the message.
func (d *Dictionary) handlerReturned() {
	in := d.in
	in.mu.Lock()
	in.states.put(returned, true)
	reply := in.reply
	in.reply = nil
	open := reply != nil && in.states.take(counts) // it is the reply's now
	if in.held > 0 {
		if in.states.are(owes | counts) {
			in.watch(d)
		}
		in.mu.Unlock()
	} else {
		in.giveUpLocked()
	}
	if reply != nil {
		reply.in.backstop(reply, open)
	}
}

// backstop watches a reply that was made and not sent while the handler ran, and
// ends the message's transaction unless the reply goes on with it.
func (in *incoming) backstop(reply *Dictionary, open bool) {
	in.mu.Lock()
	if in.states.are(owes | sending) {
		in.states.put(counts, open)
		open = false
	}
	if in.states.are(owes) {
		in.watch(reply)
	}
	in.mu.Unlock()
	if open {
		in.link.c.process.end()
	}
}

// watch makes the collector the backstop for an obligation; in.mu is held.
func (in *incoming) watch(d *Dictionary) {
	in.rarely().cleanup = runtime.AddCleanup(d, debt.settle, in.debt())
}

// giveUp is the final release.
func (in *incoming) giveUp() {
	in.mu.Lock()
	in.giveUpLocked()
}

// giveUpLocked is giveUp with in.mu held; it releases it.
func (in *incoming) giveUpLocked() {
	left := in.debt()
	in.states.put(owes|counts, false)
	in.states.put(released, true)
	fds := in.rare.fds
	if in.rare != &noRare {
		in.rare.cleanup.Stop()
		in.rare.fds = nil
	}
	in.mu.Unlock()
	for _, f := range fds {
		if !f.taken.Load() {
			f.Close()
		}
	}
	left.settle()
}

// takeReply claims the right to send a reply, once, on its own connection.
func (in *incoming) takeReply(c *Connection) {
	if in.link.c != c {
		misuse("Attempt to send a message expecting a reply to a connection other than the one it belongs to.")
	}
	in.mu.Lock()
	ok := in.states.take(owes)
	in.states.put(sending, ok)
	in.rare.cleanup.Stop()
	in.mu.Unlock()
	if !ok {
		misuse("Attempt to send a reply that was sent or released already.")
	}
}

// replySent ends the transaction of a reply that is on its way.
func (in *incoming) replySent() {
	in.mu.Lock()
	open := in.states.take(counts)
	in.states.put(sending, false)
	in.mu.Unlock()
	if open {
		in.link.c.process.end()
	}
}

// deliver opens the transaction of a message that is about to be handled; false
// if the process is to end and the message will not be.
func (in *incoming) deliver() bool {
	if !in.link.c.process.begin() {
		in.discardUnseen()
		return false
	}
	in.states.put(counts, true)
	return true
}
