package integration_test

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/openxpc/openxpc/xpc"
)

// holding makes c have n requests that the service keeps.
func (c *client) holding(n int) (pending []outcome) {
	c.w.t.Helper()
	for range n {
		pending = append(pending, c.request(message("hold", "one")))
		c.w.says("the service has it", "service", "1 holds one")
	}
	return pending
}

func TestT14_ClientCancels(t *testing.T) {
	w := begin(t, theService)
	c := w.to(serviceName)
	pending := c.holding(3)
	c.Cancel()
	for _, p := range pending {
		p.wants("pending replies end with the connection (R82)", xpc.ErrConnectionInvalid)
	}
	c.wants("the last event", invalid)
	await(t, "the end", c.Done())
	for _, p := range pending {
		p.once("each handler is called once (R127)")
	}
	w.says("the other side cannot come back either (R84)", "service", "1 "+invalid)
	if r := c.InvalidationReason(); r == "" {
		t.Error("there is no reason (R91)")
	}
}

func TestT15_ServiceCancelsItsPeer(t *testing.T) {
	w := begin(t, theService)
	c := w.to(serviceName)
	first := c.ask("connected", message("", ""))
	pending := c.request(message("cancel me", ""))
	w.says("the service's own cancel ends its peer", "service", "1 "+invalid)
	pending.wants("no answer is coming (R120)", xpc.ErrConnectionInterrupted)
	c.wants("the client's connection stays usable (R84)", interrupted)
	second := c.ask("the next message", message("", ""))
	if second.GetInt64("peer") != 2 || second.GetInt64("pid") != first.GetInt64("pid") {
		t.Errorf("it arrives on a new peer of the same process (R52), not on peer %d", second.GetInt64("peer"))
	}
}

// What the socket cannot hold is queued in the client when the process dies.
func TestT16_KilledWithPendingReplyAndQueuedSends(t *testing.T) {
	w := begin(t, theService)
	c := w.to(serviceName)
	old := c.pid("launched")
	w.stop(old)
	pending := c.request(message("hold", "never"))
	for range 64 {
		c.SendMessage(large(64 << 10))
	}
	late := c.request(message("hold", "not even written"))
	w.kill(old)
	pending.wants("the request was written (R120)", xpc.ErrConnectionInterrupted)
	late.wants("the request was not written", xpc.ErrConnectionInterrupted)
	c.wants("one event (R121)", interrupted)
	if pid := c.pid("the next message launches it again"); pid == old {
		t.Errorf("pid %d again", pid)
	}
	c.quiet("nothing else is told")
	pending.once("one call")
	late.once("one call")
	w.silent("queued messages are dropped, not sent to the successor (R120)", "service")
}

// large is a plain message of about n bytes that is not told.
func large(n int) *xpc.Dictionary {
	m := message("count", "")
	m.SetString("filler", strings.Repeat("x", n)) // long data would not go through the socket
	return m
}

func TestT17_JobRemoved(t *testing.T) {
	w := begin(t, theService)
	c := w.to(serviceName)
	pending := c.holding(1)[0]
	w.unload(theService)
	pending.wants("its process is gone", xpc.ErrConnectionInterrupted)
	c.wants("and then the name (R123)", interrupted, invalid)
	pending.once("one call")
	err := c.fails("the connection is dead for good", message("", ""), xpc.ErrConnectionInvalid)
	if !errors.Is(err, xpc.ErrUnknownName) {
		t.Errorf("the error says why: %v", err)
	}
}

func TestR123_UnloadEndsConnections(t *testing.T) {
	w := begin(t, theService)
	used, idle := w.to(serviceName), w.inactive(xpc.NewMachServiceConnection(serviceName, nil, 0))
	unused := w.to(serviceName)
	unused.quiet("looked up and never used")
	used.pid("launched")
	idle.Activate()
	idle.pid("looked up and used")
	idle.Suspend() // its events wait, and must all be there
	w.unload(theService)
	used.wants("in use", interrupted, invalid)
	unused.wants("looked up and never used", interrupted, invalid)
	idle.quiet("suspended")
	idle.Resume()
	idle.wants("suspended when it happened", interrupted, invalid)
	w.to(serviceName).wants("who comes later finds no such name", invalid)

	w.load(theService)
	used.fails("nothing tells the old connection that it is loaded again", message("", ""), xpc.ErrConnectionInvalid)
	w.to(serviceName).pid("a new connection works")
}

// lonely is a client that dies as it is told.
var lonely = helper("lonely client", func() {
	c := xpc.NewMachServiceConnection(serviceName, nil, 0)
	c.SetEventHandler(func(o xpc.Object) { say("%s", eventName(o)) })
	c.Activate()
	if _, err := c.SendMessageWithReplySync(testContext(), message("", "")); err != nil {
		say("%v", err)
	}
	c.SendMessageWithReply(message("hold", "for a client that dies"), nil, func(xpc.Object) {})
	say("connected")
	if <-orders() == "cancel" {
		c.Cancel()
		<-c.Done()
	}
})

