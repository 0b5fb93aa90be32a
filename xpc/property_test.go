package xpc

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/openxpc/openxpc/integration/leaktest"
	"github.com/openxpc/openxpc/transport"
	"github.com/openxpc/openxpc/xpc/internal/lifecycle"
)

// The properties that hold of every sequence of calls, seen from the outside (P1 to P8):
// two real ends do whatever the generator says, and note what breaks one.

// TestAnySequenceOverPipes runs in a bubble: quick, and settled whenever the generator wants.
func TestAnySequenceOverPipes(t *testing.T) {
	countDescriptors(t)
	synctest.Test(t, func(t *testing.T) {
		noDeadline := struct{ testing.TB }{t} // asking for one is forbidden in a bubble
		rapid.Check(noDeadline, func(rt *rapid.T) {
			w := newPropWorld(rt, settle)
			kind := rapid.SampledFrom([]lifecycle.Kind{lifecycle.Named, lifecycle.Endpoint}).Draw(rt, "kind")
			w.client = w.end("c", newConnection(kind, "", &memoryOrigin{w: w}, nil))
			w.play()
		})
	})
}

// TestAnySequenceOverSockets is the same over the kernel, with a listener.
func TestAnySequenceOverSockets(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newPropWorld(rt, nil)
		l := NewConnection("", nil)
		l.SetEventHandler(func(o Object) {
			if p, ok := o.(*Connection); ok {
				w.accepted(p)
			}
		})
		l.Activate()
		w.client = w.end("c", NewConnectionFromEndpoint(NewEndpoint(l)))
		w.closeDoor = func() {
			l.Cancel()
			<-l.Done()
		}
		w.play()
	})
}

// countDescriptors fails if the test leaves a descriptor open that only the collector
// would close (P7): until then the collector does not run.
func countDescriptors(t *testing.T) {
	runtime.GC()
	percent, limit := debug.SetGCPercent(-1), debug.SetMemoryLimit(1<<30)
	before := leaktest.Descriptors()
	t.Cleanup(func() {
		if after := leaktest.Descriptors(); after > before {
			t.Errorf("%d descriptors are open, %d were before: each that is handed in is written, delivered or closed (P7)", after, before)
		}
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(limit)
	})
}

// tally is a WaitGroup to which calls may be added while somebody waits: handlers
// make calls until the last connection is done.
type tally struct {
	mu   sync.Mutex
	open int
	none chan struct{} // closed when open falls to 0; nil while nobody waits
}

func (t *tally) Add(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open += n; t.open == 0 && t.none != nil {
		close(t.none)
		t.none = nil
	}
}

func (t *tally) Done() { t.Add(-1) }

func (t *tally) Go(f func()) {
	t.Add(1)
	// Ends with f, which Wait waits for.
	go func() {
		defer t.Done()
		f()
	}()
}

func (t *tally) Wait() {
	t.mu.Lock()
	if t.open > 0 && t.none == nil {
		t.none = make(chan struct{})
	}
	none := t.none
	t.mu.Unlock()
	if none != nil {
		<-none
	}
}

// propWorld is two sides of a conversation: a client, and the peers that it got.
type propWorld struct {
	rt     *rapid.T
	settle func() // waits until nothing moves; nil where nobody can know
	null   *os.File
	client *propEnd

	told      tally  // replies, synchronous calls and barriers under way
	closeDoor func() // of a listener: no peer comes afterwards; nil if there is none

	mu       sync.Mutex // guards the rest
	servers  []*propEnd
	problems []string
	dialErr  error
	seen     map[string]bool // messages that were delivered
	last     int             // number of messages made
}

func newPropWorld(rt *rapid.T, settle func()) *propWorld {
	null, err := os.Open(os.DevNull)
	if err != nil {
		rt.Fatal(err)
	}
	return &propWorld{rt: rt, settle: settle, null: null, seen: map[string]bool{}}
}

func (w *propWorld) problem(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.problems = append(w.problems, fmt.Sprintf(format, args...))
}

// memoryOrigin dials an accepted peer in memory.
type memoryOrigin struct{ w *propWorld }

func (o *memoryOrigin) lookUp(*Connection) error { return nil }
func (o *memoryOrigin) leave(*Connection)        {}
func (o *memoryOrigin) gone(err error) bool      { return err == transport.ErrRefused }

