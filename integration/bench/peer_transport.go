package main

import (
	"context"
	"sync"

	"github.com/openxpc/openxpc/integration/bench/internal/echo"
	"github.com/openxpc/openxpc/transport"
)

// transportPeer is the layer below xpc alone, so that one sees what each layer costs.
var transportPeer = &peer{
	key: "transport", name: "OpenXPC's transport alone", note: "frames and credentials, without names, types and connections",
	serve: serveFrames, dial: dialFrames,
}

func serveFrames(addr string, ready func()) error {
	fd, err := transport.Listen(addr)
	if err != nil {
		return err
	}
	l, err := transport.NewListener(fd, transport.Options{})
	if err != nil {
		return err
	}
	if err := l.Start(func(c *transport.Conn) { c.Start(&frameEcho{conn: c}) }); err != nil {
		return err
	}
	ready()
	select {}
}

// frameEcho answers from Work, where a handler would run.
type frameEcho struct {
	conn    *transport.Conn
	mu      sync.Mutex // guards the rest
	replies []transport.Frame
}

func (e *frameEcho) Receive(f *transport.Frame, _ bool) transport.Outcome {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.replies = append(e.replies, transport.Frame{ID: f.ID, Body: append([]byte(nil), f.Body...)})
	return transport.Work | transport.Awaited
}

func (e *frameEcho) Work() {
	e.mu.Lock()
	for i := range e.replies {
		e.conn.Append(&e.replies[i])
	}
	e.replies = e.replies[:0]
	e.mu.Unlock()
	e.conn.Flush()
}

func (e *frameEcho) Closed(error) { e.conn.Close() }

type frameCaller struct {
	conn *transport.Conn

	mu      sync.Mutex // guards the rest
	last    uint64
	pending map[uint64]*frameCall
}

type frameCall struct {
	waiter *transport.Waiter
	reply  []byte
}

func dialFrames(addr string) (caller, error) {
	conn, err := transport.Dial(addr, transport.Options{})
	if err != nil {
		return nil, err
	}
	c := &frameCaller{conn: conn, pending: map[uint64]*frameCall{}}
	conn.Start(c)
	return c, nil
}

func (c *frameCaller) Call(p []byte) ([]byte, error) {
	if len(p) <= len(echo.Stat) {
		return nil, errNotOffered // the questions of other works
	}
	one := &frameCall{waiter: transport.NewWaiter()}
	c.mu.Lock()
	c.last++
	id := c.last
	c.pending[id] = one
	c.conn.Append(&transport.Frame{ID: id, Body: p})
	c.mu.Unlock()
	c.conn.Flush()
	err := c.conn.Wait(context.Background(), one.waiter)
	return one.reply, err
}

func (c *frameCaller) Receive(f *transport.Frame, _ bool) transport.Outcome {
	c.mu.Lock()
	one := c.pending[f.ID]
	delete(c.pending, f.ID)
	c.mu.Unlock()
	if one == nil {
		return 0
	}
	one.reply = append(one.reply, f.Body...)
	one.waiter.Complete()
	return transport.Replied
}

func (c *frameCaller) Work()        {}
func (c *frameCaller) Closed(error) {}

func (c *frameCaller) Close() error {
	c.conn.Close()
	return nil
}
