package xpc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/openxpc/openxpc/transport"
)

// tooMuch is a message that breaks each limit in turn; for each the limits that it breaks.
var tooMuch = map[string]struct {
	limits  Limits
	message func() *Dictionary
}{
	"MaxMessageSize": {Limits{MaxMessageSize: 1000}, func() *Dictionary {
		m := saying("x")
		m.SetData("data", make([]byte, 1000))
		return m
	}},
	"MaxDepth": {Limits{MaxDepth: 2}, func() *Dictionary {
		m := saying("x")
		m.SetArray("a", NewArray(NewArray(NewArray())))
		return m
	}},
	"MaxElements": {Limits{MaxElements: 5}, func() *Dictionary {
		m := saying("x")
		m.SetArray("a", NewArray(Int64(1), Int64(2), Int64(3), Int64(4)))
		return m
	}},
	"MaxDescriptors": {Limits{MaxDescriptors: 1}, func() *Dictionary {
		m := saying("x")
		m.SetFD("a", 0)
		m.SetFD("b", 0)
		return m
	}},
}

func TestMessageBeyondALimit(t *testing.T) {
	for limit, c := range tooMuch {
		t.Run(limit, func(t *testing.T) {
			each(t, func(t *testing.T, r *ring) {
				r.c.SetLimits(c.limits)
				r.open()
				m := c.message()
				defer closeBoxes(m)
				_, syncErr := r.c.SendMessageWithReplySync(t.Context(), m)
				for name, err := range map[string]error{"Send": r.c.Send(t.Context(), m), "the synchronous call": syncErr} {
					var le *LimitError
					if !errors.As(err, &le) || le.Limit != limit {
						t.Errorf("%s: got %v, want an error that names %s (R158)", name, err, limit)
					}
				}
				r.send("small")
				r.want("nothing of it left, and the connection is as usable as before", "frames: message small")
				r.c.SendMessage(m)
				r.want("SendMessage has no error to return, so it cancels: nothing is cut off silently (R158)",
					"frames: closed; events: INVALID, finalizer, done")
				if got := r.c.InvalidationReason(); !strings.Contains(got, limit) {
					t.Errorf("the reason is %q, want it to name %s", got, limit)
				}
			})
		})
	}
}

func closeBoxes(m *Dictionary) {
	for _, o := range m.All() {
		if f, ok := o.(*FD); ok {
			f.Close()
		}
	}
}

func TestAsyncRequestBeyondALimit(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		r.c.SetLimits(Limits{MaxMessageSize: 1000})
		r.open()
		r.c.SendMessageWithReply(tooMuch["MaxMessageSize"].message(), nil, func(o Object) { r.replies.add("x=" + sayingOf(o)) })
		r.want("the reply handler is called once, also for what was never sent (P1)",
			"frames: closed; events: INVALID, finalizer, done; replies: x=INVALID")
	})
}

func TestWhatThePeerAcceptsIsHeeded(t *testing.T) {
	bubble(t, fromName, func(t *testing.T, r *ring) {
		r.c.Activate()
		r.send("x")
		settle()
		r.p().put(helloFrame(&Limits{MaxMessageSize: 500, MaxDepth: 9, MaxElements: 99, MaxDescriptors: 1}))
		settle()
		var le *LimitError
		if err := r.c.Send(t.Context(), tooMuch["MaxMessageSize"].message()); !errors.As(err, &le) || le.Max != 500 {
			t.Errorf("got %v, want the peer's limit of 500, said in its HELLO", err)
		}
		m := tooMuch["MaxDescriptors"].message()
		defer closeBoxes(m)
		if err := r.c.Send(t.Context(), m); !errors.As(err, &le) || le.Limit != "MaxDescriptors" {
			t.Errorf("got %v, want the peer's limit of one descriptor", err)
		}
		r.p().close()
		r.report()
		if err := r.c.Send(t.Context(), tooMuch["MaxMessageSize"].message()); err != nil {
			t.Errorf("got %v: the next peer has said nothing yet", err)
		}
	})
}

func TestReceivedMessageBeyondALimit(t *testing.T) {
	for _, size := range []int{2_000, 200_000} {
		each(t, func(t *testing.T, r *ring) {
			if r.from == fromListener {
				return // its socket is older than its limits
			}
			r.c.SetLimits(Limits{MaxMessageSize: 1000})
			r.open()
			r.call("c")
			settle()
			r.report()
			r.p().put(&transport.Frame{Kind: frameMessage, ID: 1, Body: make([]byte, size)})
			settle()
			if got := r.replies.take(); len(got) != 1 || got[0] != "c=INTERRUPTED" {
				t.Errorf("got %v: a peer that sends more than it may loses the socket (R158)", got)
			}
		})
	}
}

