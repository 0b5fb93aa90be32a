package integration_test

import (
	"context"
	"errors"
	"testing"

	"github.com/openxpc/openxpc/xpc"
)

func TestStop_SyncSendEndsWithItsContext(t *testing.T) {
	w := begin(t, theService)
	c := w.to(serviceName)
	pid := c.pid("launched")
	w.stop(pid)
	for _, try := range []struct {
		why string
		m   *xpc.Dictionary
	}{
		{"a request that the socket holds", message("", "small")},
		{"one that it does not: the deadline covers the write", large(8 << 20)},
		{"one behind that", message("", "behind")},
	} {
		ctx, cancel := w.soon()
		if _, err := c.SendMessageWithReplySync(ctx, try.m); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", try.why, err)
		}
		cancel()
	}
	w.goOn(pid)
	if got := c.ask("the connection is as usable as before (R151)", message("", "after")).GetString("text"); got != "after" {
		t.Errorf("the reply to %q", got)
	}
	c.quiet("nobody was told anything")
}

// A context that is over before the service has been launched.
func TestStop_SyncSendBeforeConnecting(t *testing.T) {
	w := begin(t, theService)
	pid := w.to(serviceName).pid("launched")
	w.stop(pid)
	c := w.to(serviceName)
	ctx, cancel := w.soon()
	defer cancel()
	if _, err := c.SendMessageWithReplySync(ctx, large(8<<20)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the first send of a connection: %v", err)
	}
	inactive := w.inactive(xpc.NewMachServiceConnection(serviceName, nil, 0))
	if _, err := inactive.SendMessageWithReplySync(ctx, message("", "")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("one of an inactive connection waits for its activation or its context (R64): %v", err)
	}
	w.goOn(pid)
	c.pid("afterwards")
	inactive.Activate()
	inactive.pid("afterwards")
}

func TestStop_SendWaitsForRoom(t *testing.T) {
	w := begin(t, theService)
	c := w.to(serviceName)
	pid := c.pid("launched")
	w.stop(pid)
	sent, err := 0, error(nil)
	ctx, cancel := w.soon()
	defer cancel()
	for err == nil {
		if err = c.Send(ctx, large(256<<10)); err == nil {
			sent++
		}
	}
	if !errors.Is(err, context.DeadlineExceeded) || sent > 64 {
		t.Errorf("%d messages were taken, then %v", sent, err)
	}
	w.goOn(pid)
	if err := c.Send(w.ctx, message("count", "")); err != nil {
		t.Errorf("when the service reads there is room: %v", err)
	}
	// Besides those that were sent: who, count and counted.
	if got := c.ask("all that was taken arrives", message("counted", "")).GetInt64("calls"); got != int64(sent)+3 {
		t.Errorf("%d calls of the handler, want %d", got, sent+3)
	}
}

// SendMessage does not wait: beyond what may be queued the connection ends, and says why.
func TestStop_QueueIsBounded(t *testing.T) {
	w := begin(t, theService)
	c := w.inactive(xpc.NewMachServiceConnection(serviceName, nil, 0))
	c.SetLimits(xpc.Limits{MaxQueuedBytes: 4 << 20})
	c.Activate()
	pid := c.pid("launched")
	w.stop(pid)
	pending := c.request(message("hold", "never"))
	for range 64 {
		c.SendMessage(large(256 << 10))
	}
	pending.wants("the connection is over", xpc.ErrConnectionInvalid)
	c.wants("for good", invalid)
	if r := c.InvalidationReason(); r != "the connection's limit MaxQueuedBytes of 4194304 was reached" {
		t.Errorf("the reason names the limit and its value: %s", r)
	}
	w.goOn(pid)
	w.finally("the service sees it end", "service", "1 "+invalid)
	w.to(serviceName).pid("the service itself does not mind")
	w.holdsAtMost("service", "1 holds never")
}

// holdsAtMost takes a line that may or may not have been said.
func (j *journal) holdsAtMost(who, text string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i, l := range j.lines[who] {
		if l.text == text {
			j.lines[who] = append(j.lines[who][:i:i], j.lines[who][i+1:]...)
			return
		}
	}
}
