package xpc

import "testing"

func TestActivateAtEachMoment(t *testing.T) {
	lifeEvent{does: func(r *ring) { r.c.Activate() }, cells: []cell{
		{"", inactive, "", "",
			"R50, R53, R54: activation looks the name up and dials nothing, so no peer appears yet"},
		{"named endpoint", queued, "frames: hello, message m, request c; barriers: b", "",
			"R55, R63, R78: what was sent before goes out in order"},
		{"accepted", queued, "frames: message m, request c; barriers: b", "",
			"R55, R63, R78: what was sent before goes out in order"},
		{"", looking, "", "frames: hello, request c",
			"R56: nothing; what waits for the registry goes out after its answer"},
		{"", dialing, "", "frames: hello, message m, request c; barriers: b",
			"R56: nothing; what waits for the socket goes out on it"},
		{"", idle, "", "",
			"R56: activate on an active connection does nothing"},
		{"", awaiting, "", "",
			"R56: nothing, the call waits on"},
		{"", handling, "", "events: next",
			"R56, R66: the next event waits for the handler"},
		{"", suspended, "", "",
			"R56, R58: activate is no resume"},
		{"", probing, "", "frames: e2 hello; events: INTERRUPTED; replies: c=INTERRUPTED",
			"R56: nothing; the listener answers, so this was an interruption (R124)"},
		{"", canceled, "", "",
			"R83: an invalid connection stays so"},
	}}.run(t)
}
