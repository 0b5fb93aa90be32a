package xpc

import (
	"context"
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
