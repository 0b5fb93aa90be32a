package xpc

import (
	"context"
	"fmt"
	"testing"
)

// echoListener is an anonymous listener whose peers send every request back.
func echoListener(t testing.TB) (*Connection, *Endpoint) {
	l := NewConnection("", nil)
	l.SetEventHandler(func(o Object) {
		p, ok := o.(*Connection)
		if !ok {
			return
		}
		p.SetEventHandler(func(o Object) {
			m, ok := o.(*Dictionary)
			if !ok {
				return
			}
			r := m.CreateReply()
			if r == nil {
				return
			}
			for k, v := range m.All() {
				r.Set(k, v)
			}
			p.SendMessage(r)
		})
		p.Activate()
	})
	l.Activate()
	ep := NewEndpoint(l)
	t.Cleanup(func() { l.Cancel(); <-l.Done() })
	return l, ep
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
