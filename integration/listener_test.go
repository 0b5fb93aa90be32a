package integration_test

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/xpc"
)

func TestR053_PeerAppearsWithTheFirstMessage(t *testing.T) {
	w := begin(t, theService)
	early := w.to(serviceName)
	if pid := w.running(theService); pid != 0 {
		t.Errorf("activation alone launches nothing (R54): pid %d", pid)
	}
	later := w.to(serviceName)
	if n := later.ask("sends first", message("", "")).GetInt64("peer"); n != 1 {
		t.Errorf("activation alone made a peer: this one is %d", n)
	}
	if n := early.ask("sends second", message("", "")).GetInt64("peer"); n != 2 {
		t.Errorf("peers appear in the order of first messages, not %d", n)
	}
}

// Who connects and only greets has sent no message; the reply to HELLO tells that
// the service has seen the connection.
func TestR053_HelloAloneMakesNoPeer(t *testing.T) {
	w := begin(t, theService)
	w.to(serviceName).pid("the service runs, and this is peer 1")
	fd := place{t, w.socket}.endpoint(serviceName)
	defer unix.Close(fd)
	silent := place{t, fmt.Sprintf("/proc/self/fd/%d", fd)}.dial()
	defer silent.close()
	silent.send(hello())
	if n, err := unix.Read(silent.fd, make([]byte, headerSize)); n != headerSize || err != nil {
		t.Fatalf("the service greets: %d bytes, %v", n, err)
	}
	if n := w.to(serviceName).ask("the next who sends", message("", "")).GetInt64("peer"); n != 2 {
		t.Errorf("HELLO alone made a peer: this one is %d", n)
	}
}

func TestR052_OnePeerForEachConnection(t *testing.T) {
	w := begin(t, theService)
	seen := map[int64]bool{}
	for range 5 {
		n := w.to(serviceName).ask("each connection of one process", message("", "")).GetInt64("peer")
		if seen[n] {
			t.Errorf("peer %d serves two connections", n)
		}
		seen[n] = true
	}
}

func TestT20_ListenerForAForeignName(t *testing.T) {
	w := begin(t, theService)
	l := w.inactive(xpc.NewMachServiceConnection(serviceName, nil, xpc.MachServiceListener))
	l.Activate()
	l.wants("the name is declared by a job, and this process is not the job's (R101)", invalid)
	if r := l.InvalidationReason(); !strings.HasPrefix(r, "Connection init failed at listener activation with error 1 - Operation not permitted") {
		t.Errorf("the reason is macOS's, not %q (R92)", r)
	}
	w.to(serviceName).pid("the job itself may")
}

func TestT21_SecondListenerOfOneName(t *testing.T) {
	w := begin(t, theService)
	c := w.to(serviceName)
	c.pid("served")
	c.ask("the service listens a second time", message("listen again", ""))
	w.says("the name is active (R111)", "service", "listener "+invalid)
	if n := w.to(serviceName).ask("the first listener does not mind", message("", "")).GetInt64("peer"); n != 2 {
		t.Errorf("peer %d", n)
	}
}

// The same for a name that no job declares.
func TestR111_AdHocListenerTwice(t *testing.T) {
	const name = "com.example.adhoc"
	w := begin(t)
	first := w.inactive(xpc.NewMachServiceConnection(name, nil, xpc.MachServiceListener))
	first.SetEventHandler(func(o xpc.Object) {
		if c, ok := o.(*xpc.Connection); ok {
			c.SetEventHandler(func(o xpc.Object) {
				if m, ok := o.(*xpc.Dictionary); ok {
					c.SendMessage(m.CreateReply())
				}
			})
			c.Activate()
			return
		}
		first.note(o)
	})
	first.Activate()
	w.awaitName(name)
	second := w.inactive(xpc.NewMachServiceConnection(name, nil, xpc.MachServiceListener))
	second.Activate()
	second.wants("served already", invalid)
	if r := second.InvalidationReason(); !strings.Contains(r, "Resource busy") {
		t.Errorf("the reason says so, not %q", r)
	}
	w.to(name).ask("the first one serves on", message("", ""))
	first.Cancel()
	first.wants("its own end", invalid)
}

