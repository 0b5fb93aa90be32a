package xpc

import (
	"strings"
	"testing"
	"time"

	"github.com/openxpc/openxpc/transport"
)

// answering has the ring answer each request with a reply of about that size, or
// with 0 drop it, which sends a frame too.
func (r *ring) answering(size int) {
	r.c.SetEventHandler(func(o Object) {
		m, ok := o.(*Dictionary)
		if !ok {
			r.handle(o)
			return
		}
		r.events.add("request")
		if size == 0 {
			return
		}
		reply := m.CreateReply()
		reply.SetData("filler", make([]byte, size))
		r.c.SendMessage(reply)
	})
}

func (p *peer) askMany(n int) {
	body := bodyOf(NewDictionary())
	for range n {
		p.conn.Append(&transport.Frame{Kind: frameMessage, Flags: flagWantsReply, ID: p.nextID(), Body: body})
	}
	p.conn.Flush()
}

// A peer that asks and never reads (row 19): what waits for it is bounded, after
// 30 s without progress it is cut off, and the reason names the limit.
func TestUnreadRepliesAreBounded(t *testing.T) {
	for why, c := range map[string]struct {
		size, bytes, frames int
	}{
		"by number":              {10, 1 << 20, 1024},
		"also those of no reply": {0, 1 << 20, 1024},
		// The reply that reaches the limit, and that to the one request that is read after it.
		"by size": {10_000, 1<<20 + 2*10_100, 1024},
	} {
		each(t, func(t *testing.T, r *ring) {
			r.answering(c.size)
			r.open()
			r.p().goDeaf()
			r.p().askMany(100_000)
			settle()
			conn := r.link().conn
			if n, f := conn.Queued(), conn.QueuedFrames(); n > c.bytes || f > c.frames || f == 0 {
				t.Errorf("%s: %d replies of %d bytes in all wait, want at most %d and %d", why, f, n, c.frames, c.bytes)
			}
			time.Sleep(29 * time.Second)
			if got := r.c.InvalidationReason(); got != "" {
				t.Errorf("%s: it ended too early: %s", why, got)
			}
			time.Sleep(10 * time.Second) // it is looked at four times in 30 s
			if got := r.c.InvalidationReason(); !strings.Contains(got, "UnreadReplyPatience of 30s") {
				t.Errorf("%s: the reason is %q, want the limit by name", why, got)
			}
		})
	}
}

// A peer that reads slowly is slow and nothing else: it gets every reply.
func TestSlowReaderOfRepliesGetsAll(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		const all = 2000
		r.answering(10_000)
		r.open()
		r.p().goDeaf()
		r.p().askMany(all)
		settle()
		if n := len(r.events.history()); n >= all {
			t.Errorf("%d of %d requests were read, although no reply was", n, all)
		}
		for range 10 { // each time it reads so much that more is taken
			time.Sleep(20 * time.Second)
			for range 20 {
				r.p().conn.Resume()
				settle()
			}
		}
		if got := r.c.InvalidationReason(); got != "" {
			t.Fatalf("who reads something is not cut off: %s", got)
		}
		r.p().listen()
		settle()
		replies := 0
		for _, line := range r.frames.history() {
			if strings.Contains(line, "reply ") {
				replies++
			}
		}
		if replies != all {
			t.Errorf("%d replies came, want all %d", replies, all)
		}
		time.Sleep(time.Minute)
		if got := r.c.InvalidationReason(); got != "" {
			t.Errorf("the clock goes on: %s", got)
		}
	})
}

// Who waits for an answer of the peer's reads on, whatever is unread: it may be behind.
func TestUnreadRepliesStopNoReply(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		r.answering(10_000)
		r.open()
		r.p().goDeaf()
		r.p().askMany(1000)
		settle()
		call := r.sync(t.Context(), "c")
		settle()
		r.p().listen()
		settle()
		r.p().reply("c", "answer")
		if err := call.result(); err != nil {
			t.Errorf("got %v, want the reply", err)
		}
	})
}
