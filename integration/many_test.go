package integration_test

import (
	"runtime"
	"sync"
	"testing"
	"weak"

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

// What a handler captured is let go of with INVALID, also when the program keeps
// the connection (R70).
func TestR070_HandlersAreReleased(t *testing.T) {
	w := begin(t, theService)
	c := xpc.NewMachServiceConnection(serviceName, nil, 0)
	captured := capture(c)
	c.Activate()
	if _, err := c.SendMessageWithReplySync(w.ctx, message("", "")); err != nil {
		t.Error(err)
	}
	c.Cancel()
	await(t, "the end", c.Done())
	for captured.Value() != nil {
		if runtime.GC(); w.ctx.Err() != nil {
			t.Fatal("the handler is still held")
		}
	}
	runtime.KeepAlive(c)
}

// capture gives c a handler that holds c and the returned object.
//
//go:noinline
func capture(c *xpc.Connection) weak.Pointer[[64]byte] {
	captured := new([64]byte)
	c.SetEventHandler(func(xpc.Object) { captured[0] = byte(c.PID()) })
	return weak.Make(captured)
}
