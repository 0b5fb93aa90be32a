package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/transport"
)

// greeter answers each frame with a greeting. It keeps no state, so it can
// answer from Receive; one that runs user code would do that in Work.
type greeter struct{ conn *transport.Conn }

func (g greeter) Receive(f *transport.Frame, inline bool) transport.Outcome {
	g.conn.Append(&transport.Frame{ID: f.ID, Body: fmt.Appendf(nil, "hello, %s", f.Body)})
	g.conn.Flush()
	return 0
}
func (g greeter) Work()            {}
func (g greeter) Closed(err error) {}

// caller waits for one reply at a time.
type caller struct {
	waiter *transport.Waiter
	reply  string
}

func (c *caller) Receive(f *transport.Frame, inline bool) transport.Outcome {
	c.reply = string(f.Body) // Body is lent: keep a copy
	c.waiter.Complete()
	return transport.Replied
}
func (c *caller) Work()            {}
func (c *caller) Closed(err error) {}

func ExampleConn() {
	near, far := transport.Pipe(transport.Options{}, transport.Options{})
	defer near.Close()
	defer far.Close()
	far.Start(greeter{far})
	c := &caller{waiter: transport.NewWaiter()}
	near.Start(c)

	near.Append(&transport.Frame{ID: 1, Body: []byte("world")})
	near.Flush()
	if err := near.Wait(context.Background(), c.waiter); err != nil {
		log.Fatal(err)
	}
	fmt.Println(c.reply)
	// Output: hello, world
}

func ExampleWaiter() {
	near, far := transport.Pipe(transport.Options{}, transport.Options{})
	defer near.Close()
	defer far.Close()
	far.Start(greeter{far})
	c := &caller{waiter: transport.NewWaiter()}
	near.Start(c)

	for _, name := range []string{"Ada", "Grace"} {
		c.waiter.Reset() // one Waiter serves one call after another
		near.Append(&transport.Frame{Body: []byte(name)})
		near.Flush()
		if err := near.Wait(context.Background(), c.waiter); err != nil {
			log.Fatal(err)
		}
		fmt.Println(c.reply)
	}
	// Output:
	// hello, Ada
	// hello, Grace
}

// printer tells what arrives, and how the connection ended.
type printer struct{ ended chan error }

func (p printer) Receive(f *transport.Frame, inline bool) transport.Outcome {
	fmt.Printf("frame %d of kind %d: %q\n", f.ID, f.Kind, f.Body)
	for _, d := range f.Files {
		d.Close() // received descriptors are the receiver's
	}
	return 0
}
func (p printer) Work()            {}
func (p printer) Closed(err error) { p.ended <- err }

func ExampleFrame() {
	near, far := transport.Pipe(transport.Options{}, transport.Options{})
	p := printer{make(chan error)}
	far.Start(p)
	near.Append(&transport.Frame{Kind: 1, ID: 7, Body: []byte("one")})
	near.Append(&transport.Frame{Kind: 2, ID: 8, Body: []byte("two")})
	near.Close() // writes what there is room for
	fmt.Println(<-p.ended)
	// Output:
	// frame 7 of kind 1: "one"
	// frame 8 of kind 2: "two"
	// EOF
}

func ExampleOptions() {
	near, far := transport.Pipe(transport.Options{}, transport.Options{MaxBody: 100})
	defer near.Close()
	p := printer{make(chan error)}
	far.Start(p)
	near.Append(&transport.Frame{Body: make([]byte, 101)})
	near.Flush()
	fmt.Println(<-p.ended)
	// Output: transport: the peer broke the protocol: a frame of 101 bytes, the limit is 100
}

func ExampleProtocolError() {
	near, far := transport.Pipe(transport.Options{}, transport.Options{MaxBody: 100})
	defer near.Close()
	p := printer{make(chan error)}
	far.Start(p)
	near.Append(&transport.Frame{Body: make([]byte, 101)})
	near.Flush()
	var broken *transport.ProtocolError
	if errors.As(<-p.ended, &broken) {
		fmt.Println("the peer's fault:", broken.Problem)
	}
	// Output: the peer's fault: a frame of 101 bytes, the limit is 100
}

// pausing takes one frame at a time.
type pausing struct{ frames chan string }

