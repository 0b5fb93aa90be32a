package xpc

import "testing"

func TestAbandonedAtEachMoment(t *testing.T) {
	lifeEvent{onSocket: true, does: func(r *ring) { r.p().abandon("c") }, cells: []cell{
		{"", inactive, "", "",
			"an id that nobody waits for is ignored"},
		{"", queued, "", "",
			"an id that nobody waits for is ignored"},
		{"", idle, "", "",
			"an id that nobody waits for is ignored"},
		{"", awaiting, "replies: c=INTERRUPTED", "",
			"R149: the handler gets INTERRUPTED, the connection lives and no event tells of it"},
		{"", handling, "", "events: next",
			"an id that nobody waits for is ignored"},
		{"", suspended, "", "",
			"an id that nobody waits for is ignored"},
	}}.run(t)
}

func TestReplyAtEachMoment(t *testing.T) {
	lifeEvent{onSocket: true, does: func(r *ring) { r.p().reply("c", "answer") }, cells: []cell{
		{"", inactive, "", "",
			"an id that nobody waits for is ignored"},
		{"", queued, "", "",
			"an id that nobody waits for is ignored"},
		{"", idle, "", "",
			"an id that nobody waits for is ignored"},
		{"", awaiting, "replies: c=answer", "",
			"R143: the reply goes to the reply handler and no further"},
		{"", handling, "", "events: next",
			"an id that nobody waits for is ignored"},
		{"", suspended, "", "",
			"an id that nobody waits for is ignored"},
	}}.run(t)
}

func TestDroppedRequestAtEachMoment(t *testing.T) {
	lifeEvent{onSocket: true, does: func(r *ring) { r.p().ask("x") }, cells: []cell{
		{"", inactive, "", "",
			"R55: nothing is received before activation"},
		{"", queued, "", "",
			"R55: nothing is received before activation"},
		{"", idle, "frames: abandoned 1; events: x", "",
			"R149: the handler returned without an answer, so the sender is told"},
		{"", awaiting, "frames: abandoned 1; events: x", "",
			"R149: the sender is told"},
		{"", handling, "", "frames: abandoned 3; events: next, x",
			"R149: told when its handler has returned, not before"},
		{"", suspended, "", "",
			"R58: not delivered, so not dropped"},
	}}.run(t)
}

func TestCallAtEachMoment(t *testing.T) {
	lifeEvent{does: func(r *ring) { r.call("x") }, cells: []cell{
		{"", inactive, "", "",
			"R55, R63: waits for activation"},
		{"", queued, "", "",
			"R55, R63: waits for activation"},
		{"", looking, "", "frames: hello, request c, request x",
			"R63, R78: in order, after the registry's answer"},
		{"", dialing, "", "frames: hello, message m, request c, request x; barriers: b",
			"R78: in order, on the socket"},
		{"", idle, "frames: request x", "",
			"R78: at once"},
		{"", awaiting, "frames: request x", "",
			"R78: a call that waits holds nothing back"},
		{"", handling, "frames: request x", "events: next",
			"R67 (ours): a running handler holds nothing back"},
		{"", suspended, "", "",
			"R58, R63: waits for resume"},
		{"", probing, "", "frames: e2 hello, e2 request x; events: INTERRUPTED; replies: c=INTERRUPTED",
			"R124: sent after the loss, so to the new socket"},
		{"", canceled, "replies: x=INVALID", "",
			"R85: INVALID at once"},
	}}.run(t)
}
