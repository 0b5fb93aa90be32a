package xpc

import (
	"testing"

	"github.com/openxpc/openxpc/transport"
)

func TestPeerClosesAtEachMoment(t *testing.T) {
	lifeEvent{onSocket: true, does: func(r *ring) { r.p().close() }, cells: []cell{
		{"", inactive, "", "",
			"R55: the end is told after activation"},
		{"", queued, "replies: c=INVALID; barriers: b", "",
			"R55, R122: the call and the barrier end at once, the event waits for activation"},
		{"named", idle, "events: INTERRUPTED", "",
			"R120, R121: INTERRUPTED, and nothing is dialed until there is something to send"},
		{"endpoint", idle, "frames: e2 hello; events: INTERRUPTED", "",
			"R124: the listener is asked at once; it answers, so INTERRUPTED"},
		{"accepted", idle, "events: INVALID, finalizer, done", "",
			"R107: an accepted peer cannot be made again, so INVALID"},
		{"named", awaiting, "events: INTERRUPTED; replies: c=INTERRUPTED", "",
			"R120, R127: no answer is coming, so INTERRUPTED"},
		{"endpoint", awaiting, "frames: e2 hello; events: INTERRUPTED; replies: c=INTERRUPTED", "",
			"R124, R127: the listener lives, so INTERRUPTED"},
		{"accepted", awaiting, "events: INVALID, finalizer, done; replies: c=INVALID", "",
			"R107, R122: the call ends with the connection"},
		{"named", handling, "", "events: next, INTERRUPTED",
			"R66, R129: what arrived before is delivered before the error"},
		{"endpoint", handling, "frames: e2 hello", "events: next, INTERRUPTED",
			"R66, R129: what arrived before is delivered before the error"},
		{"accepted", handling, "", "events: next, INVALID, finalizer, done",
			"R66, R129: what arrived before is delivered before the error"},
		{"named", suspended, "replies: c=INTERRUPTED", "",
			"R58, R120, R156: the call ends, m is dropped; the event and the barrier wait for resume"},
		{"endpoint", suspended, "frames: e2 hello; replies: c=INTERRUPTED", "",
			"R58, R124: the probe does not wait for resume; the event and the barrier do"},
		{"accepted", suspended, "replies: c=INVALID; barriers: b", "",
			"R58, R86, R107: invalid, so the barrier runs; the event waits for resume"},
	}}.run(t)
}

func TestPeerRefusesAtEachMoment(t *testing.T) {
	lifeEvent{onSocket: true, does: func(r *ring) { r.p().refuse() }, cells: []cell{
		{"", inactive, "", "",
			"the dialing side refuses nobody: ignored"},
		{"", queued, "", "",
			"the dialing side refuses nobody: ignored"},
		{"named endpoint", idle, "frames: closed; events: INTERRUPTED", "",
			"REFUSED: nothing was delivered, the connection can be used again (R121)"},
		{"accepted", idle, "frames: closed; events: INVALID, finalizer, done", "",
			"REFUSED ends the socket, which an accepted peer has but one of (R107)"},
		{"named endpoint", awaiting, "frames: closed; events: INTERRUPTED; replies: c=INTERRUPTED", "",
			"REFUSED: the call is over, the connection is not (R120)"},
		{"accepted", awaiting, "frames: closed; events: INVALID, finalizer, done; replies: c=INVALID", "",
			"R107, R122: invalid with its socket"},
		{"named endpoint", handling, "frames: closed", "events: next, INTERRUPTED",
			"R66, R129: what arrived before is delivered before the error"},
		{"accepted", handling, "frames: closed", "events: next, INVALID, finalizer, done",
			"R66, R129: what arrived before is delivered before the error"},
		{"named endpoint", suspended, "frames: closed; replies: c=INTERRUPTED", "",
			"R58, R120: the call ends, the event and the barrier wait for resume"},
		{"accepted", suspended, "frames: closed; replies: c=INVALID; barriers: b", "",
			"R58, R86, R107: invalid, so the barrier runs; the event waits for resume"},
	}}.run(t)
}