func (p pausing) Receive(f *transport.Frame, inline bool) transport.Outcome {
	p.frames <- string(f.Body)
	return transport.Pause
}
func (p pausing) Work()            {}
func (p pausing) Closed(err error) {}

func ExampleOutcome() {
	near, far := transport.Pipe(transport.Options{}, transport.Options{})
	defer near.Close()
	defer far.Close()
	p := pausing{make(chan string, 1)}
	far.Start(p)
	for _, s := range []string{"one", "two", "three"} {
		near.Append(&transport.Frame{Body: []byte(s)})
	}
	near.Flush()
	for range 3 {
		fmt.Println(<-p.frames)
		far.Resume() // ready for the next
	}
	// Output:
	// one
	// two
	// three
}

func ExampleReceiver() {
	near, far := transport.Pipe(transport.Options{}, transport.Options{})
	var r transport.Receiver = printer{make(chan error)}
	far.Start(r)
	near.Append(&transport.Frame{ID: 1, Body: []byte("hello")})
	near.Close()
	fmt.Println(<-r.(printer).ended)
	// Output:
	// frame 1 of kind 0: "hello"
	// EOF
}

func ExampleDescriptor() {
	r, w, err := os.Pipe()
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	d, err := transport.DupDescriptor(int(w.Fd())) // w stays ours
	if err != nil {
		log.Fatal(err)
	}
	w.Close()
	unix.Write(d.FD(), []byte("through the duplicate"))
	d.Close() // the last owner closes
	text, _ := io.ReadAll(r)
	fmt.Println(string(text), d.Retain())
	// Output: through the duplicate false
}

func ExampleListener() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "greeter.sock")
	fd, err := transport.Listen(path)
	if err != nil {
		log.Fatal(err)
	}
	l, err := transport.NewListener(fd, transport.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan *transport.Conn, 1)
	if err := l.Start(func(c *transport.Conn) {
		c.Start(greeter{c})
		accepted <- c
	}); err != nil {
		log.Fatal(err)
	}

	near, err := transport.Dial(path, transport.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer near.Close()
	c := &caller{waiter: transport.NewWaiter()}
	near.Start(c)
	near.Append(&transport.Frame{Body: []byte("socket")})
	near.Flush()
	if err := near.Wait(context.Background(), c.waiter); err != nil {
		log.Fatal(err)
	}
	fmt.Println(c.reply)
	(<-accepted).Close()
	// Output: hello, socket
}

func ExampleWatch() {
	r, w, err := os.Pipe()
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	readable := make(chan struct{})
	cancel, err := transport.Watch(int(r.Fd()), func() { close(readable) })
	if err != nil {
		log.Fatal(err)
	}
	defer cancel() // before r is closed
	w.Close()
	<-readable
	fmt.Println("readable")
	// Output: readable
}

// lazy keeps a cache while its connection is busy.
type lazy struct {
	greeter
	resting chan struct{}
}

func (l lazy) Idle() {
	select {
	case l.resting <- struct{}{}:
	default: // told before
	}
}

func ExampleIdler() {
	near, far := transport.Pipe(transport.Options{}, transport.Options{})
	defer near.Close()
	defer far.Close()
	l := lazy{greeter{far}, make(chan struct{}, 1)}
	far.Start(l)
	<-l.resting
	fmt.Println("nothing comes: let go of the cache")
	// Output: nothing comes: let go of the cache
}

// waiting works until somebody says that it takes long.
type waiting struct {
	greeter
	late chan struct{}
}

func (w waiting) Receive(*transport.Frame, bool) transport.Outcome { return transport.Work }

func (w waiting) Work() {
	<-w.late
	fmt.Println("what was to follow is for another goroutine")
	w.conn.Append(&transport.Frame{Kind: 2})
	w.conn.Flush()
}

func (w waiting) Late() { close(w.late) }

func ExampleLater() {
	near, far := transport.Pipe(transport.Options{}, transport.Options{})
	defer near.Close()
	defer far.Close()
	far.Start(waiting{greeter{far}, make(chan struct{})})
	c := &caller{waiter: transport.NewWaiter()}
	near.Start(c)
	near.Append(&transport.Frame{Kind: 1})
	near.Flush()
	near.Wait(context.Background(), c.waiter)
	// Output: what was to follow is for another goroutine
}
