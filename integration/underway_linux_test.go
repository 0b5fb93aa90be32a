package integration_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/openxpc/openxpc/xpc"
)

// registrar registers one name after the other and calls each, and cancels the oldest
// of five. It says what should not be, and at the end how many there were.
var registrar = helper("registrar", func() {
	type served struct {
		*xpc.Connection
		ending atomic.Bool
	}
	var all []*served
	stop := orders()
	for n := 0; ; n++ {
		name := fmt.Sprintf("com.example.under-way.%d", n)
		l := &served{Connection: xpc.NewMachServiceConnection(name, nil, xpc.MachServiceListener)}
		l.SetEventHandler(func(o xpc.Object) {
			p, ok := o.(*xpc.Connection)
			if !ok {
				if !l.ending.Load() {
					say("%s: %v: %s", name, o, l.InvalidationReason())
				}
				return
			}
			p.SetEventHandler(func(o xpc.Object) {
				m, _ := o.(*xpc.Dictionary)
				if reply := m.CreateReply(); reply != nil {
					p.SendMessage(reply)
				}
			})
			p.Activate()
		})
		l.Activate()
		all = append(all, l)
		for {
			c := xpc.NewMachServiceConnection(name, nil, 0)
			c.SetEventHandler(func(xpc.Object) {})
			c.Activate()
			_, err := c.SendMessageWithReplySync(context.Background(), xpc.NewDictionary())
			c.Cancel()
			if err == nil {
				break
			}
			if !errors.Is(err, xpc.ErrUnknownName) { // not yet
				say("%s: %v", name, err)
			}
		}
		if len(all) == 5 {
			all[0].ending.Store(true)
			all[0].Cancel()
			<-all[0].Done()
			all = all[1:]
		}
		select {
		case <-stop:
			say("up to %d", n)
		default:
		}
	}
})

// A look-up or a check-in that is under way while xpcd is restarted is made again,
// and nobody hears of it: each of many is answered, and no listener loses its name.
func TestRestart_UnderWay(t *testing.T) {
	const restarts = 20
	s := supervise(t, theService)
	p := s.run(registrar)
	c := s.to(serviceName)
	pid := c.pid("it runs")
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			c := xpc.NewMachServiceConnection(serviceName, nil, 0)
			c.SetEventHandler(func(xpc.Object) {})
			c.Activate()
			if _, err := c.SendMessageWithReplySync(s.ctx, message("", "")); err != nil {
				t.Errorf("a look-up under way: %v", err)
			}
			c.Cancel()
			<-c.Done()
		}
	}()
	for i := range restarts {
		waysToRestart[i%2].do(s)
	}
	close(stop)
	<-done
	p.order("stop")
	text := s.next("every name was answered", registrar).text
	var last int
	if _, err := fmt.Sscanf(text, "up to %d", &last); err != nil {
		t.Fatal(text)
	}
	if got := c.pid("the connection goes on"); got != pid {
		t.Errorf("the process %d answers, want %d", got, pid)
	}
	t.Logf("%d check-ins over %d restarts", last, restarts)
}
