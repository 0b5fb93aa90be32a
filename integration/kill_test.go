package integration_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/openxpc/openxpc/xpc"
)

// killSteps are the steps of an exchange at which the service is killed.
var killSteps = []struct {
	name string
	// kill brings the exchange to its step, kills, and checks what the client learns.
	kill func(w *world, c *client, pid int)
}{
	{"before the first message", func(w *world, c *client, pid int) {
		w.kill(pid)
	}},
	{"after a reply", func(w *world, c *client, pid int) {
		c.pid("an exchange")
		w.kill(pid)
		c.wants("the connection was in use", interrupted)
	}},
	{"request written, not read", func(w *world, c *client, pid int) {
		c.pid("connected")
		w.stop(pid)
		killed(w, c, c.request(message("hold", "never read")), pid)
	}},
	{"request half written", func(w *world, c *client, pid int) {
		c.pid("connected")
		w.stop(pid)
		killed(w, c, c.request(large(8<<20)), pid)
	}},
	{"first request written, peer not accepted", func(w *world, c *client, pid int) {
		w.stop(pid)
		// Whether the process dies with the connection in its queue or in its
		// hands is the kernel's affair; a queued one is left to the successor.
		pending := c.request(message("", "queued"))
		w.kill(pid)
		if got := pending.get("either way it ends"); got == xpc.Object(xpc.ErrConnectionInterrupted) {
			c.wants("then this is told too", interrupted)
		} else if eventName(got) != "got queued" {
			w.t.Errorf("the reply handler got %v", got)
		}
	}},
	{"in the handler", func(w *world, c *client, pid int) {
		pending := c.request(message("hold", "in the handler"))
		w.says("it has the request", "service", "2 holds in the handler")
		killed(w, c, pending, pid)
	}},
	{"reply made, not sent", func(w *world, c *client, pid int) {
		pending := c.request(message("freeze with reply", ""))
		w.says("it has a reply", "service", "2 has a reply")
		killed(w, c, pending, pid)
	}},
	{"a synchronous caller waits", func(w *world, c *client, pid int) {
		result := make(chan error, 1)
		go func() {
			_, err := c.SendMessageWithReplySync(w.ctx, message("hold", "sync"))
			result <- err
		}()
		w.says("it has the request", "service", "2 holds sync")
		w.kill(pid)
		err := await(w.t, "the caller is released", result)
		if !errors.Is(err, xpc.ErrConnectionInterrupted) || !errors.Is(err, xpc.ErrPeerGone) {
			w.t.Errorf("the error is %v", err)
		}
		c.wants("the event", interrupted)
	}},
}

// Whatever the step, who waits is told at once, and the next request is answered
// by the next process.
func TestKill_AtEachStep(t *testing.T) {
	for _, step := range killSteps {
		t.Run(step.name, func(t *testing.T) {
			w := begin(t, theService)
			first := w.to(serviceName)
			pid := first.pid("launched")
			c := w.to(serviceName)
			step.kill(w, c, pid)
			first.wants("everybody else is told as well", interrupted)
			if c.pid("the next request") == pid {
				t.Error("the dead answer")
			}
			c.quiet("nothing more is told")
		})
	}
}

// killed kills the service and wants the pending request and the connection to be told.
func killed(w *world, c *client, pending outcome, pid int) {
	w.t.Helper()
	w.kill(pid)
	pending.wants("who waits is told", xpc.ErrConnectionInterrupted)
	c.wants("and so is the event handler", interrupted)
	pending.once("one call")
}

// hungry asks for more than a socket holds.
var hungry = helper("hungry", func() {
	c := xpc.NewMachServiceConnection(serviceName, nil, 0)
	c.SetEventHandler(func(o xpc.Object) { say("%s", eventName(o)) })
	c.Activate()
	in := orders()
	pending := make(chan xpc.Object, 1)
	m := message("hold", "much")
	c.SendMessageWithReply(m, nil, func(o xpc.Object) { pending <- o })
	say("asked")
	say("reply: %s", eventName(<-pending))
	reply, err := c.SendMessageWithReplySync(testContext(), message("", ""))
	if err != nil {
		say("%v", err)
	}
	say("then %d", reply.GetInt64("pid"))
	<-in
})

// A reply of which one half was written must not be delivered, nor anything after it.
func TestKill_ReplyHalfWritten(t *testing.T) {
	w := begin(t, theService)
	control := w.to(serviceName)
	pid := control.pid("launched")
	p := w.run(hungry)
	w.says("the client asks", hungry, "asked")
	w.says("the service has it", "service", "2 holds much")
	w.stop(p.Process.Pid)
	m := number("release", 2)
	m.SetInt64("size", 8<<20)
	control.ask("it answers, and the client does not read", m)
	w.kill(pid)
	control.wants("it is gone", interrupted)
	w.goOn(p.Process.Pid)
	// Two goroutines of the client tell, in an order of their own.
	w.finally("half a reply is none", hungry, "reply: "+interrupted, interrupted)
	w.finally("the next request is answered by the next process", hungry, fmt.Sprint("then ", control.pid("the successor")))
}
