package xpc

import (
	"context"
	"slices"
	"testing"
)

func TestResumeAtEachMoment(t *testing.T) {
	lifeEvent{does: (*ring).resume, cells: []cell{
		{"", inactive, "", "",
			"R57: resume of an inactive connection is activate"},
		{"named endpoint", queued, "frames: hello, message m, request c; barriers: b", "",
			"R57, R63: as activate: what was sent before goes out in order"},
		{"accepted", queued, "frames: message m, request c; barriers: b", "",
			"R57, R63: as activate: what was sent before goes out in order"},
		{"", looking, "misuse: XPC API Misuse: Over-resume of a connection.", "frames: hello, request c",
			"R59: one resume too many"},
		{"", dialing, "misuse: XPC API Misuse: Over-resume of a connection.", "frames: hello, message m, request c; barriers: b",
			"R59: one resume too many; the connection goes on for those who recover"},
		{"", idle, "misuse: XPC API Misuse: Over-resume of a connection.", "",
			"R59: one resume too many"},
		{"", awaiting, "misuse: XPC API Misuse: Over-resume of a connection.", "",
			"R59: one resume too many"},
		{"", handling, "misuse: XPC API Misuse: Over-resume of a connection.", "events: next",
			"R59: one resume too many"},
		{"", suspended, "frames: message m, request c; events: next; barriers: b", "",
			"R58, R63: what waited goes out in order and what arrived is delivered"},
		{"", probing, "misuse: XPC API Misuse: Over-resume of a connection.", "frames: e2 hello; events: INTERRUPTED; replies: c=INTERRUPTED",
			"R59: one resume too many"},
		{"", canceled, "", "",
			"R83: an invalid connection has nothing left to misuse"},
	}}.run(t)
}

func TestSuspendAtEachMoment(t *testing.T) {
	lifeEvent{does: (*ring).suspendThenHear, cells: []cell{
		{"", inactive, "", "",
			"R62: it counts, also before activation"},
		{"", queued, "", "",
			"R62: it counts, also before activation"},
		{"", looking, "", "",
			"R58: the look-up goes on, the request waits"},
		{"", dialing, "", "frames: hello",
			"R58: the socket is greeted, but nothing is sent"},
		{"", idle, "", "",
			"R58: no event while suspended"},
		{"", awaiting, "", "",
			"R58: no event while suspended"},
		{"", handling, "", "",
			"R60: the running handler finishes, the next event waits"},
		{"", suspended, "", "",
			"R58: suspensions nest"},
		{"", probing, "", "frames: e2 hello; replies: c=INTERRUPTED",
			"R58, R127: the event waits, the reply handler is told"},
		{"", canceled, "", "",
			"R81: nothing follows INVALID"},
	}}.run(t)
}

// suspendThenHear suspends, and has the other side send once that took effect.
func (r *ring) suspendThenHear() {
	r.suspend()
	settle()
	if p := r.p(); p != nil {
		p.send("late")
	}
}

func TestSuspensionsNest(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		r.open()
		r.suspend()
		r.suspend()
		r.send("x")
		r.p().send("y")
		r.resume()
		r.want("R58: each suspend needs its resume", "")
		r.resume()
		r.want("R58, R63: neither sent nor delivered meanwhile, both now", "frames: message x; events: y")
		r.resume()
		r.want("R59", "misuse: XPC API Misuse: Over-resume of a connection.")
		r.send("z")
		r.want("a program that recovers finds the connection usable", "frames: message z")
	})
}

func TestSecondResumeOfANewConnectionIsMisuse(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		r.resume()
		r.want("R57: the first is activate", "")
		r.resume()
		r.want("R59: the second is one too many", "misuse: XPC API Misuse: Over-resume of a connection.")
	})
}

func TestSuspendBeforeActivationCounts(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		r.suspend()
		r.sendThree()
		r.c.Activate()
		r.want("R62: activated, and suspended", "")
		r.resume()
		r.wantEach("R62, R63: now it goes", map[from]string{
			fromName:     "frames: hello, message m, request c; barriers: b",
			fromEndpoint: "frames: hello, message m, request c; barriers: b",
			fromListener: "frames: message m, request c; barriers: b",
		})
	})
}

func TestSuspendInsideHandler(t *testing.T) {
	for _, q := range []*Queue{nil, NewConcurrentQueue("concurrent"), NewQueue("serial")} {
		each(t, func(t *testing.T, r *ring) {
			r.c.SetTargetQueue(q)
			r.c.SetEventHandler(func(o Object) {
				if sayingOf(o) == "stop" {
					r.suspend()
				}
				r.handle(o)
			})
			r.open()
			r.p().send("stop")
			for _, name := range []string{"1", "2", "3", "4", "5"} {
				r.p().send(name)
			}
			r.want("R60, T8: the running handler finishes and no other begins", "events: stop")
			r.resume()
			r.want("R60, R79: the rest follows in order", "events: 1, 2, 3, 4, 5")
		})
	}
}

func TestRepliesPassASuspendedConnection(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		r.open()
		r.call("x")
		settle()
		r.suspend()
		r.p().send("y")
		r.p().reply("x", "answer")
		r.want("replies are outside the event handler (R80), so suspension does not hold them", "frames: request x; replies: x=answer")
	})
}

func TestSyncCallOnAnInactiveConnectionWaits(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		call := r.sync(t.Context(), "x")
		if err := call.result(); err != errNotDone {
			t.Fatalf("got %v, want that it waits for activation (R64)", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		given := r.sync(ctx, "given up")
		cancel()
		if err := given.result(); err != context.Canceled {
			t.Errorf("got %v, want its context's error (R64)", err)
		}
		r.c.Activate()
		settle()
		if r.from != fromListener {
			r.p().hello()
		}
		r.p().reply("x", "answer")
		if err := call.result(); err != nil {
			t.Errorf("got %v, want the reply", err)
		}
		if got := r.frames.history(); slices.Contains(got, "request given up") {
			t.Error("a call that was given up before it left must not leave")
		}
	})
}

func TestSyncCallOnASuspendedConnectionWaits(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		r.open()
		r.suspend()
		call := r.sync(t.Context(), "x")
		if err := call.result(); err != errNotDone {
			t.Fatalf("got %v, want that it waits for resume (R64)", err)
		}
		r.resume()
		settle()
		r.p().reply("x", "answer")
		if err := call.result(); err != nil {
			t.Errorf("got %v, want the reply", err)
		}
	})
}

func TestSuspendBetweenArrivalAndDelivery(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		q, busy := NewQueue("target"), newGate()
		r.c.SetTargetQueue(q)
		r.open()
		q.Async(busy.pass)
		r.p().send("x")
		settle()
		r.suspend()
		busy.open()
		r.want("R60: the message was already on its way through the queue, and no handler begins", "")
		r.resume()
		r.want("R58", "events: x")
	})
}
