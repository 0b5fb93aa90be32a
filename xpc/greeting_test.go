package xpc

import (
	"context"
	"runtime"
	"testing"
)

// TestListenerHandlerMayWaitForItsPeer: the goroutine that reads the first message runs
// the listener's handler and after it the peer's, but a handler may wait for what would
// come after it; to the program they are on different queues.
func TestListenerHandlerMayWaitForItsPeer(t *testing.T) {
	serial := NewQueue("serial")
	for _, x := range []struct {
		name  string
		waits func(t *testing.T, p *Connection, handled chan struct{})
	}{
		{"message", func(_ *testing.T, _ *Connection, handled chan struct{}) { <-handled }},
		{"message, after a call of its own", func(t *testing.T, p *Connection, _ chan struct{}) {
			// The client answers when it has its reply.
			if _, err := p.SendMessageWithReplySync(context.Background(), saying("and you?")); err != nil {
				t.Error(err)
			}
		}},
		{"end", func(_ *testing.T, p *Connection, _ chan struct{}) {
			p.Cancel()
			<-p.Done()
		}},
		{"block behind the message", func(_ *testing.T, p *Connection, _ chan struct{}) {
			ran := make(chan struct{})
			serial.Async(func() { close(ran) })
			<-ran
		}},
	} {
		t.Run(x.name, func(t *testing.T) {
			l := NewConnection("", nil)
			greeted := make(chan struct{})
			l.SetEventHandler(func(o Object) {
				p, ok := o.(*Connection)
				if !ok {
					return
				}
				handled := make(chan struct{})
				p.SetTargetQueue(serial)
				p.SetEventHandler(func(o Object) {
					if m, ok := o.(*Dictionary); ok {
						p.SendMessage(m.CreateReply())
						close(handled)
					}
				})
				p.Activate()
				x.waits(t, p, handled)
				close(greeted)
			})
			l.Activate()
			defer func() { l.Cancel(); <-l.Done() }()
			c := NewConnectionFromEndpoint(NewEndpoint(l))
			replied := make(chan struct{})
			c.SetEventHandler(func(o Object) {
				if m, ok := o.(*Dictionary); ok {
					<-replied
					c.SendMessage(m.CreateReply())
				}
			})
			c.Activate()
			defer func() { c.Cancel(); <-c.Done() }()
			c.SendMessageWithReplySync(context.Background(), saying("hello"))
			close(replied)
			<-greeted
		})
	}
}

// TestPeerOutlivesTheCancelOfItsListener: to whom a peer is being handed when its listener
// is cancelled has set no handler yet, and is told of the end all the same (R109, R81).
func TestPeerOutlivesTheCancelOfItsListener(t *testing.T) {
	l := NewConnection("", nil)
	told := make(chan Object, 2)
	peers := make(chan *Connection, 1)
	l.SetEventHandler(func(o Object) {
		p, ok := o.(*Connection)
		if !ok {
			return
		}
		p.mu.Lock()
		reader := p.link
		p.mu.Unlock()
		l.Cancel()
		reader.Late() // this handler takes long
		for range 1000 {
			runtime.Gosched() // whoever would tell nobody has time to
		}
		p.SetEventHandler(func(o Object) {
			if _, ok := o.(*Error); ok {
				told <- o
			}
		})
		p.SetFinalizer(func(any) { told <- String("finalized") })
		p.Activate()
		peers <- p
	})
	l.Activate()
	c := NewConnectionFromEndpoint(NewEndpoint(l))
	c.SetEventHandler(func(Object) {})
	c.Activate()
	c.SendMessage(saying("hello"))
	p := <-peers
	if o := <-told; o != Object(ErrConnectionInvalid) {
		t.Errorf("the peer is told %v, want that it is invalid", o)
	}
	if o := <-told; o != Object(String("finalized")) {
		t.Errorf("then %v, want that it is finalized", o)
	}
	c.Cancel()
	for _, x := range []*Connection{p, l, c} {
		<-x.Done()
	}
}
