package xpc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openxpc/openxpc/transport"
	"github.com/openxpc/openxpc/xpc/internal/lifecycle"
)

// ring is one real connection in a bubble, its scripted peers, and what each side
// was told. When a test ends the ring ends too, and checks what must hold of every
// connection (end).
type ring struct {
	t    *testing.T
	from from
	c    *Connection
	o    *ringOrigin // nil for accepted peers

	events, replies, barriers, frames, misuses record

	hold    *gate // holds the handler while a message that says "hold..." is handled
	inside  atomic.Int32
	overlap atomic.Bool

	mu       sync.Mutex // guards the rest
	peers    []*peer
	server   *server // takes the sockets in place of scripted peers, if there is one
	suspends int
	asked    []string // names of asynchronous calls
	behind   []string // names of barriers
}

// bubble runs f in a bubble with a connection of that origin.
func bubble(t *testing.T, k from, f func(*testing.T, *ring)) {
	t.Helper()
	t.Run(string(k), func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { f(t, newRing(t, k)) })
	})
}

func newRing(t *testing.T, k from) *ring {
	r := &ring{t: t, from: k, hold: newGate()}
	r.c = r.connection()
	r.c.SetEventHandler(r.handle)
	r.c.SetContext("the context")
	r.c.SetFinalizer(func(v any) {
		if v != "the context" {
			t.Errorf("the finalizer got %v, want the context (R89)", v)
		}
		select {
		case <-r.c.Done():
			t.Error("Done was closed before the finalizer ran")
		default:
		}
		r.events.add("finalizer")
	})
	go func() {
		<-r.c.Done()
		r.events.add("done")
	}()
	t.Cleanup(r.end)
	r.report() // the greetings of an accepted peer
	return r
}

func (r *ring) connection() *Connection {
	switch r.from {
	case fromName:
		r.o = &ringOrigin{r: r}
		return newConnection(lifecycle.Named, "com.example.ring", r.o, nil)
	case fromEndpoint:
		r.o = &ringOrigin{r: r}
		return newConnection(lifecycle.Endpoint, "", r.o, nil)
	}
	c := newAccepted(nil, nil)
	mine, theirs := transport.Pipe(transport.Options{}, transport.Options{})
	c.attach(mine)
	r.meet(theirs)
	r.p().hello()
	return c
}

// settle waits until nothing moves any more; in a bubble that takes no time.
func settle() {
	time.Sleep(10 * time.Millisecond)
	synctest.Wait()
}

// handle is the event handler of every ring.
func (r *ring) handle(o Object) {
	if r.inside.Add(1) > 1 {
		r.overlap.Store(true)
	}
	defer r.inside.Add(-1)
	r.events.add(sayingOf(o))
	if m, ok := o.(*Dictionary); ok && strings.HasPrefix(m.GetString("says"), "hold") {
		r.hold.pass()
	}
}

// sayingOf puts an event or a reply into words.
func sayingOf(o Object) string {
	switch o := o.(type) {
	case *Dictionary:
		return o.GetString("says")
	case *Error:
		return sayingOfError(o)
	}
	return fmt.Sprintf("%T", o)
}

func sayingOfError(err error) string {
	switch {
	case err == nil:
		return "nil"
	case errors.Is(err, ErrConnectionInterrupted):
		return "INTERRUPTED"
	case errors.Is(err, ErrConnectionInvalid):
		return "INVALID"
	case errors.Is(err, ErrTerminationImminent):
		return "IMMINENT"
	}
	return err.Error()
}

// ---- what the program does

func (r *ring) suspend() {
	r.mu.Lock()
	r.suspends++
	r.mu.Unlock()
	r.c.Suspend()
}

func (r *ring) resume() {
	r.mu.Lock()
	r.suspends = max(0, r.suspends-1)
	r.mu.Unlock()
	if text := misuseOf(r.c.Resume); text != "" {
		r.misuses.add(text)
	}
}

func (r *ring) send(name string) { r.c.SendMessage(saying(name)) }

func (r *ring) call(name string) {
	r.mu.Lock()
	r.asked = append(r.asked, name)
	r.mu.Unlock()
	r.c.SendMessageWithReply(saying(name), nil, func(o Object) {
		r.replies.add(name + "=" + sayingOf(o))
	})
}

func (r *ring) barrier(name string) {
	r.mu.Lock()
	r.behind = append(r.behind, name)
	r.mu.Unlock()
	r.c.SendBarrier(func() { r.barriers.add(name) })
}

// letGo lets the handler return and the origin answer.
func (r *ring) letGo() {
	r.hold.open()
	if r.o != nil {
		r.o.letGo()
	}
}

