package xpc

import "testing"

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
