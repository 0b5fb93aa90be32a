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
	sender *credentials.Credentials // of a received message
	judged bool                     // it is known whether the connection's requirement is met

	owes     bool // this and what follows are guarded by mu. A reply is expected and no reply object was made
	returned bool // the handler has returned
	released bool
	sending  bool // this reply was claimed by its sender and has not left yet
	isReply  bool // this ties a reply object to its request
	counts   bool // a transaction is open for it
	retains  int32
	mu       sync.Mutex
	reply    *Dictionary   // made while the handler runs
	rare     *incomingRare // &noRare until there is something; see rarely
}

// incomingRare is what few messages have: a message is to be small.
type incomingRare struct {
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

// receivedMessage is one allocation for a dictionary and its origin.
type receivedMessage struct {
	Dictionary
	from incoming
}

// newReceived makes room for n entries, if they are few, in the same allocation.
func newReceived(l *link, id uint64, n int) (m *receivedMessage) {
	switch {
	case n <= 2:
		s := new(struct {
			receivedMessage
			room [2]entry
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

func (in *incoming) debt() debt { return debt{in.link.c, in.link.epoch, in.id, in.owes, in.counts} }

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
	if !in.owes || in.released {
		return nil
	}
	in.owes = false
	reply := newReceived(in.link, in.id, fewKeys)
	reply.from.isReply, reply.from.owes = true, true
	if in.returned {
		reply.from.counts, in.counts = in.counts, false
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
	if d == nil || d.in == nil || d.in.isReply || d.in.sender.PID == 0 {
		return credentials.Unknown()
	}
	return *d.in.sender
}

// Retain keeps a received message beyond the return of its handler (xpc_retain,
// R69); it must be called inside the handler, and each Retain needs a Release. It
// returns d. On other dictionaries it does nothing: the collector keeps those.
func (d *Dictionary) Retain() *Dictionary {
	if d == nil || d.in == nil {
		return d
	}
	d.in.mu.Lock()
	released := d.in.released
	d.in.retains++
	d.in.mu.Unlock()
	if released {
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
	if in.isReply && in.retains == 0 {
		in.mu.Unlock()
		in.giveUp()
		return
	}
	in.retains--
	over := in.retains < 0
	last := in.retains == 0 && (in.returned || in.isReply)
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
	in.returned = true
	reply, counts := in.reply, in.counts
	in.reply = nil
	if reply != nil {
		in.counts = false // it is the reply's now
	}
	if in.retains > 0 {
		if in.owes || in.counts {
			in.watch(d)
		}
		in.mu.Unlock()
	} else {
		in.giveUpLocked()
	}
	if reply != nil {
		reply.in.backstop(reply, counts)
	}
}

// backstop watches a reply that was made and not sent while the handler ran, and
// ends the message's transaction unless the reply goes on with it.
func (in *incoming) backstop(reply *Dictionary, counts bool) {
	in.mu.Lock()
	if in.owes || in.sending {
		in.counts, counts = counts, false
	}
	if in.owes {
		in.watch(reply)
	}
	in.mu.Unlock()
	if counts {
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
	in.owes, in.counts, in.released = false, false, true
	fds := in.rare.fds
	if in.rare != &noRare {
		in.rare.cleanup.Stop()
		in.rare = &noRare
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
	ok := in.owes
	in.owes, in.sending = false, ok
	in.rare.cleanup.Stop()
	in.mu.Unlock()
	if !ok {
		misuse("Attempt to send a reply that was sent or released already.")
	}
}

// replySent ends the transaction of a reply that is on its way.
func (in *incoming) replySent() {
	in.mu.Lock()
	counts := in.counts
	in.sending, in.counts = false, false
	in.mu.Unlock()
	if counts {
		in.link.c.process.end()
	}
}

// deliver opens the transaction of a message that is about to be handled; false
// if the process is to end and the message will not be.
func (in *incoming) deliver() bool {
	if in.counts = in.link.c.process.begin(); !in.counts {
		in.discardUnseen()
	}
	return in.counts
}
