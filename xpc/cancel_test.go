package xpc

import (
	"errors"
	"runtime"
	"testing"
	"weak"
)

func TestCancelAtEachMoment(t *testing.T) {
	lifeEvent{does: func(r *ring) { r.c.Cancel() }, cells: []cell{
		{"named endpoint", inactive, "events: INVALID, finalizer, done", "",
			"R81, R61: a connection that was never used is disposed of by cancel alone"},
		{"accepted", inactive, "frames: closed; events: INVALID, finalizer, done", "",
			"R81, R61: a connection that was never used is disposed of by cancel alone"},
		{"named endpoint", queued, "events: INVALID, finalizer, done; replies: c=INVALID; barriers: b", "",
			"R82, R86: unsent is discarded, the call gets INVALID, the barrier runs"},
		{"accepted", queued, "frames: closed; events: INVALID, finalizer, done; replies: c=INVALID; barriers: b", "",
			"R82, R86: unsent is discarded, the call gets INVALID, the barrier runs"},
		{"", looking, "events: INVALID, finalizer, done; replies: c=INVALID", "",
			"R82: the call gets INVALID; the registry's answer comes too late to matter"},
		{"", dialing, "events: INVALID, finalizer, done; replies: c=INVALID; barriers: b", "frames: closed",
			"R82, R86: the socket that comes too late is closed unused"},
		{"", idle, "frames: closed; events: INVALID, finalizer, done", "",
			"R81, R84, R89: INVALID once, then the finalizer, then Done; the other side sees its socket end"},
		{"", awaiting, "frames: closed; events: INVALID, finalizer, done; replies: c=INVALID", "",
			"R82: pending replies get INVALID"},
		{"", handling, "frames: closed", "events: INVALID, finalizer, done",
			"R81: the running handler finishes first, and what arrived behind it is dropped"},
		{"", suspended, "frames: closed; replies: c=INVALID; barriers: b", "",
			"R58, R82, R86: calls and barriers end at once, the event waits for resume"},
		{"", probing, "events: INVALID, finalizer, done; replies: c=INVALID", "frames: e2 closed",
			"R82: the probe's answer comes too late"},
		{"", canceled, "", "",
			"R83: harmless"},
	}}.run(t)
}

func TestCancelFromEverywhere(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		r.c.SetEventHandler(func(o Object) {
			r.handle(o)
			if o, ok := o.(*Dictionary); ok && o.GetString("says") == "stop" {
				r.c.Cancel()
			}
		})
		r.open()
		r.p().send("stop")
		r.p().send("late")
		r.want("R81: cancelled inside the handler: INVALID, once, and nothing that was behind",
			"frames: closed; events: stop, INVALID, finalizer, done")
	})
}

func TestCancelInsideBarrier(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		r.open()
		r.c.SendBarrier(func() {
			r.c.Cancel()
			r.barriers.add("stop")
		})
		r.send("late")
		r.barrier("after")
		r.want("R88, R86: what waits behind the barrier is discarded, and the next barrier runs",
			"frames: closed; events: INVALID, finalizer, done; barriers: after, stop")
	})
}

func TestCancelInsideReplyHandler(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		r.open()
		r.c.SendMessageWithReply(saying("x"), nil, func(Object) { r.c.Cancel() })
		r.call("y")
		r.p().reply("x", "answer")
		settle()
		r.p().reply("x", "answer")
		r.want("R81, R82: the other call gets INVALID",
			"frames: request x, request y, closed; events: INVALID, finalizer, done; replies: y=INVALID")
	})
}

func TestNothingIsToldAfterInvalid(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		r.open()
		r.c.Cancel()
		r.want("R81", "frames: closed; events: INVALID, finalizer, done")
		r.c.SetEventHandler(r.handle)
		r.c.SetTargetQueue(NewQueue("late"))
		r.c.Activate()
		r.send("x")
		if err := r.c.Send(t.Context(), saying("x")); !errors.Is(err, ErrConnectionInvalid) || !errors.Is(err, ErrCanceled) {
			t.Errorf("Send: got %v, want INVALID and that this side cancelled (R85)", err)
		}
		if err := r.sync(t.Context(), "x").result(); !errors.Is(err, ErrConnectionInvalid) {
			t.Errorf("a synchronous call: got %v, want INVALID at once (R85)", err)
		}
		r.want("R85: dropped silently", "")
		if got := r.c.InvalidationReason(); got != ErrCanceled.Error() {
			t.Errorf("the reason is %q, want that this side cancelled (R91)", got)
		}
	})
}

func TestSuspendedConnectionIsInvalidAfterResume(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		r.open()
		r.suspend()
		r.suspend()
		r.c.Cancel()
		r.resume()
		r.want("R58, P2: no handler runs while suspended, not even with INVALID", "frames: closed")
		r.resume()
		r.want("R81", "events: INVALID, finalizer, done")
	})
}

func TestFinalizerGetsTheContextOfTheEnd(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		var got []any
		r.c.SetFinalizer(func(v any) {
			got = append(got, v)
			r.events.add("finalizer")
		})
		r.c.SetContext("first")
		r.c.SetContext("second")
		if r.c.Context() != "second" || len(got) != 0 {
			t.Errorf("replacing a context runs no finalizer (R89), got %v", got)
		}
		r.c.Cancel()
		r.report()
		if len(got) != 1 || got[0] != "second" {
			t.Errorf("the finalizer got %v, want the last context, once (R89)", got)
		}
	})
}

func TestHandlersAreLetGoOfAtTheEnd(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		held := captureIn(r)
		r.open()
		runtime.GC()
		if held.Value() == nil {
			t.Error("the handler of a living connection was collected")
		}
		r.c.Cancel()
		settle()
		runtime.GC()
		if held.Value() != nil {
			t.Error("a cancelled connection keeps what its handler refers to (R70)")
		}
	})
}

// captureIn gives r a handler that refers to a value, which the caller can watch.
func captureIn(r *ring) weak.Pointer[[64]byte] {
	v := new([64]byte)
	r.c.SetEventHandler(func(o Object) {
		v[0]++
		r.handle(o)
	})
	return weak.Make(v)
}

func TestServerCancelInterruptsAndClientCancelInvalidates(t *testing.T) {
	for _, k := range []from{fromName, fromEndpoint} {
		bubble(t, k, func(t *testing.T, r *ring) {
			served := r.serve()
			r.c.Activate()
			r.send("one")
			settle()
			served.latest().Cancel()
			settle()
			r.send("two")
			settle()
			if n := served.count(); n != 2 {
				t.Fatalf("%d peers were made, want a second one for the next message (R84, R52)", n)
			}
			r.want("R84: the server's cancel is an interruption here", "events: INTERRUPTED")
			r.c.Cancel()
			settle()
			wantLines(t, "the server", "R84, R107: its first peer was cancelled there, its second by the client",
				served.events.take(), []string{"1 one", "1 INVALID", "2 two", "2 INVALID"})
		})
	}
}
