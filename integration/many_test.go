package integration_test

import (
	"sync"
	"testing"

	"github.com/openxpc/openxpc/xpc"
)

// Connections whose handlers capture them are no cycle that outlives INVALID
// (R70), and nothing else of them is left either: on neither side.
func TestMany_ConnectionsComeAndGo(t *testing.T) {
	const (
		many  = 10_000
		lanes = 4 // at one time
	)
	j := theService
	j.env = map[string]string{forgetVariable: "yes"}
	w := begin(t, j)
	control := w.to(serviceName)
	use := func(n int) {
		var all sync.WaitGroup
		for range lanes {
			all.Go(func() {
				for range n / lanes {
					openUseCancel(w)
				}
			})
		}
		all.Wait()
	}
	use(100) // what is made once is made now
	var there resources
	control.resources(&there) // connects: before this side is measured
	before := measure()
	use(many)
	for now := measure(); !now.grewLess(before, many); now = measure() {
		if w.ctx.Err() != nil {
			t.Fatalf("this side holds %v, before %v", now, before)
		}
	}
	for now := there; ; {
		control.resources(&now)
		if now.grewLess(there, many) {
			return
		}
		if w.ctx.Err() != nil {
			t.Fatalf("the service holds %v, before %v", now, there)
		}
	}
}

func openUseCancel(w *world) {
	c := xpc.NewMachServiceConnection(serviceName, nil, 0)
	c.SetContext(make([]byte, 64))
	c.SetEventHandler(func(o xpc.Object) {
		if o != xpc.Object(xpc.ErrConnectionInvalid) {
			w.t.Errorf("%v: nobody expected %s", c, eventName(o))
		}
	})
	c.Activate()
	if _, err := c.SendMessageWithReplySync(w.ctx, message("", "")); err != nil {
		w.t.Error(err)
	}
	c.Cancel()
	<-c.Done()
}