func TestListenerGoneAtEachMoment(t *testing.T) {
	lifeEvent{onSocket: true, only: "endpoint", does: (*ring).listenerGoes, cells: []cell{
		{"", idle, "events: INVALID, finalizer, done", "",
			"R109, R124: the listener does not answer, so INVALID and no INTERRUPTED"},
		{"", awaiting, "events: INVALID, finalizer, done; replies: c=INVALID", "",
			"R122, R124: the call gets INVALID too"},
		{"", handling, "", "events: next, INVALID, finalizer, done",
			"R81, R124, R129: after the handler and what had arrived"},
		{"", suspended, "replies: c=INVALID; barriers: b", "",
			"R58, R86, R124: calls and barriers end at once, the event waits for resume"},
	}}.run(t)
}

func TestNameGoneAtEachMoment(t *testing.T) {
	lifeEvent{only: "named", does: func(r *ring) { r.c.originGone(errUnknown) }, cells: []cell{
		{"", inactive, "", "",
			"R50: a connection that never looked its name up has nothing to hear"},
		{"", queued, "", "",
			"R50: nothing was looked up"},
		{"", looking, "events: INTERRUPTED, INVALID, finalizer, done; replies: c=INTERRUPTED", "",
			"R123: INTERRUPTED, then INVALID; the call got the first"},
		{"", dialing, "events: INTERRUPTED, INVALID, finalizer, done; replies: c=INTERRUPTED; barriers: b", "frames: closed",
			"R123, R86: and the socket that comes too late is closed"},
		{"", idle, "frames: closed; events: INTERRUPTED, INVALID, finalizer, done", "",
			"R123: INTERRUPTED, then INVALID"},
		{"", awaiting, "frames: closed; events: INTERRUPTED, INVALID, finalizer, done; replies: c=INTERRUPTED", "",
			"R123, R127: the call gets INTERRUPTED, which came first"},
		{"", handling, "frames: closed", "events: next, INTERRUPTED, INVALID, finalizer, done",
			"R123, R66: both wait for the handler and what had arrived"},
		{"", suspended, "frames: closed; replies: c=INTERRUPTED; barriers: b", "",
			"R123, R58: both events wait for resume, the call and the barrier do not"},
		{"", canceled, "", "",
			"R83: nothing follows INVALID"},
	}}.run(t)
}

func TestGarbageAtEachMoment(t *testing.T) {
	lifeEvent{onSocket: true, does: func(r *ring) { r.p().garbage() }, cells: []cell{
		{"", inactive, "frames: closed", "",
			"the socket of a peer that breaks the protocol ends; that is told after activation (R55)"},
		{"", queued, "frames: closed; replies: c=INVALID; barriers: b", "",
			"R55, R122: the call and the barrier end at once, the event waits for activation"},
		{"named", idle, "frames: closed; events: INTERRUPTED", "",
			"a peer that breaks the protocol loses the socket: to this side it is gone (R120)"},
		{"endpoint", idle, "frames: closed, e2 hello; events: INTERRUPTED", "",
			"R124: the listener is asked at once; it answers, so INTERRUPTED"},
		{"accepted", idle, "frames: closed; events: INVALID, finalizer, done", "",
			"R107: INVALID, never INTERRUPTED"},
		{"named", awaiting, "frames: closed; events: INTERRUPTED; replies: c=INTERRUPTED", "",
			"R120: INTERRUPTED"},
		{"endpoint", awaiting, "frames: closed, e2 hello; events: INTERRUPTED; replies: c=INTERRUPTED", "",
			"R124: INTERRUPTED"},
		{"accepted", awaiting, "frames: closed; events: INVALID, finalizer, done; replies: c=INVALID", "",
			"R107: INVALID"},
		{"named", handling, "frames: closed", "events: next, INTERRUPTED",
			"R129: what was whole is delivered first"},
		{"endpoint", handling, "frames: closed, e2 hello", "events: next, INTERRUPTED",
			"R129: what was whole is delivered first"},
		{"accepted", handling, "frames: closed", "events: next, INVALID, finalizer, done",
			"R129: what was whole is delivered first"},
		{"named", suspended, "frames: closed; replies: c=INTERRUPTED", "",
			"R58, R120: the call ends, the event and the barrier wait for resume"},
		{"endpoint", suspended, "frames: closed, e2 hello; replies: c=INTERRUPTED", "",
			"R58, R124: the probe does not wait for resume"},
		{"accepted", suspended, "frames: closed; replies: c=INVALID; barriers: b", "",
			"R58, R86, R107: invalid, so the barrier runs; the event waits for resume"},
	}}.run(t)
}

// listenerGoes ends the listener of an endpoint, and with it the accepted peer (R109).
func (r *ring) listenerGoes() {
	r.o.answers(transport.ErrRefused)
	r.p().close()
}