func (o *memoryOrigin) dial(_ *Connection, opts transport.Options) (*transport.Conn, error) {
	o.w.mu.Lock()
	err := o.w.dialErr
	o.w.mu.Unlock()
	if err != nil {
		return nil, err
	}
	mine, theirs := transport.Pipe(opts, transport.Options{})
	p := newAccepted(nil, nil)
	p.attach(theirs) // as a listener does: a peer that the program knows has its socket
	o.w.accepted(p)
	return mine, nil
}

func (w *propWorld) accepted(p *Connection) {
	w.mu.Lock()
	e := w.newEnd(fmt.Sprintf("s%03d", len(w.servers)), p)
	e.accepted = true
	e.prepare() // before the test can activate it
	w.servers = append(w.servers, e)
	w.mu.Unlock()
	p.Activate()
}

// propEnd is one end, and what it was told.
type propEnd struct {
	w        *propWorld
	name     string
	c        *Connection
	accepted bool
	sending  sync.Mutex // held while a message is made and sent, so that names tell the order

	mu       sync.Mutex // guards the rest
	inside   int
	still    bool // suspended, and that has taken effect
	invalid  bool
	final    int
	before   string // the last message that was delivered
	suspends int
	kept     []*Dictionary
	calls    map[string]int // how often each was told
	barriers map[string]int
}

func (w *propWorld) newEnd(name string, c *Connection) *propEnd {
	return &propEnd{w: w, name: name, c: c, calls: map[string]int{}, barriers: map[string]int{}}
}

func (w *propWorld) end(name string, c *Connection) *propEnd {
	e := w.newEnd(name, c)
	e.prepare()
	return e
}

func (e *propEnd) prepare() {
	e.c.SetEventHandler(e.handle)
	e.c.SetFinalizer(func(any) {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.final++; e.final > 1 || !e.invalid {
			e.w.problem("%s: the finalizer ran %d times, after INVALID: %v (R89)", e.name, e.final, e.invalid)
		}
	})
}

func (e *propEnd) handle(o Object) {
	e.enter(o)
	if e.w.settle != nil {
		time.Sleep(1) // lets the others of the bubble run
	}
	if m, ok := o.(*Dictionary); ok {
		e.obey(m)
	}
	e.mu.Lock()
	e.inside--
	e.mu.Unlock()
}

func (e *propEnd) enter(o Object) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.inside++; e.inside > 1 {
		e.w.problem("%s: handlers overlap (P2)", e.name)
	}
	if e.still {
		e.w.problem("%s: %s was delivered while suspended (P2)", e.name, sayingOf(o))
	}
	if e.invalid {
		e.w.problem("%s: %s came after INVALID (P3)", e.name, sayingOf(o))
	}
	switch o := o.(type) {
	case *Error:
		e.invalid = o == ErrConnectionInvalid
		if o == ErrConnectionInterrupted && e.accepted {
			e.w.problem("%s: an accepted peer got INTERRUPTED (P6)", e.name)
		}
	case *Dictionary:
		e.ordered(o.GetString("says"), o.GetBool("any order"))
	}
}

// ordered: names sort by sender and number, and senders come in the order of their
// sockets, so what is delivered must only grow (P4, P5).
func (e *propEnd) ordered(name string, any bool) {
	if !any {
		if name <= e.before {
			e.w.problem("%s: %s was delivered after %s (P5)", e.name, name, e.before)
		}
		e.before = name
	}
	e.w.mu.Lock()
	twice := e.w.seen[name]
	e.w.seen[name] = true
	e.w.mu.Unlock()
	if twice {
		e.w.problem("%s: %s was delivered twice (P5)", e.name, name)
	}
}

// obey does with a request what its sender asks for.
func (e *propEnd) obey(m *Dictionary) {
	switch m.GetString("do") {
	case "answer":
		if r := m.CreateReply(); r != nil {
			e.c.SendMessage(r)
		}
	case "keep":
		e.mu.Lock()
		e.kept = append(e.kept, m.Retain())
		e.mu.Unlock()
	case "release the reply":
		m.CreateReply().Release()
	case "ask back":
		e.call("drop")
	case "send back":
		e.send("drop", false)
	case "suspend":
		e.suspend()
	case "cancel":
		e.c.Cancel()
	}
}

var orders = []string{"drop", "answer", "answer", "keep", "release the reply", "ask back", "send back", "suspend", "cancel"}

