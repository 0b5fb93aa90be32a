package transport

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// pairs makes two connected ends, over each medium.
var pairs = map[string]func(testing.TB) (*Conn, *Conn){
	"socket": socketPair,
	"pipe":   func(testing.TB) (*Conn, *Conn) { return Pipe(Options{}, Options{}) },
}

func socketPair(t testing.TB) (*Conn, *Conn) {
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

// echo answers each frame from Work, as a handler would.
type echo struct {
	conn   *Conn
	mu     sync.Mutex
	queue  []Frame
	closed chan error
}

func newEcho(c *Conn) *echo {
	e := &echo{conn: c, closed: make(chan error, 1)}
	c.Start(e)
	return e
}

func (e *echo) Receive(f *Frame, inline bool) Outcome {
	g := *f
	g.Body = append([]byte(nil), f.Body...)
	e.mu.Lock()
	e.queue = append(e.queue, g)
	e.mu.Unlock()
	if !inline {
		go e.Work()
		return 0
	}
	return Work
}

func (e *echo) Work() {
	e.mu.Lock()
	q := e.queue
	e.queue = nil
	e.mu.Unlock()
	for i := range q {
		e.conn.Append(&q[i])
		e.conn.Flush()
	}
}

func (e *echo) Closed(err error) { e.closed <- err }

// caller sends numbered frames and completes waiters.
type callers struct {
	conn   *Conn
	mu     sync.Mutex
	calls  map[uint64]*Waiter
	bodies map[uint64]int
	closed chan error
}

func newCallers(c *Conn) *callers {
	x := &callers{conn: c, calls: map[uint64]*Waiter{}, bodies: map[uint64]int{}, closed: make(chan error, 1)}
	c.Start(x)
	return x
}

func (x *callers) Receive(f *Frame, inline bool) Outcome {
	x.mu.Lock()
	w := x.calls[f.ID]
	delete(x.calls, f.ID)
	x.bodies[f.ID] = len(f.Body)
	x.mu.Unlock()
	closeAll(f.Files)
	if w == nil {
		return 0
	}
	w.Complete()
	return Replied
}

func (x *callers) Work()            {}
func (x *callers) Closed(err error) { x.closed <- err }

func (x *callers) call(id uint64, body []byte) error {
	w := NewWaiter()
	x.mu.Lock()
	x.calls[id] = w
	x.mu.Unlock()
	x.conn.Append(&Frame{Kind: 2, ID: id, Body: body})
	x.conn.Flush()
	if err := x.conn.Wait(context.Background(), w); err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if n := x.bodies[id]; n != len(body) {
		return fmt.Errorf("call %d: %d bytes came back of %d", id, n, len(body))
	}
	delete(x.bodies, id)
	return nil
}

func TestConcurrentCallers(t *testing.T) {
	for name, pair := range pairs {
		for _, n := range []int{1, 2, 3, 64} {
			t.Run(fmt.Sprintf("%s/%d", name, n), func(t *testing.T) {
				a, b := pair(t)
				server, client := newEcho(b), newCallers(a)
				var id atomic.Uint64
				var wg sync.WaitGroup
				for range n {
					wg.Go(func() {
						for i := range 2000 / n {
							size := 64
							if i%100 == 50 {
								size = 300_000
							}
							if err := client.call(id.Add(1), make([]byte, size)); err != nil {
								t.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
				a.Close()
				if err := <-server.closed; err != io.EOF {
					t.Errorf("the server was told %v, want EOF: the client closed in good order", err)
				}
			})
		}
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	x, y := socketPair(b)
	newEcho(y)
	client := newCallers(x)
	body := make([]byte, 64)
	var id uint64
	for b.Loop() {
		id++
		if err := client.call(id, body); err != nil {
			b.Fatal(err)
		}
	}
	x.Close()
	y.Close()
}
