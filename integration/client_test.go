package integration_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openxpc/openxpc/xpc"
)

// client is a connection of the test's own process, whose events can be waited for.
type client struct {
	*xpc.Connection
	w      *world
	events chan string
	react  atomic.Pointer[func(*xpc.Dictionary)]
}

// inactive makes a client that has not been activated. With the test it is cancelled,
// and must then have told nothing but what was expected, and INVALID once.
func (w *world) inactive(c *xpc.Connection) *client {
	w.t.Helper()
	k := &client{Connection: c, w: w, events: make(chan string, 1<<16)}
	k.SetEventHandler(k.note)
	w.t.Cleanup(k.end)
	return k
}

func (c *client) note(o xpc.Object) {
	c.events <- eventName(o)
	react := c.react.Load()
	if m, ok := o.(*xpc.Dictionary); ok && react != nil {
		(*react)(m)
	}
}

// onMessage has f run in the handler of each message from now on, after it was noted.
func (c *client) onMessage(f func(*xpc.Dictionary)) { c.react.Store(&f) }

// end cancels the connection: a final INVALID is all that may come, unless it has come.
func (c *client) end() {
	c.w.t.Helper()
	c.Cancel()
	select {
	case <-c.Done():
	case <-time.After(patience):
		c.w.t.Errorf("%v: the final event never came", c.Connection)
		return
	}
	close(c.events)
	var left []string
	for e := range c.events {
		left = append(left, e)
	}
	if len(left) > 1 || len(left) == 1 && left[0] != invalid {
		c.w.t.Errorf("%v: nobody expected the events %q", c.Connection, left)
	}
}

// to is an active connection to a name.
func (w *world) to(name string) *client {
	w.t.Helper()
	c := w.inactive(xpc.NewMachServiceConnection(name, nil, 0))
	c.Activate()
	return c
}

// toEndpoint is an active connection to an endpoint.
func (w *world) toEndpoint(e *xpc.Endpoint) *client {
	w.t.Helper()
	c := w.inactive(xpc.NewConnectionFromEndpoint(e))
	c.Activate()
	return c
}

// wants waits for the connection's next events.
func (c *client) wants(why string, want ...string) {
	c.w.t.Helper()
	for _, w := range want {
		select {
		case got := <-c.events:
			if got != w {
				c.w.t.Fatalf("%s: the event is %s, want %s", why, got, w)
			}
		case <-time.After(patience):
			c.w.t.Fatalf("%s: no event, want %s", why, w)
		}
	}
}

// quiet wants no event to have come so far.
func (c *client) quiet(why string) {
	c.w.t.Helper()
	select {
	case got := <-c.events:
		c.w.t.Fatalf("%s: the event %s", why, got)
	default:
	}
}

// message is a dictionary that asks the service to do something; text is for the journal.
func message(do, text string) *xpc.Dictionary {
	m := xpc.NewDictionary()
	m.SetString("do", do)
	m.SetString("text", text)
	return m
}

// number is a message with a number, for what do counts or chooses by one.
func number(do string, n int) *xpc.Dictionary {
	m := message(do, "")
	m.SetInt64("n", int64(n))
	return m
}

// ask sends a request and wants a reply.
func (c *client) ask(why string, m *xpc.Dictionary) *xpc.Dictionary {
	c.w.t.Helper()
	reply, err := c.SendMessageWithReplySync(c.w.ctx, m)
	if err != nil {
		c.w.t.Fatalf("%s: %v", why, err)
	}
	return reply
}

// pid asks the service who it is.
func (c *client) pid(why string) int {
	c.w.t.Helper()
	return int(c.ask(why, message("", "who")).GetInt64("pid"))
}

// fails sends a request that must end with an error, and returns it.
func (c *client) fails(why string, m *xpc.Dictionary, want error) error {
	c.w.t.Helper()
	_, err := c.SendMessageWithReplySync(c.w.ctx, m)
	if !errors.Is(err, want) {
		c.w.t.Fatalf("%s: the error is %v, want %v", why, err, want)
	}
	return err
}

// outcome is where a reply handler puts what it was given.
type outcome struct {
	w *world
	c chan xpc.Object
}

// request sends a message whose reply handler's calls can be waited for.
func (c *client) request(m *xpc.Dictionary) outcome {
	o := outcome{c.w, make(chan xpc.Object, 8)}
	c.SendMessageWithReply(m, nil, func(got xpc.Object) { o.c <- got })
	return o
}

func (o outcome) get(why string) xpc.Object {
	o.w.t.Helper()
	select {
	case got := <-o.c:
		return got
	case <-time.After(patience):
		o.w.t.Fatalf("%s: the reply handler was not called", why)
		return nil
	}
}

// wants waits for the call, which must bring this error.
func (o outcome) wants(why string, want *xpc.Error) {
	o.w.t.Helper()
	if got := o.get(why); got != xpc.Object(want) {
		o.w.t.Fatalf("%s: the reply handler got %v, want %v", why, got, want)
	}
}

// open wants the handler not to have been called so far; at the end it must have been called once.
func (o outcome) open(why string) {
	o.w.t.Helper()
	if len(o.c) != 0 {
		o.w.t.Fatalf("%s: the reply handler was called with %v", why, <-o.c)
	}
}

// once wants no second call to have come.
func (o outcome) once(why string) {
	o.w.t.Helper()
	o.open(why + ", a second time")
}

// await waits for a channel to be closed or sent on.
func await[T any](t *testing.T, why string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatalf("%s: it never happened", why)
	}
	return v
}

// soon is a context that ends while a peer stands still.
func (w *world) soon() (context.Context, context.CancelFunc) {
	return context.WithTimeout(w.ctx, time.Second/4)
}