// ---- what an end does

func (e *propEnd) message(do string) *Dictionary {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	e.w.last++
	m := saying(fmt.Sprintf("%s %06d", e.name, e.w.last))
	m.SetString("do", do)
	return m
}

func (e *propEnd) send(do string, fd bool) {
	e.sending.Lock()
	defer e.sending.Unlock()
	m := e.message(do)
	if fd {
		m.SetFD("fd", int(e.w.null.Fd()))
		defer closeBoxes(m)
	}
	e.c.SendMessage(m)
}

func (e *propEnd) call(do string) {
	e.sending.Lock()
	defer e.sending.Unlock()
	m := e.message(do)
	name := m.GetString("says")
	e.w.told.Add(1)
	e.mark(e.calls, name, 0)
	e.c.SendMessageWithReply(m, nil, func(Object) {
		e.mark(e.calls, name, 1)
		e.w.told.Done()
	})
}

func (e *propEnd) callSync(do string) (cancel func()) {
	ctx, cancel := context.WithCancel(context.Background())
	m := e.message(do)
	m.SetBool("any order", true) // its goroutine sends it when it likes
	name := m.GetString("says")
	e.mark(e.calls, name, 0)
	e.w.told.Go(func() {
		e.c.SendMessageWithReplySync(ctx, m)
		e.mark(e.calls, name, 1)
	})
	return cancel
}

func (e *propEnd) barrier() {
	name := e.message("").GetString("says")
	e.w.told.Add(1)
	e.mark(e.barriers, name, 0)
	e.c.SendBarrier(func() {
		e.mark(e.barriers, name, 1)
		e.w.told.Done()
	})
}

func (e *propEnd) mark(in map[string]int, name string, n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	in[name] += n
}

func (e *propEnd) suspend() {
	e.c.Suspend()
	e.mu.Lock()
	e.suspends++ // afterwards: whoever counts on it may resume at once
	e.mu.Unlock()
}

// resume undoes a suspend, if there is one.
func (e *propEnd) resume() bool {
	e.mu.Lock()
	ok := e.suspends > 0
	if ok {
		e.suspends--
		e.still = false
	}
	e.mu.Unlock()
	if ok {
		e.c.Resume()
	}
	return ok
}

func (e *propEnd) answerKept() {
	e.mu.Lock()
	kept := e.kept
	e.kept = nil
	e.mu.Unlock()
	for i, m := range kept {
		if r := m.CreateReply(); r != nil && i%2 == 0 {
			e.c.SendMessage(r)
		} else {
			r.Release()
		}
		m.Release()
	}
}

// kill closes the socket beneath the end, which hears nothing of it: its process is
// as good as dead.
func (e *propEnd) kill() {
	if l := e.link(); l != nil {
		l.conn.Close()
	}
}

func (e *propEnd) garbage() {
	if l := e.link(); l != nil {
		l.conn.Append(&transport.Frame{Kind: frameMessage, ID: 1, Body: []byte{0xc1}})
		l.conn.Flush()
	}
}

func (e *propEnd) link() *link {
	e.c.mu.Lock()
	defer e.c.mu.Unlock()
	return e.c.link
}

// ---- a sequence

func (w *propWorld) ends() []*propEnd {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]*propEnd{w.client}, w.servers...)
}

// someEnd is the client, or the latest of its peers.
func (w *propWorld) someEnd(rt *rapid.T) *propEnd {
	ends := w.ends()
	if rapid.Bool().Draw(rt, "client") {
		return ends[0]
	}
	return ends[len(ends)-1]
}

