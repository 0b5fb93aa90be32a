package integration_test

import (
	"fmt"
	"testing"

	"github.com/openxpc/openxpc/xpc"
)

func TestT08_SuspendInHandler(t *testing.T) {
	w := begin(t, theService)
	c := w.inactive(xpc.NewMachServiceConnection(serviceName, nil, 0))
	c.onMessage(func(question *xpc.Dictionary) {
		for i := range 5 {
			c.SendMessage(numbered(i + 1))
		}
		c.SendMessage(question.CreateReply())
	})
	c.Activate()
	c.SendMessage(message("suspend and ask", ""))
	c.wants("replies and requests of the suspended side's handler leave (R67)", "got question")
	w.says("the running handler finishes (R60)", "service", "1 suspended in its handler")
	w.says("five messages came before the answer, and the handler has seen none (R58)", "service",
		"1 suspended, got , 1 call of the handler")
	w.says("after resume they come in order", "service", numbers("1 ", 5)...)
}

// The service reads and answers on a concurrent queue; so does the client.
func TestT09_HandlersNeverOverlap(t *testing.T) {
	const many = 1000
	w := begin(t, theService)
	c := w.to(serviceName)
	c.ask("the target queue is concurrent", message("be concurrent", ""))
	for range many {
		c.SendMessage(message("count", ""))
	}
	counts := c.ask("after all of them", message("counted", ""))
	if calls, most := counts.GetInt64("calls"), counts.GetInt64("most"); calls != many+2 || most != 1 {
		t.Errorf("%d calls, %d at one time; want %d, one at a time (R66, R72)", calls, most, many+2)
	}
}

func TestR066_ClientHandlersNeverOverlap(t *testing.T) {
	const many = 1000
	w := begin(t, theService)
	c := w.inactive(xpc.NewMachServiceConnection(serviceName, xpc.NewConcurrentQueue("concurrent"), 0))
	var o overlap
	all := make(chan struct{})
	c.SetEventHandler(func(e xpc.Object) {
		o.enter()
		defer o.leave()
		if _, ok := e.(*xpc.Dictionary); !ok {
			c.note(e)
			return
		}
		if calls, _ := o.read(); calls == many {
			close(all)
		}
	})
	c.Activate()
	c.ask("all are sent", number("push", many))
	await(t, "all came", all)
	if _, most := o.read(); most != 1 {
		t.Errorf("%d handlers at one time on a concurrent queue, want one (R66)", most)
	}
}

func TestT11_BarrierSaysSentNotReceived(t *testing.T) {
	w := begin(t, theService)
	c, control := w.to(serviceName), w.to(serviceName)
	c.SendMessage(message("suspend", ""))
	w.says("the service suspends this peer", "service", "1 suspended")
	for i := range 5 {
		c.SendMessage(numbered(i + 1))
	}
	ran := make(chan struct{})
	c.SendBarrier(func() { close(ran) })
	await(t, "the barrier runs though nothing was handled (R153, R154)", ran)
	if n := control.ask("how many", number("counted", 1)).GetInt64("calls"); n != 1 {
		t.Errorf("the suspended peer's handler was called %d times, want once, for the suspension", n)
	}
	w.silent("nothing was delivered", "service")
	control.ask("now it may", number("resume", 1))
	w.says("they were only waiting", "service", numbers("1 ", 5)...)
}

func TestT12_BarrierDoesNotWaitForReplies(t *testing.T) {
	w := begin(t, theService)
	c, control := w.to(serviceName), w.to(serviceName)
	reply := c.request(message("hold", "request"))
	ran := make(chan struct{})
	c.SendBarrier(func() { close(ran) })
	await(t, "the barrier runs before the reply (R153)", ran)
	w.says("the request was received", "service", "1 holds request")
	reply.open("the service has not answered")
	control.ask("now it does", number("release", 1))
	if got := eventName(reply.get("the reply")); got != "got request" {
		t.Errorf("the reply is %s", got)
	}
}

// Nothing leaves while the barrier runs; what is sent meanwhile follows in order.
func TestR153_NothingIsSentWhileABarrierRuns(t *testing.T) {
	w := begin(t, theService)
	c, other := w.to(serviceName), w.to(serviceName)
	c.SendMessage(message("", "before"))
	w.says("sent before", "service", "1 got before")
	c.SendBarrier(func() {
		c.SendMessage(message("", "meanwhile"))
		other.pid("a whole exchange on another connection goes by")
		w.silent("the message waits for the barrier's end", "service")
		c.SendMessage(message("", "and more"))
	})
	w.says("then they leave, in order", "service", "1 got meanwhile", "1 got and more")
}

// Nor does it run before all that was sent earlier has been written.
func TestR153_BarrierWaitsForTheWrite(t *testing.T) {
	w := begin(t, theService)
	c := w.to(serviceName)
	pid := c.pid("launched")
	w.stop(pid)
	c.SendMessage(large(8 << 20)) // more than the socket holds
	ran := make(chan struct{})
	c.SendBarrier(func() { close(ran) })
	for range 10 {
		w.running(theService) // exchanges with the registry go by
	}
	select {
	case <-ran:
		t.Error("the barrier ran, and the message cannot have been written")
	default:
	}
	w.goOn(pid)
	await(t, "when the service reads the rest is written, and the barrier runs", ran)
}