func TestPendingRepliesAreBounded(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		r.c.SetLimits(Limits{MaxPendingReplies: 2})
		r.open()
		r.call("a")
		r.call("b")
		err := r.sync(t.Context(), "c").result()
		if err == nil || !strings.Contains(err.Error(), "MaxPendingReplies of 2") {
			t.Errorf("got %v, want the limit by name", err)
		}
		r.p().reply("a", "answer")
		r.want("a refused call costs nothing", "frames: request a, request b; replies: a=answer")
		again := r.sync(t.Context(), "d")
		settle()
		r.p().reply("d", "answer")
		if err := again.result(); err != nil {
			t.Errorf("got %v: there is room again", err)
		}
		r.call("e")
		r.report()
		r.call("f")
		r.want("an asynchronous call has no error to return: it gets INVALID, and the connection is cancelled",
			"frames: closed; events: INVALID, finalizer, done; replies: b=INVALID, e=INVALID, f=INVALID")
	})
}

func TestWhatAPeerDoesNotReadIsBounded(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		r.c.SetLimits(Limits{MaxQueuedBytes: 1 << 20})
		r.open()
		r.p().goDeaf()
		r.send("told")
		n := 0
		for r.c.InvalidationReason() == "" && n < 100 {
			r.c.SendMessage(big("x"))
			n++
		}
		if n < 7 || n > 10 {
			t.Errorf("cancelled after %d messages of 150 KiB, want about 1 MiB and what a socket holds", n)
		}
		if got := r.c.InvalidationReason(); !strings.Contains(got, "MaxQueuedBytes of 1048576") {
			t.Errorf("the reason is %q, want the limit by name", got)
		}
	})
}

func TestWhatWaitsForActivationIsBounded(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		r.c.SetLimits(Limits{MaxQueuedBytes: 1 << 20})
		for range 7 {
			r.c.SendMessage(big("x"))
		}
		if got := r.c.InvalidationReason(); !strings.Contains(got, "MaxQueuedBytes") {
			t.Errorf("the reason is %q: a queue for an inactive connection is one too", got)
		}
	})
}

func TestSendWaitsForRoom(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		r.open()
		r.p().goDeaf()
		r.send("told")
		sent := 0
		var stuck *pending
		for ; sent < 100; sent++ {
			stuck = async(func() error { return r.c.Send(context.Background(), big(fmt.Sprint(sent))) })
			if stuck.result() == errNotDone {
				break
			}
		}
		if sent < 7 || sent > 10 {
			t.Errorf("Send waited after %d messages of 150 KiB, want about 1 MiB and what a socket holds", sent)
		}
		ctx, cancel := context.WithCancel(t.Context())
		given := async(func() error { return r.c.Send(ctx, saying("given up")) })
		cancel()
		if err := given.result(); err != context.Canceled {
			t.Errorf("got %v, want its context's error; nothing was sent", err)
		}
		r.p().listen()
		if err := stuck.result(); err != nil {
			t.Errorf("got %v, want that it is sent now", err)
		}
		settle()
		if got := len(r.frames.take()); got != sent+2 {
			t.Errorf("%d frames came, want %d: each that was sent, once", got, sent+2)
		}
	})
}

func TestSendThatWaitsLearnsOfTheEnd(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		r.suspend()
		for range 7 {
			r.c.SendMessage(big("x"))
		}
		stuck := async(func() error { return r.c.Send(context.Background(), saying("y")) })
		if err := stuck.result(); err != errNotDone {
			t.Fatalf("got %v, want that it waits", err)
		}
		r.c.Cancel()
		if err := stuck.result(); !errors.Is(err, ErrConnectionInvalid) {
			t.Errorf("got %v, want INVALID", err)
		}
	})
}

func TestReadingAheadIsBounded(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		r.c.SetLimits(Limits{MaxReceivedBytes: 1 << 20})
		r.open()
		r.p().send("hold")
		for range 30 {
			r.p().put(&transport.Frame{Kind: frameMessage, ID: r.p().nextID(), Body: bodyOf(big("x"))})
		}
		settle()
		if r.p().conn.Queued() == 0 {
			t.Error("everything was read while the handler was busy: MaxReceivedBytes did nothing")
		}
		r.letGo()
		settle()
		if n := len(r.events.take()); n != 31 {
			t.Errorf("%d of 31 messages were delivered, want all: reading goes on when there is room", n)
		}
	})
}

// To stop reading for what is handled next would start another reader for nothing,
// which took longer than the rest of a message that shares 1 GiB.
func TestReadingAheadSparesWhatIsHandledAtOnce(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		r.c.SetLimits(Limits{MaxReceivedBytes: 1 << 10})
		r.open()
		l := r.link()
		long := func() *transport.Frame {
			return &transport.Frame{Kind: frameMessage, ID: r.p().nextID(), Body: bodyOf(big("x"))}
		}
		if out := l.Receive(long(), true); out != transport.Work {
			t.Errorf("an idle connection's reader has %b to do, want only to run the handler (%b)", out, transport.Work)
		}
		if out := l.Receive(long(), false); out != transport.Pause {
			t.Errorf("with another one to be read the reader has %b to do, want that it stops (%b)", out, transport.Pause)
		}
		l.Work()
		settle()
		if n := len(r.events.take()); n != 2 {
			t.Errorf("%d of 2 messages were delivered, want both", n)
		}
	})
}