func TestT18_ClientDies(t *testing.T) {
	for _, how := range []string{"exit", "cancel", "kill"} {
		t.Run(how, func(t *testing.T) {
			w := begin(t, theService)
			p := w.run(lonely)
			w.says("it has a peer", lonely, "connected")
			w.says("and a pending request", "service", "1 holds for a client that dies")
			if how == "kill" {
				p.signal(syscall.SIGKILL)
			} else {
				p.order(how)
			}
			w.says("an accepted peer cannot come back: INVALID alone (R107)", "service", "1 "+invalid)
			p.code()
			if how == "cancel" {
				w.says("the client itself", lonely, invalid)
			}
			control := w.to(serviceName)
			control.ask("the reply to nobody is dropped (R147)", number("release", 1))
			w.silent("INTERRUPTED never comes", "service")
		})
	}
}

func TestR107_AcceptedPeersNeverSeeInterrupted(t *testing.T) {
	w := begin(t, theService)
	c := w.to(serviceName)
	c.onMessage(func(*xpc.Dictionary) {}) // drops what it is asked
	c.pid("connected")
	c.Cancel()
	w.says("client cancels", "service", "1 "+invalid)
	c.wants("the client's own end", invalid)

	c = w.to(serviceName)
	c.ask("the service asks, the client drops", message("ask back", ""))
	c.wants("the question", "got question")
	w.says("a dropped request is INTERRUPTED for its reply handler, not for the peer (R149)", "service", "2 asked: "+interrupted)
	c.pid("the peer lives")
	w.silent("no event", "service")
}

func TestR084_CancelIsAsymmetric(t *testing.T) {
	w := begin(t, theService)
	c := w.to(serviceName)
	c.pid("connected")
	c.SendMessage(message("cancel me", ""))
	w.says("the service cancels: its peer ends", "service", "1 "+invalid)
	c.wants("the client can go on", interrupted)
	c.pid("and does")
	c.Cancel()
	w.says("the client cancels: the peer ends", "service", "2 "+invalid)
	c.wants("and so does the client", invalid)
}

func TestT19_AnonymousListenerKilled(t *testing.T) {
	w := begin(t, theService)
	named := w.to(serviceName)
	reply := named.ask("an endpoint", message("endpoint", ""))
	ep := reply.Get("endpoint").(*xpc.Endpoint)
	c := w.toEndpoint(ep)
	if pid := c.pid("the endpoint leads to the service"); pid != w.running(theService) {
		t.Errorf("pid %d answers", pid)
	}
	pending := c.request(message("hold", "for ever"))
	w.says("the service has it", "service", "2 holds for ever")
	w.kill(w.running(theService))
	got := pending.get("no answer is coming")
	if got != xpc.Object(xpc.ErrConnectionInterrupted) && got != xpc.Object(xpc.ErrConnectionInvalid) {
		t.Errorf("the reply handler got %v", got)
	}
	// A dying process closes its sockets one by one: the listener may outlive the
	// peer for a moment, and then INTERRUPTED comes first (R124).
	if e := await(t, "the end", c.events); e == interrupted {
		c.fails("no new peer can be made", message("", ""), xpc.ErrConnectionInvalid)
		c.wants("after INTERRUPTED", invalid)
	} else if e != invalid {
		t.Errorf("the event is %s", e)
	}
	named.wants("a name is another matter: it can be served again", interrupted)
	late := w.toEndpoint(ep)
	late.fails("an endpoint does not keep its listener alive (R160)", message("", ""), xpc.ErrConnectionInvalid)
	late.wants("it leads nowhere", invalid)
}

func TestR124_EndpointConnections(t *testing.T) {
	w := begin(t, theService)
	named := w.to(serviceName)
	ep := named.ask("an endpoint", message("endpoint", "")).Get("endpoint").(*xpc.Endpoint)
	c, other := w.toEndpoint(ep), w.toEndpoint(ep)
	if n := c.ask("any number of connections (R108)", message("", "")).GetInt64("peer"); n != 2 {
		t.Fatalf("peer %d", n)
	}
	other.pid("any number of connections (R108)")
	c.request(message("cancel me", "")).wants("the peer is gone, the listener is not", xpc.ErrConnectionInterrupted)
	c.wants("so the connection can be used again", interrupted)
	w.says("the peer's own end", "service", "2 "+invalid)
	if n := c.ask("the next message", message("", "")).GetInt64("peer"); n != 4 {
		t.Errorf("it makes a new peer, not %d", n)
	}
	named.ask("the listener is cancelled", message("cancel listener", ""))
	c.wants("gone for good (R109)", invalid)
	other.wants("for everybody", invalid)
	named.pid("the named connection does not mind")
	w.finally("the listener and its peers end, in no order (R87)", "service",
		"anonymous listener "+invalid, "3 "+invalid, "4 "+invalid)
}

// An endpoint may be relayed by a process that has nothing to do with the listener (R161).
func TestR161_EndpointThroughAThirdProcess(t *testing.T) {
	relay := job{label: "relay", helper: serviceHelper, names: []string{"com.example.relay"}}
	w := begin(t, theService, relay)
	ep := w.to(serviceName).ask("an endpoint", message("endpoint", "")).Get("endpoint")
	m := message("echo", "")
	m.Set("endpoint", ep)
	c := w.to("com.example.relay")
	back := c.ask("through the relay", m).Get("endpoint").(*xpc.Endpoint)
	w.kill(w.running(relay))
	c.wants("the relay is gone", interrupted)
	if pid := w.toEndpoint(back).pid("the relay is not needed any more"); pid != w.running(theService) {
		t.Errorf("pid %d answers", pid)
	}
}
