package lifecycle_test

import (
	"fmt"

	"github.com/openxpc/openxpc/xpc/internal/lifecycle"
)

// A call to a service that dies: the call is interrupted, then the event handler
// is told, and the connection can be used again.
func ExampleMachine() {
	m := lifecycle.New(lifecycle.Named)
	for _, ev := range []lifecycle.Event{
		{Op: lifecycle.Activate},
		{Op: lifecycle.LookedUp},
		{Op: lifecycle.Send, ID: 1, Call: true},
		{Op: lifecycle.Dialed, Epoch: 1},
		{Op: lifecycle.Lost, Epoch: 1},
		{Op: lifecycle.Begin},
	} {
		fmt.Println(ev, "->", m.Step(ev), m.State())
	}
	// Output:
	// activate -> [look-up] Looking
	// looked-up -> [] Ready
	// send 1 call -> [dial e1] Dialing
	// dialed e1 -> [write e1 1] Open
	// lost e1 -> [close e1 complete 1 interrupted schedule] Ready
	// begin -> [run INTERRUPTED] Ready
}
