package integration_test

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/openxpc/openxpc/xpc"
)

func TestT24_CreateReply(t *testing.T) {
	w := begin(t, theService)
	c := w.to(serviceName)
	c.SendMessage(message("reply twice", ""))
	w.says("a plain message has no reply (R144)", "service", "1 first none, second none")
	c.ask("a request has one", message("reply twice", ""))
	w.says("and only one (R144)", "service", "1 first made, second none")
	if m := message("", ""); m.CreateReply() != nil {
		t.Error("a message of one's own has none")
	}
	reply := c.ask("a reply", message("", ""))
	if reply.CreateReply() != nil {
		t.Error("a reply has none")
	}
	if reply.RemoteConnection() != c.Connection {
		t.Error("it came on this connection (R145)")
	}
}

// dropped is what the sender of a request sees whose receiver lets go of it.
func dropped(t *testing.T, c *client, do string) {
	t.Helper()
	peer := c.ask("connected", message("", "")).GetInt64("peer")
	err := c.fails("the sender is told (R149)", message(do, ""), xpc.ErrConnectionInterrupted)
	if !errors.Is(err, xpc.ErrDropped) {
		t.Errorf("the error says why: %v", err)
	}
	c.request(message(do, "")).wants("a reply handler too", xpc.ErrConnectionInterrupted)
	if c.ask("the connection lives", message("", "")).GetInt64("peer") != peer {
		t.Error("a new peer was made")
	}
	c.quiet("the event handler has nothing to do with it")
}

func TestT25_RequestDropped(t *testing.T) {
	w := begin(t, theService)
	dropped(t, w.to(serviceName), "drop")
}

func TestT26_ReplyReleasedUnsent(t *testing.T) {
	w := begin(t, theService)
	dropped(t, w.to(serviceName), "drop reply")
}

// A reply that nobody releases: the collector is the backstop (R150).
func TestR150_ReplyLost(t *testing.T) {
	w := begin(t, theService)
	c, control := w.to(serviceName), w.to(serviceName)
	pending := c.request(message("lose reply", ""))
	for len(pending.c) == 0 && w.ctx.Err() == nil {
		control.ask("the service's collector runs", message("collect", ""))
	}
	pending.wants("the obligation moved to the reply, and was given up with it", xpc.ErrConnectionInterrupted)
}

// R149 the other way: the client drops what the service asks.
func TestR149_ClientDrops(t *testing.T) {
	w := begin(t, theService)
	c := w.inactive(xpc.NewMachServiceConnection(serviceName, nil, 0))
	var answer atomic.Bool
	c.onMessage(func(m *xpc.Dictionary) {
		if answer.Load() {
			c.SendMessage(m.CreateReply())
		}
	})
	c.Activate()
	c.ask("the service asks", message("ask back", ""))
	c.wants("the question", "got question")
	w.says("the service is told", "service", "1 asked: "+interrupted)
	c.ask("the connection lives, in both directions", message("", ""))
	answer.Store(true)
	c.ask("the service asks again", message("ask back", ""))
	c.wants("the question", "got question")
	w.says("and is answered", "service", "1 asked: got ")
}

func TestT27_ReplyOnAnotherConnection(t *testing.T) {
	w := begin(t, theService)
	c, other := w.to(serviceName), w.to(serviceName)
	pid := other.pid("the other connection is peer 1")
	m := message("reply elsewhere", "")
	m.SetInt64("n", 1)
	pending := c.request(m)
	w.dies("it is misuse, and ends the service with Apple's text (R147)",
		"XPC API Misuse: Attempt to send a message expecting a reply to a connection other than the one it belongs to.")
	pending.wants("its clients see a crash", xpc.ErrConnectionInterrupted)
	c.wants("both", interrupted)
	other.wants("of them", interrupted)
	if c.pid("the next message launches it again") == pid {
		t.Error("it lives")
	}
	w.mayDie()
}

// A caller that gives up cancels nothing: the late reply is dropped, the connection lives (R151).
func TestR151_LateReply(t *testing.T) {
	w := begin(t, theService)
	c, control := w.to(serviceName), w.to(serviceName)
	ctx, cancel := w.soon()
	defer cancel()
	if _, err := c.SendMessageWithReplySync(ctx, message("hold", "late")); !errors.Is(err, ctx.Err()) {
		t.Errorf("the caller's own end is the error: %v", err)
	}
	w.says("the service knows nothing of that", "service", "1 holds late")
	control.ask("it answers", number("release", 1))
	if got := c.ask("the next reply is its own request's", message("", "next")).GetString("text"); got != "next" {
		t.Errorf("got the reply to %q", got)
	}
	c.quiet("nothing else")
}
