package transport

import (
	"context"
	"runtime"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

func connectedSockets(t testing.TB) (*Conn, *Conn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	a, err := NewSocket(fds[0], Options{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewSocket(fds[1], Options{})
	if err != nil {
		t.Fatal(err)
	}
	return a, b
}

// echo answers one frame at a time from Work, as a handler would, and allocates
// nothing of its own. The next frame may come while Work still flushes.
type echo struct {
	conn  *Conn
	mu    sync.Mutex // guards the rest
	reply Frame
	body  []byte
}

func startEcho(c *Conn) { c.Start(&echo{conn: c}) }

func (e *echo) Receive(f *Frame, inline bool) Outcome {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.body = append(e.body[:0], f.Body...)
	e.reply = Frame{ID: f.ID, Body: e.body}
	if !inline {
		panic("an echo makes no calls")
	}
	return Work
}

func (e *echo) Work() {
	e.mu.Lock()
	e.conn.Append(&e.reply)
	e.mu.Unlock()
	e.conn.Flush()
}

func (e *echo) Closed(error) {}

// asker has one call at a time.
type asker struct {
	conn   *Conn
	waiter *Waiter
	frame  Frame
}

func startAsker(c *Conn) *asker {
	a := &asker{conn: c, waiter: NewWaiter()}
	c.Start(a)
	return a
}

func (a *asker) Receive(f *Frame, inline bool) Outcome {
	a.waiter.Complete()
	return Replied
}

func (a *asker) Work()        {}
func (a *asker) Closed(error) {}

func (a *asker) ask(body []byte) error {
	a.waiter.Reset()
	a.frame = Frame{Body: body}
	a.conn.Append(&a.frame)
	a.conn.Flush()
	return a.conn.Wait(context.Background(), a.waiter)
}

func TestRoundTripAllocatesNothing(t *testing.T) {
	x, y := connectedSockets(t)
	defer x.Close()
	defer y.Close()
	startEcho(y)
	client := startAsker(x)
	body := make([]byte, 64)
	const calls = 2000
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range calls {
		if err := client.ask(body); err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	// A goroutine starts now and then; and under the race detector sync.Pool drops at random.
	if n := after.Mallocs - before.Mallocs; n >= calls/2 && !raceEnabled {
		t.Errorf("%d allocations in %d round trips, want hardly any", n, calls)
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	x, y := connectedSockets(b)
	startEcho(y)
	client := startAsker(x)
	body := make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		if err := client.ask(body); err != nil {
			b.Fatal(err)
		}
	}
	x.Close()
	y.Close()
}

func TestBurstBeginsAtOnce(t *testing.T) {
	x, y := connectedSockets(t)
	defer x.Close()
	defer y.Close()
	x.Append(&Frame{ID: 1})
	x.FlushSoon()
	// Who sends one message alone must not wait for another goroutine's turn.
	if x.w.written != 1 {
		t.Errorf("FlushSoon on a quiet connection returned with %d frames written, want 1", x.w.written)
	}
}
