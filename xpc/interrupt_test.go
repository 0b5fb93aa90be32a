package xpc

import (
	"errors"
	"strings"
	"testing"
	"time"

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
		{"", idle, "", "",
			"R123, R129: the open socket stays: the service may still be sending"},
		{"", awaiting, "", "",
			"R129: the reply may be on its way"},
		{"", handling, "", "events: next",
			"R129: what had arrived is delivered"},
		{"", suspended, "", "",
			"R129: as when idle"},
		{"", canceled, "", "",
			"R83: nothing follows INVALID"},
	}}.run(t)
}

func TestNameGoneThenServiceEndsAtEachMoment(t *testing.T) {
	lifeEvent{only: "named", onSocket: true, does: func(r *ring) { r.c.originGone(errUnknown); r.p().close() }, cells: []cell{
		{"", idle, "events: INTERRUPTED, INVALID, finalizer, done", "",
			"R123: INTERRUPTED, then INVALID"},
		{"", awaiting, "events: INTERRUPTED, INVALID, finalizer, done; replies: c=INTERRUPTED", "",
			"R123, R127: the call gets INTERRUPTED, which came first"},
		{"", handling, "", "events: next, INTERRUPTED, INVALID, finalizer, done",
			"R123, R66: both wait for the handler and what had arrived"},
		{"", suspended, "replies: c=INTERRUPTED; barriers: b", "",
			"R123, R58: both events wait for resume, the call and the barrier do not"},
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

func TestNextSendMakesANewPeer(t *testing.T) {
	for _, k := range []from{fromName, fromEndpoint} {
		bubble(t, k, func(t *testing.T, r *ring) {
			r.open()
			r.call("lost")
			r.p().want("the request is under way", "request lost")
			r.o.slowDial()
			r.p().close()
			settle()
			r.send("next")
			r.call("again")
			r.barrier("b")
			r.letGo()
			r.want("R120, R121: told once; what was sent after the loss goes to the new peer, in order, the lost request does not (P5)",
				"frames: e2 hello, e2 message next, e2 request again; events: INTERRUPTED; replies: lost=INTERRUPTED; barriers: b")
			r.p().hello()
			r.p().reply("again", "answer")
			r.want("the connection is as good as before", "replies: again=answer")
		})
	}
}

func TestDialThatFailsForNowIsAnInterruption(t *testing.T) {
	for _, k := range []from{fromName, fromEndpoint} {
		bubble(t, k, func(t *testing.T, r *ring) {
			r.o.answers(errNoRoom)
			r.o.slowDial()
			r.c.Activate()
			r.sendThree()
			r.letGo()
			r.want("R120: unsent messages are dropped, calls told, barriers run", "events: INTERRUPTED; replies: c=INTERRUPTED; barriers: b")
			err := r.sync(t.Context(), "s").result()
			if !errors.Is(err, ErrConnectionInterrupted) || !errors.Is(err, errNoRoom) {
				t.Errorf("got %v, want INTERRUPTED and why the dial failed", err)
			}
			r.want("each attempt is told", "events: INTERRUPTED")
			r.o.answers(nil)
			r.send("x")
			r.want("R121: the connection stays usable", "frames: hello, message x")
		})
	}
}

func TestDialThatCanNeverSucceedIsTheEnd(t *testing.T) {
	for k, why := range map[from]error{fromName: errUnknown, fromEndpoint: transport.ErrRefused} {
		bubble(t, k, func(t *testing.T, r *ring) {
			r.c.Activate()
			r.o.answers(why)
			r.sendThree()
			r.want("R122: the origin is gone for good", "events: INVALID, finalizer, done; replies: c=INVALID; barriers: b")
			if got := r.c.InvalidationReason(); got != why.Error() {
				t.Errorf("the reason is %q, want %q (R91)", got, why)
			}
		})
	}
}

func TestReplyOnItsWayIsDeliveredBeforeTheLoss(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		r.open()
		r.call("a")
		r.call("b")
		settle()
		r.p().reply("a", "answer")
		r.p().close()
		r.wantEach("R129: the reply was in flight before the end",
			map[from]string{
				fromName:     "frames: request a, request b; events: INTERRUPTED; replies: a=answer, b=INTERRUPTED",
				fromEndpoint: "frames: request a, request b, e2 hello; events: INTERRUPTED; replies: a=answer, b=INTERRUPTED",
				fromListener: "frames: request a, request b; events: INVALID, finalizer, done; replies: a=answer, b=INVALID",
			})
	})
}

// wantEach is want where the origins differ.
func (r *ring) wantEach(why string, reports map[from]string) {
	r.t.Helper()
	r.want(why, reports[r.from])
}

func TestCausesOfALostCall(t *testing.T) {
	for name, c := range map[string]struct {
		does func(*ring)
		want []error
	}{
		"the peer closes":  {func(r *ring) { r.p().close() }, []error{ErrConnectionInterrupted, ErrPeerGone}},
		"the peer drops":   {func(r *ring) { r.p().abandon("x") }, []error{ErrConnectionInterrupted, ErrDropped}},
		"the peer refuses": {func(r *ring) { r.p().refuse() }, []error{ErrConnectionInterrupted, ErrLaunchFailed}},
		"this side ends":   {func(r *ring) { r.c.Cancel() }, []error{ErrConnectionInvalid, ErrCanceled}},
		"the name goes":    {func(r *ring) { r.c.originGone(errUnknown); r.p().close() }, []error{ErrConnectionInterrupted, ErrUnknownName}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, fromName, func(t *testing.T, r *ring) {
				r.open()
				call := r.sync(t.Context(), "x")
				if err := call.result(); err != errNotDone {
					t.Fatalf("got %v before anything happened", err)
				}
				c.does(r)
				err := call.result()
				for _, want := range c.want {
					if !errors.Is(err, want) {
						t.Errorf("got %v, want an error that is %v (R127)", err, want)
					}
				}
				var ce *ConnectionError
				if !errors.As(err, &ce) || !strings.HasPrefix(err.Error(), "xpc: ") {
					t.Errorf("got %v, want a *ConnectionError that names its library", err)
				}
			})
		})
	}
}