// open activates the connection and has both sides greet.
func (r *ring) open() {
	r.c.Activate()
	if r.from != fromListener {
		r.send("first")
		settle()
		r.p().hello()
	}
	settle()
	r.report()
}

// async runs f on a goroutine of its own.
func async(f func() error) *pending {
	p := &pending{done: make(chan error, 1)}
	go func() { p.done <- f() }()
	return p
}

// pending is a call that may block.
type pending struct{ done chan error }

var errNotDone = errors.New("not done")

// result is what the call returned, errNotDone while it has not.
func (p *pending) result() error {
	settle()
	select {
	case err := <-p.done:
		p.done <- err
		return err
	default:
		return errNotDone
	}
}

// sync starts a synchronous call; its result is in words, as a reply's.
func (r *ring) sync(ctx context.Context, name string) *pending {
	return async(func() error {
		reply, err := r.c.SendMessageWithReplySync(ctx, saying(name))
		if err == nil {
			r.replies.add(name + "=" + sayingOf(reply))
		}
		return err
	})
}

// ---- what the program sees

// report is everything seen since the last report, in words. Replies and barriers
// have no order among each other (R80, R87), so they are sorted.
func (r *ring) report() string {
	settle()
	replies, barriers := r.replies.take(), r.barriers.take()
	slices.Sort(replies)
	slices.Sort(barriers)
	var parts []string
	for _, s := range []struct {
		title string
		lines []string
	}{{"frames", bySocket(r.frames.take())}, {"events", r.events.take()}, {"replies", replies}, {"barriers", barriers}, {"misuse", r.misuses.take()}} {
		if len(s.lines) > 0 {
			parts = append(parts, s.title+": "+strings.Join(s.lines, ", "))
		}
	}
	return strings.Join(parts, "; ")
}

// bySocket brings frames of different sockets, which have no order among each
// other, into the order of the sockets.
func bySocket(frames []string) []string {
	slices.SortStableFunc(frames, func(a, b string) int { return socketOf(a) - socketOf(b) })
	return frames
}

func socketOf(frame string) int {
	n := 1
	fmt.Sscanf(frame, "e%d ", &n)
	return n
}

// want compares the report since the last one.
func (r *ring) want(why, report string) {
	r.t.Helper()
	if got := r.report(); got != report {
		r.t.Errorf("%s\n got: %s\nwant: %s", why, got, report)
	}
}

// ---- the end

// end cancels the connection, wherever it stands, and checks what holds of all.
func (r *ring) end() {
	r.letGo()
	settle()
	r.mu.Lock()
	left := r.suspends
	r.suspends = 0
	r.mu.Unlock()
	for range left {
		r.c.Resume()
	}
	r.c.Cancel()
	settle()
	for _, p := range r.allPeers() {
		p.listen()
	}
	settle()
	select {
	case <-r.c.Done():
	default:
		r.t.Error("a cancelled connection that is not suspended must be done")
		return
	}
	r.checkEvents()
	r.checkOnce("replies", r.replies.history(), r.asked)
	r.checkOnce("barriers", r.barriers.history(), r.behind)
	if r.overlap.Load() {
		r.t.Error("event handlers overlapped (R66, P2)")
	}
	if r.o != nil && r.o.using {
		r.t.Error("the origin was used after it was left: the registry would keep the connection for ever")
	}
	r.checkSockets()
}

// checkEvents: one INVALID, the last event; then the finalizer, then Done (P3, R81, R89).
func (r *ring) checkEvents() {
	all := r.events.history()
	if n := len(all); n < 3 || !slices.Equal(all[n-3:], []string{"INVALID", "finalizer", "done"}) {
		r.t.Errorf("events end with %v, want INVALID, finalizer, done", all)
	}
	for i, line := range all {
		if line == "INVALID" && i != len(all)-3 {
			r.t.Errorf("INVALID came twice or was not the last event (P3): %v", all)
		}
		if line == "INTERRUPTED" && r.from == fromListener {
			r.t.Error("an accepted peer got INTERRUPTED (R107, P6)")
		}
	}
}

// checkOnce: every name has exactly one line (P1, P8).
func (r *ring) checkOnce(what string, lines, names []string) {
	for _, name := range names {
		n := 0
		for _, line := range lines {
			if line == name || strings.HasPrefix(line, name+"=") {
				n++
			}
		}
		if n != 1 {
			r.t.Errorf("%s: %s was told %d times, want once", what, name, n)
		}
	}
}

func (r *ring) allPeers() []*peer {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.peers)
}

// checkSockets: an invalid connection leaves no socket open.
func (r *ring) checkSockets() {
	for i, p := range r.allPeers() {
		p.mu.Lock()
		closed := p.over || p.left
		p.mu.Unlock()
		if !closed {
			r.t.Errorf("socket %d is still open after the end", i+1)
		}
		p.close()
	}
}
