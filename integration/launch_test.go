package integration_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/openxpc/openxpc/xpc"
)

// asker asks the service once it is told to, and says who answered.
var asker = helper("asker", func() {
	c := xpc.NewMachServiceConnection(serviceName, nil, 0)
	c.SetEventHandler(func(o xpc.Object) { say("%s", eventName(o)) })
	c.Activate()
	say("ready")
	for range orders() {
		reply, err := c.SendMessageWithReplySync(testContext(), message("", ""))
		if err != nil {
			say("%v", err)
			continue
		}
		say("answered by %d", reply.GetInt64("pid"))
	}
})

func TestLaunch_TwoClientsAtOnce(t *testing.T) {
	w := begin(t, theService)
	two := []*process{w.run(asker), w.run(asker)}
	w.says("both have looked the name up", asker, "ready", "ready")
	for _, p := range two {
		p.order("ask")
	}
	first, second := w.next("one is answered", asker), w.next("and so is the other", asker)
	if !strings.HasPrefix(first.text, "answered by ") || first.text != second.text {
		t.Errorf("one launch serves both: %q, %q", first.text, second.text)
	}
	if first.pid == second.pid {
		t.Error("the same client was answered twice")
	}
}

func TestLaunch_MessageWhileDown(t *testing.T) {
	w := begin(t, theService)
	c := w.to(serviceName)
	c.SendMessage(message("", "sent while nothing runs"))
	w.says("it is delivered after the launch (R215, R130 is about a dying service only)", "service", "1 got sent while nothing runs")
}

const missingName = "com.example.missing"

func missing(t *testing.T) job {
	return job{label: "missing", program: filepath.Join(t.TempDir(), "no such program"), names: []string{missingName}}
}

func TestLaunch_ProgramDoesNotExist(t *testing.T) {
	w := begin(t, missing(t))
	c := w.to(missingName)
	err := c.fails("nothing can answer", message("", ""), xpc.ErrLaunchFailed)
	for _, want := range []string{"job missing", "no such file or directory", "no such program"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error names the job and the reason: %q lacks %q", err, want)
		}
	}
	c.wants("the event handler is told", interrupted)
	c.request(message("", "")).wants("a reply handler as well", xpc.ErrConnectionInterrupted)
	c.wants("each time", interrupted)
	for range 5 {
		c.SendMessage(message("", "lost"))
	}
	ran := make(chan struct{})
	c.SendBarrier(func() { close(ran) })
	await(t, "nothing hangs, barriers included", ran)
	c.Cancel()
	await(t, "the end", c.Done())
	c.last("INTERRUPTED, once for each attempt, and then the end")
}

// last takes the events up to INVALID; all but that one are INTERRUPTED.
func (c *client) last(why string) {
	c.w.t.Helper()
	for {
		switch e := await(c.w.t, why, c.events); e {
		case invalid:
			return
		case interrupted:
		default:
			c.w.t.Fatalf("%s: the event %s", why, e)
		}
	}
}
