package xpc

import (
	"context"
	"fmt"
	"testing"
)

// serving has a listener's peers hand each message to answer, on their own queues, until
// the test ends.
func serving(t testing.TB, l *Connection, answer func(p *Connection, m *Dictionary)) {
	l.SetEventHandler(func(o Object) {
		p, ok := o.(*Connection)
		if !ok {
			return
		}
		p.SetEventHandler(func(o Object) {
			if m, ok := o.(*Dictionary); ok {
				answer(p, m)
			}
		})
		p.Activate()
	})
	l.Activate()
	t.Cleanup(func() { l.Cancel(); <-l.Done() })
}

// echoListener is an anonymous listener whose peers send every request back.
func echoListener(t testing.TB) (*Connection, *Endpoint) {
	l := NewConnection("", nil)
	serving(t, l, func(p *Connection, m *Dictionary) {
		r := m.CreateReply()
		if r == nil {
			return
		}
		for k, v := range m.All() {
			r.Set(k, v)
		}
		p.SendMessage(r)
	})
	return l, NewEndpoint(l)
}

func dialEcho(t testing.TB) *Connection {
	_, ep := echoListener(t)
	c := NewConnectionFromEndpoint(ep)
	c.SetEventHandler(func(Object) {})
	c.Activate()
	t.Cleanup(func() { c.Cancel(); <-c.Done() })
	return c
}

func TestEchoOverEndpoint(t *testing.T) {
	c := dialEcho(t)
	for i := range 1000 {
		m := NewDictionary()
		m.SetString("greeting", fmt.Sprint("hello ", i))
		m.SetInt64("n", -5)
		m.SetUint64("u", 5)
		r, err := c.SendMessageWithReplySync(context.Background(), m)
		if err != nil {
			t.Fatal(err)
		}
		if !Equal(r, m) {
			t.Fatalf("got %s, want what was sent", Description(r))
		}
	}
	if c.PID() == 0 {
		t.Error("the peer's pid is unknown after an exchange (R195)")
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	c := dialEcho(b)
	m := NewDictionary()
	m.SetData("d", make([]byte, 64))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.SendMessageWithReplySync(context.Background(), m); err != nil {
			b.Fatal(err)
		}
	}
}
