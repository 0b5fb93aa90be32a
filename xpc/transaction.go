package xpc

import (
	"maps"
	"os"
	"os/signal"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/xpc/bootstrap"
	"github.com/openxpc/openxpc/xpc/internal/lifecycle"
)

// TransactionBegin opens a transaction: until the TransactionEnd that goes with it
// the process is busy, and a registry that wants it to end waits, at most for the
// job's exit timeout (xpc_transaction_begin, R180). Messages open one by themselves:
// from delivery to an accepted peer's handler until that has returned, longer for a
// message that is retained, or whose reply is still to be sent (R181, R182). So it is
// for work that goes on after that.
//
// Transactions mean something in a job whose file says EnableTransactions, and
// nothing elsewhere. There is one count for the process: any goroutine may begin, and
// another one end.
func TransactionBegin() { theProcess.beginExplicit() }

// TransactionEnd closes a transaction that TransactionBegin opened
// (xpc_transaction_end). If the process has been told to end, and this was the last
// one, it ends now, with status 0. One too many is misuse.
func TransactionEnd() { theProcess.endExplicit() }

// theProcess is where every connection of the program counts.
var theProcess = func() *transactions {
	t := newTransactions(func() { os.Exit(0) })
	if tally := inheritedTally(); tally != nil {
		t.open, t.turns = &tally.Open, &tally.Turns
		t.turns.Add(1)
	}
	return t
}()

// transactions are those of a process, and how it ends: asked to, at once if none is
// open, else its peers are told and take no more messages, and the end of the last
// transaction is that of the process (R184, R186).
type transactions struct {
	open     *atomic.Int64 // how many, plus ending
	turns    *atomic.Int64 // from idle to busy
	explicit atomic.Int64  // TransactionBegin without its end
	leaving  atomic.Bool   // exit will be called
	exit     func()
	signals  sync.Once // SIGTERM is ours

	mu        sync.Mutex // guards the rest
	peers     map[*Connection]struct{}
	listeners map[*listener]struct{} // whose sockets the registry keeps
}

// ending is added to the count, once, when the process is told to end.
const ending = bootstrap.Ending

// lastWrites is how long an ending process waits for clients to take what was sent.
const lastWrites = 4 * time.Second

func newTransactions(exit func()) *transactions {
	return &transactions{exit: exit, open: new(atomic.Int64), turns: new(atomic.Int64), peers: map[*Connection]struct{}{}, listeners: map[*listener]struct{}{}}
}

// begin opens a transaction; false, and none, if the process is to end.
func (t *transactions) begin() bool {
	if t.isEnding() {
		return false
	}
	if t.count() {
		return true
	}
	t.end()
	return false
}

// count opens a transaction, also in a process that is to end: then it is false.
func (t *transactions) count() bool {
	n := t.open.Add(1)
	if n == 1 {
		t.turns.Add(1)
	}
	return n < ending
}

// end closes one, and the process if it was the last it waited for.
func (t *transactions) end() {
	if t.open.Add(-1) == ending {
		// Ends with the process.
		go t.leave()
	}
}

func (t *transactions) beginExplicit() {
	t.explicit.Add(1)
	t.count()
}

func (t *transactions) endExplicit() {
	if t.explicit.Add(-1) < 0 {
		t.explicit.Add(1)
		misuse("Unbalanced call to xpc_transaction_end().")
	}
	t.end()
}

func (t *transactions) isEnding() bool { return t.open.Load() >= ending }

// terminate tells the process to end. If it is idle, and nothing waits to be
// written, that is true, and the caller may end it at once; else it ends by itself.
func (t *transactions) terminate() (idle bool) {
	before := t.open.Or(ending)
	first := before < ending
	if first {
		t.stopAccepting()
	}
	switch {
	case before&^ending == 0 && len(t.unwritten()) == 0:
		return true
	case before&^ending == 0:
		// Ends with the process.
		go t.leave()
	case first:
		for _, p := range t.everyPeer() {
			p.notice(ErrTerminationImminent)
		}
	}
	return false
}

// retire ends the process if it is idle, as it is not needed or memory is: then it is true, no
// message is taken any more, and the caller may end it at once (R183, R185).
func (t *transactions) retire() (idle bool) {
	if len(t.unwritten()) > 0 || !t.open.CompareAndSwap(0, ending) {
		return false
	}
	t.stopAccepting()
	return true
}

// abandoned is told that whoever asked will not end an idle process any more.
func (t *transactions) abandoned() {
	if t.open.Load() == ending {
		t.leave()
	}
}

// leave ends the process when what was sent is with the peers, or they had their time.
func (t *transactions) leave() {
	if t.leaving.Swap(true) {
		return
	}
	links := t.unwritten()
	written := make(chan struct{}, len(links))
	for _, l := range links {
		l.conn.Written(func() { written <- struct{}{} })
	}
	patience := time.NewTimer(lastWrites)
	defer patience.Stop()
	for range links {
		select {
		case <-written:
		case <-patience.C:
			t.exit()
			return
		}
	}
	t.exit()
}

// unwritten are the peers' sockets that hold something back.
func (t *transactions) unwritten() (links []*link) {
	for _, p := range t.everyPeer() {
		p.mu.Lock()
		l := p.link
		p.mu.Unlock()
		if l != nil && l.conn.Queued() > 0 {
			links = append(links, l)
		}
	}
	return links
}

// catchSIGTERM has the signal mean what the registry's request does.
func (t *transactions) catchSIGTERM() {
	t.signals.Do(func() {
		terms := make(chan os.Signal, 1)
		signal.Notify(terms, unix.SIGTERM)
		// Ends with the process.
		go func() {
			for range terms {
				if t.terminate() {
					t.leave()
				}
			}
		}()
	})
}

// ---- who is told

func (t *transactions) join(p *Connection) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.peers[p] = struct{}{}
}

func (t *transactions) forget(p *Connection) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.peers, p)
}

func (t *transactions) everyPeer() []*Connection {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Keys(t.peers))
}

// listens notes a listener whose socket outlives the process.
func (t *transactions) listens(l *listener) {
	t.mu.Lock()
	t.listeners[l] = struct{}{}
	t.mu.Unlock()
	if t.isEnding() {
		t.stopAccepting()
	}
}

func (t *transactions) stopped(l *listener) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.listeners, l)
}

// stopAccepting leaves the clients in the queue to the process that comes next.
func (t *transactions) stopAccepting() {
	t.mu.Lock()
	listeners := slices.Collect(maps.Keys(t.listeners))
	t.mu.Unlock()
	for _, l := range listeners {
		l.stopAccepting()
	}
}

// isPeer says of a connection that a listener accepted it.
func (c *Connection) isPeer() bool { return c.origin == nil && c.listening == nil }

// notice has an error event delivered that changes nothing about the connection.
func (c *Connection) notice(e *Error) {
	c.mu.Lock()
	id := c.newID()
	c.events.push(event{id: id, obj: e})
	c.step(lifecycle.Event{Op: lifecycle.Noticed, ID: id})
	c.unlock()
}