// The end passes a handler that is busy, a suspended connection and one that is
// never activated, also when no more is read ahead: the socket must not stay.
func TestReadingAheadStopsNoEnd(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		r.c.SetLimits(Limits{MaxReceivedBytes: 1 << 20})
		r.open()
		r.suspend()
		for range 8 {
			r.p().put(&transport.Frame{Kind: frameMessage, ID: r.p().nextID(), Body: bodyOf(big("x"))})
		}
		settle()
		link := r.link()
		r.p().close()
		settle()
		if r.link() == link {
			t.Error("the socket is still open, although its other end is closed")
		}
		r.resume()
		settle()
		if n := len(r.events.take()); n < 9 {
			t.Errorf("%d events, want the 8 messages that were sent before the end, and its own", n)
		}
	})
}

// What is small on the wire and large in memory counts as what it takes.
func TestReadingAheadCountsWhatIsKept(t *testing.T) {
	nulls := saying("x")
	nulls.SetArray("nulls", NewArray(slices.Repeat([]Object{Null{}}, 20_000)...))
	descriptors := saying("x")
	for i := range 20 {
		descriptors.SetFD(fmt.Sprint(i), 0)
	}
	defer closeBoxes(descriptors)
	for why, c := range map[string]struct {
		m    *Dictionary
		most int
	}{
		"20,000 values in as many bytes": {nulls, 2},
		"20 descriptors":                 {descriptors, 3},
		"nothing at all":                 {NewDictionary(), 2500},
	} {
		each(t, func(t *testing.T, r *ring) {
			r.c.SetLimits(Limits{MaxReceivedBytes: 1 << 20, MaxReceivedMessages: 10_000})
			r.open()
			r.suspend()
			for range 3 * c.most {
				body, files, err := encodeMessage(nil, c.m, &defaultLimits)
				if err != nil {
					t.Fatal(err)
				}
				r.p().put(&transport.Frame{Kind: frameMessage, ID: r.p().nextID(), Body: body, Files: files})
			}
			settle()
			r.c.mu.Lock()
			n := r.c.events.len()
			r.c.mu.Unlock()
			if n == 0 || n > c.most {
				t.Errorf("%s: %d messages are kept, want at most %d in 1 MiB", why, n, c.most)
			}
			r.resume()
			settle()
			if n := len(r.events.take()); n != 3*c.most {
				t.Errorf("%s: %d messages were delivered, want all %d", why, n, 3*c.most)
			}
		})
	}
}

// Small messages are bounded by their number: each takes a box and a place in a list.
func TestReadingAheadCountsMessages(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		r.open()
		r.suspend()
		for range 5000 {
			r.p().put(&transport.Frame{Kind: frameMessage, ID: r.p().nextID(), Body: bodyOf(NewDictionary())})
		}
		settle()
		r.c.mu.Lock()
		n := r.c.events.len()
		r.c.mu.Unlock()
		if n != 1024 {
			t.Errorf("%d messages are kept, want MaxReceivedMessages", n)
		}
		r.resume()
		settle()
		if n := len(r.events.take()); n != 5000 {
			t.Errorf("%d messages were delivered, want all 5,000", n)
		}
	})
}

func TestReadingAheadStopsNoReply(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		r.c.SetLimits(Limits{MaxReceivedBytes: 1 << 20})
		r.open()
		r.suspend()
		for range 10 {
			r.p().put(&transport.Frame{Kind: frameMessage, ID: r.p().nextID(), Body: bodyOf(big("x"))})
		}
		settle()
		r.resume()
		r.report()
		r.p().send("hold")
		for range 8 {
			r.p().put(&transport.Frame{Kind: frameMessage, ID: r.p().nextID(), Body: bodyOf(big("x"))})
		}
		settle()
		call := r.sync(t.Context(), "c")
		settle()
		r.p().reply("c", "answer")
		if err := call.result(); err != nil {
			t.Errorf("got %v: a reply behind messages that wait for the handler must pass", err)
		}
	})
}

func TestCallsDoNotLiftTheBoundOnReadingAhead(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		r.c.SetLimits(Limits{MaxReceivedBytes: 1 << 20})
		r.open()
		r.call("never answered")
		r.p().send("hold")
		for range 60 {
			r.p().put(&transport.Frame{Kind: frameMessage, ID: r.p().nextID(), Body: bodyOf(big("x"))})
		}
		settle()
		if got := r.c.InvalidationReason(); !strings.Contains(got, "MaxReceivedBytes") {
			t.Errorf("the reason is %q: a peer that neither answers nor stops must not fill this process", got)
		}
	})
}
