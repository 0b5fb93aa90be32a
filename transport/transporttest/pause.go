package transporttest

import (
	"context"
	"io"
	"testing"

	"github.com/openxpc/openxpc/transport"
)

var pauseTests = []test{
	{"PauseHoldsBack", pauseHoldsBack},
	{"PausedCallersAreServed", pausedCallersAreServed},
	{"ResumeOvertakesPause", resumeOvertakesPause},
	{"PauseWithWork", pauseWithWork},
	{"ReplyLeavesThoughPaused", replyLeavesThoughPaused},
	{"EndIsSeenThoughPaused", endIsSeenThoughPaused},
}

// pauseAt pauses on the frame with this id.
func pauseAt(c *transport.Conn, id uint64) *recorder {
	r := newRecorder()
	r.onFrame = func(f *transport.Frame, inline bool) transport.Outcome {
		if f.ID == id {
			return transport.Pause
		}
		return 0
	}
	c.Start(r)
	return r
}

func pauseHoldsBack(t *testing.T, m Medium) {
	a, b := m.Pair(t, none, none)
	defer a.Close()
	defer b.Close()
	r := pauseAt(b, 1)
	for id := range uint64(4) {
		a.Append(&transport.Frame{ID: id})
	}
	a.Flush()
	r.want(t, "before the pause", transport.Frame{ID: 0})
	r.want(t, "the frame that was answered with Pause", transport.Frame{ID: 1})
	r.wantIdle(t, "paused, although two frames are in the buffer")
	b.Resume()
	r.want(t, "after Resume", transport.Frame{ID: 2})
	r.want(t, "after Resume", transport.Frame{ID: 3})
	b.Resume()
	send(a, &transport.Frame{ID: 4})
	r.want(t, "Resume without a Pause does nothing", transport.Frame{ID: 4})
}

func pausedCallersAreServed(t *testing.T, m Medium) {
	a, b := m.Pair(t, none, none)
	defer a.Close()
	defer b.Close()
	r := pauseAt(b, 1)
	send(a, &transport.Frame{ID: 1})
	r.want(t, "the frame that was answered with Pause", transport.Frame{ID: 1})
	w := r.expect(7)
	a.Append(&transport.Frame{ID: 2})
	a.Append(&transport.Frame{Kind: kindReply, ID: 7})
	a.Append(&transport.Frame{ID: 3})
	a.Flush()
	if err := b.Wait(context.Background(), w); err != nil {
		t.Errorf("Wait gave %v: a pause does not hold replies back", err)
	}
	r.want(t, "it was in front of the reply", transport.Frame{ID: 2})
	b.Resume()
	r.want(t, "after Resume", transport.Frame{ID: 3})
}

// resumeOvertakesPause: the receiver has room again before the connection knows that it had none.
func resumeOvertakesPause(t *testing.T, m Medium) {
	a, b := m.Pair(t, none, none)
	defer a.Close()
	defer b.Close()
	r := newRecorder()
	r.onFrame = func(f *transport.Frame, inline bool) transport.Outcome {
		b.Resume()
		return transport.Pause
	}
	b.Start(r)
	for id := range uint64(100) {
		send(a, &transport.Frame{ID: id})
		r.want(t, "a Resume during Receive undoes the Pause", transport.Frame{ID: id})
	}
}

// pauseWithWork: the work runs although nobody reads, and its Resume counts.
func pauseWithWork(t *testing.T, m Medium) {
	a, b := m.Pair(t, none, none)
	defer a.Close()
	defer b.Close()
	r := newRecorder()
	r.onFrame = func(*transport.Frame, bool) transport.Outcome { return transport.Pause | transport.Work }
	worked := make(chan struct{}, 100)
	r.onWork = func() {
		worked <- struct{}{}
		b.Resume()
	}
	b.Start(r)
	for id := range uint64(20) {
		a.Append(&transport.Frame{ID: id})
	}
	a.Flush()
	for id := range uint64(20) {
		r.want(t, "each work resumes", transport.Frame{ID: id})
		<-worked
	}
}

// endIsSeenThoughPaused: a receiver that has enough must learn of the end all the
// same, or a peer that is gone keeps its socket for as long as nobody resumes.
func endIsSeenThoughPaused(t *testing.T, m Medium) {
	a, b := m.Pair(t, none, none)
	defer a.Close()
	defer b.Close()
	r := newRecorder()
	r.onFrame = func(*transport.Frame, bool) transport.Outcome { return transport.Pause }
	b.Start(r)
	for id := range uint64(4) {
		a.Append(&transport.Frame{ID: id, Body: pattern(id, 10_000)})
	}
	a.Flush()
	r.want(t, "the frame that was answered with Pause", transport.Frame{ID: 0, Body: pattern(0, 10_000)})
	r.wantIdle(t, "paused")
	b.Resume()
	r.want(t, "paused again", transport.Frame{ID: 1, Body: pattern(1, 10_000)})
	a.Close()
	r.want(t, "what was sent before the end comes first", transport.Frame{ID: 2, Body: pattern(2, 10_000)})
	r.want(t, "what was sent before the end comes first", transport.Frame{ID: 3, Body: pattern(3, 10_000)})
	r.wantEnd(t, "the end is told without Resume", io.EOF)
}

// replyLeavesThoughPaused: what is sent while nobody reads is not held back.
func replyLeavesThoughPaused(t *testing.T, m Medium) {
	a, b := m.Pair(t, none, none)
	defer a.Close()
	defer b.Close()
	client := record(a)
	server := pauseAt(b, 1)
	for id := uint64(1); id < 4; id++ {
		a.Append(&transport.Frame{ID: id})
	}
	a.Flush()
	server.want(t, "the frame that was answered with Pause", transport.Frame{ID: 1})
	w := server.expect(9)
	send(a, &transport.Frame{Kind: kindReply, ID: 9})
	send(a, &transport.Frame{ID: 5})
	if err := b.Wait(context.Background(), w); err != nil {
		t.Fatal(err)
	}
	send(b, &transport.Frame{ID: 6})
	client.want(t, "sending does not wait for reading", transport.Frame{ID: 6})
}