func TestR154_BarrierRunsWhenThePeerStandsStill(t *testing.T) {
	w := begin(t, theService)
	c := w.to(serviceName)
	w.stop(c.pid("launched"))
	c.SendMessage(message("", "to a stopped process"))
	ran := make(chan struct{})
	c.SendBarrier(func() { close(ran) })
	await(t, "the remote side need not have run at all", ran)
	w.goOn(w.running(theService))
	w.says("it gets the message when it runs again", "service", "1 got to a stopped process")
}

func TestR058_SuspensionsCount(t *testing.T) {
	w := begin(t, theService)
	c := w.inactive(xpc.NewMachServiceConnection(serviceName, nil, 0))
	c.Suspend()
	c.Suspend()
	c.Activate() // stays suspended (R62)
	c.SendMessage(numbered(1))
	c.Resume()
	if pid := w.running(theService); pid != 0 {
		t.Errorf("a suspended connection sends nothing, so nothing is launched (R58): pid %d", pid)
	}
	w.silent("one resume undoes one suspend", "service")
	c.Resume()
	w.says("the second lets it go", "service", "1 got 1")
}

func TestR058_TheServicesSuspensionsCountToo(t *testing.T) {
	w := begin(t, theService)
	c, control := w.to(serviceName), w.to(serviceName)
	m := message("suspend", "")
	m.SetInt64("times", 2)
	c.SendMessage(m)
	w.says("the service suspends this peer twice", "service", "1 suspended")
	c.SendMessage(numbered(1))
	control.ask("resumed once", number("resume", 1))
	if n := control.ask("how many", number("counted", 1)).GetInt64("calls"); n != 1 {
		t.Errorf("after one of two resumes the handler has been called %d times", n)
	}
	control.ask("resumed twice", number("resume", 1))
	w.says("now it comes", "service", "1 got 1")
}

// A superset of Apple's (R67): what a handler sends leaves at once, and it may
// wait for an answer on its own connection. From both sides.
func TestR067_SendingInsideAHandler(t *testing.T) {
	w := begin(t, theService)
	c := w.inactive(xpc.NewMachServiceConnection(serviceName, nil, 0))
	inner := w.to(serviceName) // the service's handler waits, so this needs a peer of its own
	c.onMessage(func(m *xpc.Dictionary) {
		if reply := m.CreateReply(); reply != nil {
			reply.SetString("text", "answer with "+inner.ask("in the handler", message("", "inner")).GetString("text"))
			c.SendMessage(reply)
		}
	})
	c.Activate()
	reply := c.ask("the service asks back before it answers", message("ask inside", ""))
	if got := reply.GetString("text"); got != "answer with inner" {
		t.Errorf("the service's handler got %q", got)
	}
	c.wants("what its handler sent came while the handler ran", "got sent inside", "got question")

	done := make(chan string, 1)
	c.onMessage(func(*xpc.Dictionary) {
		done <- c.ask("a synchronous request inside the handler of the same connection", message("", "same")).GetString("text")
	})
	c.ask("one message", number("push", 1))
	c.wants("it comes", "got 1")
	if got := await(t, "the handler is not deadlocked", done); got != "same" {
		t.Errorf("it got %q", got)
	}
}

// Both sides count from 1, so a plain message's number can equal that of a pending
// request: it must never be taken for the reply. Numbers are used up by barriers
// as well, so here the client is ahead and the service passes through the numbers
// of the requests that it has not answered.
func TestTrap_PlainMessagesAreNeverReplies(t *testing.T) {
	const many = 50
	w := begin(t, theService)
	c, control := w.to(serviceName), w.to(serviceName)
	for range 4 * many {
		c.SendBarrier(func() {})
	}
	var pending []outcome
	for i := range many {
		pending = append(pending, c.request(message("hold", fmt.Sprint(i+1))))
	}
	const pushed = 8 * many
	c.ask("the service sends messages with the same numbers", number("push", pushed))
	c.wants("they are events", numbers("", pushed)...)
	for i, p := range pending {
		p.open("the service has answered none")
		w.says("it holds them all", "service", fmt.Sprintf("1 holds %d", i+1))
	}
	control.ask("now it answers", number("release", 1))
	for i, p := range pending {
		if got, want := eventName(p.get("the reply")), fmt.Sprintf("got %d", i+1); got != want {
			t.Errorf("request %d got the reply %q", i+1, got)
		}
	}
}

// The same the other way: replies use up numbers of the service's, so it is ahead,
// and the client's plain messages pass through the number of its pending request.
func TestTrap_TheClientsPlainMessagesAreNeverReplies(t *testing.T) {
	const many = 100
	w := begin(t, theService)
	c := w.inactive(xpc.NewMachServiceConnection(serviceName, nil, 0))
	question := make(chan *xpc.Dictionary, 1)
	c.onMessage(func(m *xpc.Dictionary) { question <- m.Retain() })
	c.Activate()
	for range many {
		c.pid("the service's numbers grow twice as fast")
	}
	c.ask("it asks", message("ask back", ""))
	c.wants("the question", "got question")
	m := await(t, "the question", question)
	for range 3 * many {
		c.SendMessage(message("count", ""))
	}
	if got := c.ask("all came", message("counted", "")).GetInt64("calls"); got != 4*many+2 {
		t.Errorf("%d calls of the handler, want %d", got, 4*many+2)
	}
	w.silent("its reply handler was not called", "service")
	reply := m.CreateReply()
	reply.SetString("text", "mine")
	c.SendMessage(reply)
	m.Release()
	w.says("now it was", "service", "1 asked: got mine")
}