// awaitName waits until somebody serves the name.
func (w *world) awaitName(name string) {
	w.t.Helper()
	for w.ctx.Err() == nil {
		c := w.inactive(xpc.NewMachServiceConnection(name, nil, 0))
		c.SetEventHandler(func(xpc.Object) {})
		c.Activate()
		_, err := c.SendMessageWithReplySync(w.ctx, message("", ""))
		c.Cancel()
		if err == nil {
			return
		}
	}
	w.t.Fatalf("nobody serves %s", name)
}

// ignorer neither activates nor cancels the peers of its first name; through the
// second it tells how it is.
var ignorer = helper("ignorer", func() {
	l := xpc.NewMachServiceConnection("com.example.ignored", nil, xpc.MachServiceListener)
	l.SetEventHandler(func(o xpc.Object) { say("%s", eventName(o)) })
	l.Activate()
	xpc.NewEndpoint(l) // it has its socket now, which is to be counted at the beginning too
	(&service{}).listen("com.example.honest")
	select {}
})

// visitor is a client of the ignorer's.
var visitor = helper("visitor", func() {
	c := xpc.NewMachServiceConnection("com.example.ignored", nil, 0)
	c.SetEventHandler(func(o xpc.Object) { say("%s", eventName(o)) })
	c.Activate()
	for i := range 10 {
		c.SendMessageWithReply(numbered(i), nil, func(xpc.Object) {})
	}
	say("sent")
	<-orders()
})

func TestT22_PeerIgnored(t *testing.T) {
	w := begin(t, job{label: "ignorer", helper: ignorer, names: []string{"com.example.ignored", "com.example.honest"}})
	control := w.to("com.example.honest")
	var before resources
	control.resources(&before)
	p := w.run(visitor)
	w.says("it wants something", visitor, "sent")
	w.says("its peer is neither activated nor cancelled (R103)", ignorer, "peer")
	var during resources
	if control.resources(&during); during.descriptors != 0 && during.descriptors <= before.descriptors {
		t.Errorf("while the client lives its socket is open: %v, before %v", during, before)
	}
	p.order("go")
	p.code()
	for after := before; ; {
		control.resources(&after)
		if after.grewLess(before, 1<<20) {
			return
		}
		if w.ctx.Err() != nil {
			t.Fatalf("when the client is gone its peer holds %v, before %v (R104)", after, before)
		}
	}
}

// resources asks the service what it holds.
func (c *client) resources(r *resources) {
	c.w.t.Helper()
	reply := c.ask("resources", message("resources", ""))
	r.goroutines = int(reply.GetInt64("goroutines"))
	r.descriptors = int(reply.GetInt64("descriptors"))
	r.objects = int(reply.GetInt64("objects"))
}

// busyListener has a listener on a serial queue that is never free again after the
// peer has come.
var busyListener = helper("busy listener", func() {
	q := xpc.NewQueue("listener")
	l := xpc.NewMachServiceConnection(serviceName, q, xpc.MachServiceListener)
	l.SetEventHandler(func(o xpc.Object) {
		c := o.(*xpc.Connection)
		p := &peer{Connection: c, s: &service{}, n: 1}
		c.SetEventHandler(p.handle)
		c.Activate()
		say("blocked")
		select {}
	})
	l.Activate()
	select {}
})

func TestT23_R075_PeersDoNotInheritTheQueue(t *testing.T) {
	w := begin(t, job{label: "busy", helper: busyListener, names: []string{serviceName}})
	c := w.to(serviceName)
	c.pid("the listener's queue is blocked, and the peer answers on the default one (R75)")
	w.says("it was", busyListener, "blocked")
}

func TestR110_NamedListenerCancelled(t *testing.T) {
	w := begin(t, theService)
	old := w.to(serviceName)
	pid := old.pid("served")
	old.ask("the service cancels its listener", message("cancel listener", ""))
	w.says("the listener's own end", "service", "listener "+invalid)
	if old.pid("accepted peers live on") != pid {
		t.Error("another process answers")
	}
	late := w.to(serviceName)
	waits := late.request(message("", "queued"))
	old.pid("a whole exchange goes by")
	waits.open("who comes now waits, rather than being told that nobody is there")
	late.quiet("no event either")
	old.ask("the service listens again", message("listen again", ""))
	if got := eventName(waits.get("the queued request")); got != "got queued" {
		t.Errorf("the reply is %s", got)
	}
	if got := late.pid("served"); got != pid {
		t.Errorf("pid %d serves the name, want %d", got, pid)
	}
}
