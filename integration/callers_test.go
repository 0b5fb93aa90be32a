package integration_test

import (
	"sync"
	"testing"

	"github.com/openxpc/openxpc/xpc"
)

// Callers that arrive while the socket is being connected must not read it before
// its reader has been set up: the call that finds it open may be another's.
func TestCallers_WhileTheSocketIsConnected(t *testing.T) {
	w := begin(t, theService)
	w.to(serviceName).pid("launched")
	for range 200 {
		c := w.inactive(xpc.NewMachServiceConnection(serviceName, nil, 0))
		c.Activate()
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 3 {
					if _, err := c.SendMessageWithReplySync(w.ctx, message("", "")); err != nil {
						t.Errorf("one of many first callers: %v", err)
					}
				}
			})
		}
		all.Wait()
		if t.Failed() {
			return
		}
	}
}
