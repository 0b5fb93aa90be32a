package xpc

import "testing"

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
