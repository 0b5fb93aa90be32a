package xpc

import "testing"

func TestBarrierAtEachMoment(t *testing.T) {
	lifeEvent{does: func(r *ring) { r.barrier("x") }, cells: []cell{
		{"", inactive, "", "",
			"R156: waits for activation"},
		{"", queued, "", "",
			"R156: waits for activation"},
		{"", looking, "", "frames: hello, request c; barriers: x",
			"R153: behind the request, which waits for the registry"},
		{"", dialing, "", "frames: hello, message m, request c; barriers: b, x",
			"R153: in order, behind what waits for the socket"},
		{"", idle, "barriers: x", "",
			"R153: nothing is unsent, so at once"},
		{"", awaiting, "barriers: x", "",
			"R153, R154: the request was sent; its reply does not matter"},
		{"", handling, "barriers: x", "events: next",
			"R77, R67: not on the target queue, and a running handler holds nothing back"},
		{"", suspended, "", "",
			"R156: waits for resume"},
		{"", probing, "barriers: x", "frames: e2 hello; events: INTERRUPTED; replies: c=INTERRUPTED",
			"R77: nothing is unsent"},
		{"", canceled, "barriers: x", "",
			"R86: runs at once"},
	}}.run(t)
}
