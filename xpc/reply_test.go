package xpc

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/openxpc/openxpc/transport"
	"github.com/openxpc/openxpc/xpc/internal/lifecycle"
)

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

// onRequest has f handle what the peer asks for, beside telling it.
func (r *ring) onRequest(f func(m *Dictionary)) {
	r.c.SetEventHandler(func(o Object) {
		r.handle(o)
		if m, ok := o.(*Dictionary); ok {
			f(m)
		}
	})
}

func TestReplyIsSentOnTheRemoteConnection(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		r.onRequest(func(m *Dictionary) {
			if m.RemoteConnection() != r.c {
				t.Error("a received message's remote connection is the one it came on (R145)")
			}
			reply := m.CreateReply()
			if m.GetString("says") == "plain" {
				if reply != nil {
					t.Error("a message that expects no reply has none, which is how to tell (R144, R146, T24)")
				}
				return
			}
			if reply == nil || reply.RemoteConnection() != r.c {
				t.Fatal("a request's reply goes where the request came from (R143, R145)")
			}
			if m.CreateReply() != nil {
				t.Error("there is one reply to a request (R144)")
			}
			reply.SetString("says", "answer")
			reply.RemoteConnection().SendMessage(reply)
			if text := misuseOf(func() { r.c.SendMessage(reply) }); !strings.Contains(text, "sent or released already") {
				t.Errorf("sending a reply twice: got %q, want misuse (R148)", text)
			}
		})
		r.open()
		id := r.p().ask("x")
		r.p().send("plain")
		r.want("R143: a reply, with the request's number", fmt.Sprintf("frames: reply %d answer; events: x, plain", id))
		if NewDictionary().RemoteConnection() != nil || NewDictionary().CreateReply() != nil {
			t.Error("a dictionary that was not received has neither (R144, R145)")
		}
	})
}

func TestRepliesComeInAnyOrder(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		r.open()
		a, b := r.sync(t.Context(), "a"), r.sync(t.Context(), "b")
		r.call("c")
		settle()
		r.report()
		r.p().reply("c", "re c")
		r.p().reply("b", "re b")
		if err := b.result(); err != nil {
			t.Errorf("got %v, want the second call's reply before the first's (R80)", err)
		}
		if err := a.result(); err != errNotDone {
			t.Errorf("got %v, the first has none yet", err)
		}
		r.p().reply("a", "re a")
		if err := a.result(); err != nil {
			t.Error(err)
		}
		r.p().answerAll()
		r.want("R80: no order among replies; a second answer to a request is ignored (P1)", "replies: a=re a, b=re b, c=re c")
	})
}

func TestReceivedReplyKnowsItsConnection(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		r.open()
		r.c.SendMessageWithReply(saying("x"), nil, func(o Object) {
			m, ok := o.(*Dictionary)
			if !ok || m.RemoteConnection() != r.c || m.CreateReply() != nil {
				t.Error("a received reply came on the connection (R145) and expects nothing (R144)")
			}
			r.replies.add("told")
		})
		settle()
		r.p().reply("x", "answer")
		r.want("", "frames: request x; replies: told")
	})
}

func TestNumbersOfTheTwoDirectionsAreApart(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		r.open()
		r.call("x")
		settle()
		p := r.p()
		p.put(&transport.Frame{Kind: frameMessage, ID: p.idOf("x"), Body: bodyOf(saying("push"))})
		r.want("R142: a message with the number of our request is no reply to it", "frames: request x; events: push")
		p.reply("x", "answer")
		r.want("the reply is", "replies: x=answer")
	})
}

func TestReplyAfterTheHandlerReturned(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		var kept, lost *Dictionary
		r.onRequest(func(m *Dictionary) {
			switch m.GetString("says") {
			case "kept":
				kept = m.Retain()
			case "lost":
				lost = m
			}
		})
		r.open()
		k := r.p().ask("kept")
		l := r.p().ask("lost")
		r.want("R149, T25: the one that was not retained is reported as dropped", fmt.Sprintf("frames: abandoned %d; events: kept, lost", l))
		if lost.CreateReply() != nil {
			t.Error("a message ends with its handler, so there is no reply to make (R69)")
		}
		reply := kept.CreateReply()
		reply.SetString("says", "answer")
		kept.Release()
		r.p().wantIdle("R150: the obligation moved to the reply, so the release tells nothing")
		r.c.SendMessage(reply)
		r.p().want("R69: retained inside the handler, answered later", fmt.Sprintf("reply %d answer", k))
	})
}

func TestRequestThatIsReleasedUnanswered(t *testing.T) {
	for name, drop := range map[string]func(*Dictionary){
		"release":            func(m *Dictionary) { m.Release() },
		"release of a reply": func(m *Dictionary) { m.CreateReply().Release(); m.Release() },
		"two retains":        func(m *Dictionary) { m.Retain(); m.Release(); m.Release() },
		"reply that is kept": func(m *Dictionary) { reply := m.CreateReply().Retain(); m.Release(); reply.Release() },
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, r *ring) {
				var kept *Dictionary
				r.onRequest(func(m *Dictionary) { kept = m.Retain() })
				r.open()
				id := r.p().ask("x")
				r.want("retained: nothing is owed yet", "events: x")
				drop(kept)
				r.p().want("R149, R150, T26: the final release tells the sender, once", fmt.Sprintf("abandoned %d", id))
				if text := misuseOf(kept.Release); !strings.Contains(text, "Over-release") {
					t.Errorf("one release too many: got %q, want misuse (R8)", text)
				}
			})
		})
	}
}

