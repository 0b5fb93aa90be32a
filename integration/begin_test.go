package integration_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/openxpc/openxpc/xpc"
)

const unknownName = "com.example.nobody"

func TestT01_CreationTellsNothing(t *testing.T) {
	w := begin(t, theService)
	c := w.inactive(xpc.NewMachServiceConnection(unknownName, nil, 0))
	w.to(serviceName).pid("a whole exchange with the same registry goes by")
	c.quiet("the name is not looked up before activation (R50)")
	if r := c.InvalidationReason(); r != "" {
		t.Errorf("it is valid until looked up: %s", r)
	}
}

func TestT02_UnknownNameIsInvalid(t *testing.T) {
	w := begin(t)
	c := w.to(unknownName)
	c.wants("nobody has the name (R50)", invalid)
	if r := c.InvalidationReason(); !strings.HasPrefix(r, "Connection init failed at lookup with error 3 - No such process") {
		t.Errorf("the reason is macOS's, not %q (R91, R92)", r)
	}
	err := c.fails("a dead connection answers at once (R85)", message("", "late"), xpc.ErrConnectionInvalid)
	if !errors.Is(err, xpc.ErrUnknownName) {
		t.Errorf("the error says why: %v", err)
	}
	c.request(message("", "late")).wants("and a reply handler too (R122)", xpc.ErrConnectionInvalid)
	await(t, "INVALID is the end", c.Done())
}

func TestT03_SendsBeforeActivationKeepTheirOrder(t *testing.T) {
	w := begin(t, theService)
	c := w.inactive(xpc.NewMachServiceConnection(serviceName, nil, 0))
	for i := range 3 {
		c.SendMessage(numbered(i + 1))
	}
	if pid := w.running(theService); pid != 0 {
		t.Errorf("nothing leaves before activation, so nothing is launched (R63): pid %d", pid)
	}
	c.Activate()
	w.says("first in, first out (R78)", "service", numbers("1 ", 3)...)
}

func TestT04_ActivateTwice(t *testing.T) {
	w := begin(t, theService)
	c := w.to(serviceName)
	c.Activate()
	c.SendMessage(numbered(1))
	c.Activate()
	w.says("the message comes once, on one peer (R56)", "service", "1 got 1")
	if n := c.ask("still the same connection", message("", "")).GetInt64("peer"); n != 1 {
		t.Errorf("activation made peer %d", n)
	}
}

// overResumer resumes a connection once too often, in the way its argument says.
var overResumer = helper("over-resumer", func() {
	c := xpc.NewMachServiceConnection(serviceName, nil, 0)
	c.SetEventHandler(func(xpc.Object) {})
	switch {
	case helperArgument() == "activate":
		c.Activate()
	default:
		c.Resume() // of a connection that was never activated: Activate (R57)
	}
	say("active")
	c.Resume()
	say("survived")
})

func TestT05_OverResume(t *testing.T) {
	w := begin(t, theService)
	for _, first := range []string{"activate", "resume"} {
		p := w.run(overResumer, first)
		w.says(first+" is right", overResumer, "active")
		w.dies("one resume too many ends the process, with Apple's text (R59)", "XPC API Misuse: Over-resume of a connection.")
		if code := p.code(); code == 0 {
			t.Errorf("after %s: it ended with 0", first)
		}
		w.mayDie()
	}
}

func TestT07_ActivateAndCancel(t *testing.T) {
	w := begin(t, theService)
	c := w.inactive(xpc.NewMachServiceConnection(serviceName, nil, 0))
	c.SetContext("context")
	c.SetFinalizer(func(v any) { c.events <- "finalizer of " + v.(string) })
	c.Activate()
	c.Cancel()
	c.wants("INVALID once, then the finalizer (R81, R89)", invalid, "finalizer of context")
	await(t, "both have returned", c.Done())
	c.Cancel()
	c.quiet("cancelling again is harmless (R83)")
}

func TestT10_HandlerReplacedInHandler(t *testing.T) {
	w := begin(t, theService)
	c := w.inactive(xpc.NewMachServiceConnection(serviceName, nil, 0))
	c.SetEventHandler(func(o xpc.Object) {
		c.events <- "first: " + eventName(o)
		c.SetEventHandler(func(o xpc.Object) { c.events <- "second: " + eventName(o) })
		c.events <- "first returns"
	})
	c.Activate()
	c.ask("two messages come", number("push", 2))
	c.wants("a running handler is not interrupted, the next event has the new one (R68)",
		"first: got 1", "first returns", "second: got 2")
	c.Cancel()
	c.wants("as has the last", "second: "+invalid)
}

func TestT13_BarriersSurviveCancel(t *testing.T) {
	w := begin(t, theService)
	c := w.inactive(xpc.NewMachServiceConnection(serviceName, nil, 0))
	ran := make(chan string, 8)
	c.SendMessage(numbered(1))
	c.SendBarrier(func() { ran <- "before" })
	c.Cancel()
	c.SendBarrier(func() { ran <- "after" })
	got := []string{await(t, "a barrier outstanding at cancel runs (R86)", ran), await(t, "one sent later too", ran)}
	if got[0] != "before" || got[1] != "after" {
		t.Errorf("they run in order: %v", got)
	}
	c.wants("the end", invalid)
	inside := w.to(serviceName)
	inside.pid("connected")
	inside.SendBarrier(func() { inside.Cancel(); ran <- "inside" })
	if got := await(t, "cancelling inside a barrier is safe (R88)", ran); got != "inside" {
		t.Errorf("%s ran again", got)
	}
	inside.wants("and ends the connection", invalid)
	w.says("its peer learns", "service", "1 "+invalid)
	if len(ran) != 0 {
		t.Errorf("%s ran twice", <-ran)
	}
}
