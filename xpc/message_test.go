package xpc

import "testing"

func TestSendAtEachMoment(t *testing.T) {
	lifeEvent{does: func(r *ring) { r.send("x") }, cells: []cell{
		{"", inactive, "", "",
			"R55, R63: waits for activation"},
		{"", queued, "", "",
			"R55, R63: waits for activation"},
		{"", looking, "", "frames: hello, request c, message x",
			"R63, R78: in order, after the registry's answer"},
		{"", dialing, "", "frames: hello, message m, request c, message x; barriers: b",
			"R78: in order, on the socket"},
		{"", idle, "frames: message x", "",
			"R78: at once"},
		{"", awaiting, "frames: message x", "",
			"R78: a call that waits holds nothing back"},
		{"", handling, "frames: message x", "events: next",
			"R67 (ours): a running handler holds nothing back"},
		{"", suspended, "", "",
			"R58, R63: waits for resume"},
		{"", probing, "", "frames: e2 hello, e2 message x; events: INTERRUPTED; replies: c=INTERRUPTED",
			"R124: sent after the loss, so to the new socket"},
		{"", canceled, "", "",
			"R85: dropped silently"},
	}}.run(t)
}

func TestMessageAtEachMoment(t *testing.T) {
	lifeEvent{onSocket: true, does: func(r *ring) { r.p().send("x") }, cells: []cell{
		{"", inactive, "", "",
			"R55: nothing is received before activation"},
		{"", queued, "", "",
			"R55: nothing is received before activation"},
		{"", idle, "events: x", "",
			"R142: a plain message goes to the event handler"},
		{"", awaiting, "events: x", "",
			"R142: also while a reply is awaited, whatever its number"},
		{"", handling, "", "events: next, x",
			"R66, R79: one at a time, in order"},
		{"", suspended, "", "",
			"R58: waits for resume"},
	}}.run(t)
}