func TestReplyToAClientThatIsGone(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		var reply *Dictionary
		r.onRequest(func(m *Dictionary) { reply = m.CreateReply() })
		r.open()
		r.p().ask("x")
		settle()
		r.p().close()
		settle()
		r.report()
		r.c.SendMessage(reply)
		r.want("R147: dropped silently, also when the connection has a new socket (P5)", "")
	})
}

func TestReplyOnAnotherConnectionIsMisuse(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		other := newConnection(lifecycle.Endpoint, "", &ringOrigin{r: r}, nil)
		other.SetEventHandler(func(Object) {})
		defer other.Cancel()
		r.onRequest(func(m *Dictionary) {
			reply := m.CreateReply()
			if text := misuseOf(func() { other.SendMessage(reply) }); !strings.Contains(text, "Attempt to send a message expecting a reply") {
				t.Errorf("got %q, want Apple's words (R17, R147, T27)", text)
			}
			if text := misuseOf(func() { r.c.SendMessageWithReply(reply, nil, func(Object) {}) }); text == "" {
				t.Error("a reply cannot expect a reply")
			}
			reply.SetString("says", "answer")
			r.c.SendMessage(reply)
		})
		r.open()
		id := r.p().ask("x")
		r.want("misuse took nothing away", fmt.Sprintf("frames: reply %d answer; events: x", id))
	})
}

func TestCallerThatGivesUp(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		r.open()
		ctx, cancel := context.WithCancel(t.Context())
		call := r.sync(ctx, "x")
		if err := call.result(); err != errNotDone {
			t.Fatal(err)
		}
		cancel()
		if err := call.result(); err != context.Canceled {
			t.Errorf("got %v, want the context's error", err)
		}
		r.p().want("R151: the service is not told", "request x")
		r.p().reply("x", "late")
		again := r.sync(t.Context(), "y")
		settle()
		r.p().reply("y", "answer")
		if err := again.result(); err != nil {
			t.Errorf("got %v: the late reply must not disturb the next call", err)
		}
		r.want("R151: the late reply is dropped, the connection lives", "frames: request y; replies: y=answer")
	})
}

func TestSyncCallInsideTheHandlerOfItsConnection(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		for _, q := range []*Queue{nil, NewQueue("serial")} {
			r.c.SetTargetQueue(q)
			r.onRequest(func(m *Dictionary) {
				reply, err := r.c.SendMessageWithReplySync(t.Context(), saying("inner"))
				if err != nil {
					t.Error(err)
				}
				r.replies.add("inner=" + sayingOf(reply))
			})
			if q == nil {
				r.open()
			}
			r.p().send("x")
			settle()
			r.p().reply("inner", "answer")
			r.want("R152: Apple's deadlocks here, ours returns (a superset)", "frames: request inner; events: x; replies: inner=answer")
		}
	})
}

func TestReplyHandlersQueue(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		target, own := NewQueue("target"), NewQueue("own")
		r.c.SetTargetQueue(target)
		r.open()
		r.p().send("hold")
		settle()
		r.call("a") // nil: the target queue
		r.c.SendMessageWithReply(saying("b"), own, func(o Object) { r.replies.add("b=" + sayingOf(o)) })
		settle()
		r.report()
		r.p().reply("a", "re a")
		r.p().reply("b", "re b")
		r.want("R76: a queue of its own does not wait for the event handler, the target queue does", "replies: b=re b")
		r.letGo()
		r.want("R72, R76: a serial target queue runs one block at a time", "replies: a=re a")
	})
}

func TestReplyHandlersQueueWhenNothingIsSent(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		target, release := NewQueue("target"), make(chan struct{})
		r.c.SetTargetQueue(target)
		r.c.SetLimits(Limits{MaxMessageSize: 1000})
		r.open()
		target.Async(func() { <-release })
		r.c.SendMessageWithReply(big("x"), nil, func(o Object) { r.replies.add(fmt.Sprint("x=", o == Object(ErrConnectionInvalid))) })
		settle()
		if got := r.replies.take(); len(got) != 0 {
			t.Errorf("R76: %v, beside another block of the serial target queue", got)
		}
		close(release)
		settle()
		if got := r.replies.take(); len(got) != 1 || got[0] != "x=true" {
			t.Errorf("%v, want INVALID: the message is beyond a limit", got)
		}
	})
}

func TestReplyHandlerMustBeOne(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		if text := misuseOf(func() { r.c.SendMessageWithReply(saying("x"), nil, nil) }); text == "" {
			t.Error("a nil reply handler is misuse")
		}
	})
}

func TestHandlersOfCallsThatEndTogether(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		r.open()
		const calls = 5
		q := NewConcurrentQueue("handlers")
		var begun, ended sync.WaitGroup
		begun.Add(calls)
		ended.Add(calls)
		for range calls {
			r.c.SendMessageWithReply(saying("c"), q, func(Object) {
				begun.Done()
				begun.Wait() // for ever, unless each has a goroutine of its own
				ended.Done()
			})
		}
		r.c.Cancel()
		ended.Wait()
		r.want("R71, R82: beside each other, so that each may wait for the others",
			"frames: request c, request c, request c, request c, request c, closed; events: INVALID, finalizer, done")
	})
}