func (w *propWorld) play() {
	defer w.null.Close()
	var cancels []func()
	do := func(f func(*rapid.T, *propEnd)) func(*rapid.T) {
		return func(rt *rapid.T) { f(rt, w.someEnd(rt)) }
	}
	order := func(rt *rapid.T) string { return rapid.SampledFrom(orders).Draw(rt, "order") }
	queues := []*Queue{nil, NewQueue("shared"), NewConcurrentQueue("concurrent")}
	w.rt.Repeat(map[string]func(*rapid.T){
		"activate": func(*rapid.T) { w.client.c.Activate() },
		"suspend":  do(func(_ *rapid.T, e *propEnd) { e.suspend() }),
		"resume":   do(func(_ *rapid.T, e *propEnd) { e.resume() }),
		"send":     do(func(rt *rapid.T, e *propEnd) { e.send(order(rt), rapid.Bool().Draw(rt, "descriptor")) }),
		"call":     do(func(rt *rapid.T, e *propEnd) { e.call(order(rt)) }),
		"wait":     do(func(rt *rapid.T, e *propEnd) { cancels = append(cancels, e.callSync(order(rt))) }),
		"give up": func(rt *rapid.T) {
			for _, f := range cancels {
				f()
			}
		},
		"answer":  do(func(_ *rapid.T, e *propEnd) { e.answerKept() }),
		"barrier": do(func(_ *rapid.T, e *propEnd) { e.barrier() }),
		"cancel":  do(func(rt *rapid.T, e *propEnd) { e.cancelSometimes(rt) }),
		"kill":    do(func(_ *rapid.T, e *propEnd) { e.kill() }),
		"garbage": do(func(_ *rapid.T, e *propEnd) { e.garbage() }),
		"queue": do(func(rt *rapid.T, e *propEnd) {
			e.c.SetTargetQueue(rapid.SampledFrom(queues).Draw(rt, "queue"))
		}),
		"handler": do(func(_ *rapid.T, e *propEnd) { e.c.SetEventHandler(e.handle) }),
		"dials": func(rt *rapid.T) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.dialErr = rapid.SampledFrom([]error{nil, nil, errNoRoom, transport.ErrRefused}).Draw(rt, "error")
		},
		"": func(rt *rapid.T) { w.look(rt) },
	})
	w.finish(cancels)
}

func (e *propEnd) cancelSometimes(rt *rapid.T) {
	if rapid.IntRange(0, 4).Draw(rt, "cancel") == 4 {
		e.c.Cancel()
	}
}

// look settles, if the generator wants it, and reports what broke.
func (w *propWorld) look(rt *rapid.T) {
	if w.settle != nil && rapid.Bool().Draw(rt, "settle") {
		w.settle()
		for _, e := range w.ends() {
			e.mu.Lock()
			e.still = e.suspends > 0
			e.mu.Unlock()
		}
	}
	w.mu.Lock()
	problems := slices.Clone(w.problems)
	w.mu.Unlock()
	if len(problems) > 0 {
		rt.Fatal(strings.Join(problems, "\n"))
	}
}

// finish ends everything and checks what must have become of it.
func (w *propWorld) finish(cancels []func()) {
	for _, f := range cancels {
		f()
	}
	done := w.finishFrom(0)
	if w.closeDoor != nil {
		w.closeDoor()
		w.finishFrom(done) // those who came late
	}
	if w.settle != nil {
		w.settle()
	}
	for _, e := range w.ends() {
		e.checkFinished()
	}
	w.look(w.rt)
}

// finishFrom ends all but the first ones, which are done, and returns how many there are.
func (w *propWorld) finishFrom(done int) int {
	// Ending one end can make another: a message that left dials.
	for done < len(w.ends()) {
		for _, e := range w.ends()[done:] {
			e.finish()
			done++
		}
		if w.settle == nil {
			w.told.Wait()
		}
	}
	return done
}

func (e *propEnd) finish() {
	e.c.Cancel()
	e.answerKept()
	for e.resume() {
	}
	if e.w.settle == nil {
		e.awaitDone()
		return
	}
	e.w.settle()
	for e.resume() { // a handler that was still running suspended it
	}
	e.w.settle()
	e.answerKept()
}

// awaitDone undoes what handlers that still ran suspend.
func (e *propEnd) awaitDone() {
	for {
		select {
		case <-e.c.Done():
			return
		default:
			e.resume()
			runtime.Gosched()
		}
	}
}

func (e *propEnd) checkFinished() {
	select {
	case <-e.c.Done():
	default:
		e.w.problem("%s: not done after cancel and resume (P3)", e.name)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.invalid || e.final != 1 {
		e.w.problem("%s: INVALID came: %v, finalizers: %d (P3)", e.name, e.invalid, e.final)
	}
	for name, n := range e.calls {
		if n != 1 {
			e.w.problem("%s: the call %s was told %d times (P1)", e.name, name, n)
		}
	}
	for name, n := range e.barriers {
		if n != 1 {
			e.w.problem("%s: the barrier %s ran %d times (P8)", e.name, name, n)
		}
	}
}