func TestPeerThatBreaksTheProtocol(t *testing.T) {
	body := func(m *Dictionary) []byte { return bodyOf(m) }
	future := NewDictionary()
	future.SetUint64("version", 2)
	future.SetString("a later key", "is ignored")
	for name, c := range map[string]struct {
		frames []*transport.Frame // instead of HELLO
		broken bool
	}{
		"message before HELLO":   {[]*transport.Frame{{Kind: frameMessage, ID: 1, Body: body(saying("x"))}}, true},
		"reply before HELLO":     {[]*transport.Frame{{Kind: frameReply, ID: 1, Body: body(saying("x"))}}, true},
		"abandoned before HELLO": {[]*transport.Frame{{Kind: frameAbandoned, ID: 1}}, true},
		"second HELLO":           {[]*transport.Frame{helloFrame(&defaultLimits), helloFrame(&defaultLimits)}, true},
		"HELLO without version":  {[]*transport.Frame{{Kind: frameHello, Body: body(NewDictionary())}}, true},
		"HELLO that is no value": {[]*transport.Frame{{Kind: frameHello, Body: []byte{0xc1}}}, true},
		"reply that is no value": {[]*transport.Frame{helloFrame(&defaultLimits), {Kind: frameReply, ID: 1, Body: []byte{0xc1}}}, true},
		"later version":          {[]*transport.Frame{{Kind: frameHello, Body: body(future)}}, false},
		"later kind":             {[]*transport.Frame{{Kind: 77, ID: 1, Body: []byte("anything")}}, false},
		"reply to nobody":        {[]*transport.Frame{helloFrame(&defaultLimits), {Kind: frameReply, ID: 99, Body: body(saying("x"))}}, false},
		"abandoned to nobody":    {[]*transport.Frame{helloFrame(&defaultLimits), {Kind: frameAbandoned, ID: 99}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, fromName, func(t *testing.T, r *ring) {
				r.c.Activate()
				call := r.sync(t.Context(), "x")
				settle()
				r.p().want("the dialing side greets and need not wait", "hello", "request x")
				for _, f := range c.frames {
					r.p().put(f)
				}
				err := call.result()
				if !c.broken && err != errNotDone {
					t.Errorf("got %v, want that what a later protocol may add is ignored", err)
				}
				if c.broken && (!errors.Is(err, ErrConnectionInterrupted) || !strings.Contains(err.Error(), "broke the protocol")) {
					t.Errorf("got %v, want INTERRUPTED because the peer broke the protocol", err)
				}
			})
		})
	}
}

func TestEventsOfAnOldSocketHaveNoEffect(t *testing.T) {
	bubble(t, fromName, func(t *testing.T, r *ring) {
		r.open()
		old := r.link()
		r.p().close()
		r.want("R121", "events: INTERRUPTED")
		r.call("x")
		settle()
		id := r.p().idOf("x")
		r.want("the second socket is up", "frames: e2 hello, e2 request x")
		old.Receive(&transport.Frame{Kind: frameReply, ID: id, Body: bodyOf(saying("late"))}, false)
		old.Receive(&transport.Frame{Kind: frameMessage, ID: 1, Body: bodyOf(saying("late"))}, false)
		old.Receive(&transport.Frame{Kind: frameAbandoned, ID: id}, false)
		old.Closed(nil)
		r.want("P4: what the first one still says is ignored", "")
	})
}

// link is the connection's present socket.
func (r *ring) link() *link {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	return r.c.link
}

func TestListenerThatClosesWhateverItAccepts(t *testing.T) {
	bubble(t, fromEndpoint, func(t *testing.T, r *ring) {
		r.open()
		r.o.closeAtOnce()
		_, before := r.o.count()
		r.p().close()
		time.Sleep(time.Minute) // of the bubble's
		_, after := r.o.count()
		if n := after - before; n < 10 || n > 100 {
			t.Errorf("dialed %d times in a minute: a hostile listener must be asked again (R124), but not without end", n)
		}
		r.o.answers(transport.ErrRefused)
		time.Sleep(time.Minute)
		if all := r.events.history(); all[len(all)-1] != "done" {
			t.Errorf("events end with %s, want that the end of the listener is found out (R109)", all[len(all)-1])
		}
	})
}
