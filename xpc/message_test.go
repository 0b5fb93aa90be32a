package xpc

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openxpc/openxpc/transport"
)

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

func TestOrderOfManySenders(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		r.open()
		var wg sync.WaitGroup
		for s := range 4 {
			wg.Go(func() {
				for i := range 50 {
					r.send(fmt.Sprintf("%d-%02d", s, i))
				}
			})
		}
		wg.Wait()
		settle()
		frames := r.frames.take()
		last := map[byte]string{}
		for _, f := range frames {
			name := strings.TrimPrefix(f, "message ")
			if name <= last[name[0]] {
				t.Errorf("%s came after %s: what one goroutine sends stays in order (R78)", name, last[name[0]])
			}
			last[name[0]] = name
		}
		if len(frames) != 200 {
			t.Errorf("%d frames came, want each of 200 once", len(frames))
		}
	})
}

func TestMessageIsASnapshot(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		m, inner := saying("before"), NewDictionary()
		m.SetDictionary("inner", inner)
		r.c.SendMessage(m)
		m.SetString("says", "after")
		inner.SetString("more", "after")
		r.c.SendMessage(m)
		r.open()
		got := r.frames.history()
		if !slices.Contains(got, "message before") || !slices.Contains(got, "message after") {
			t.Errorf("got %v: what is done to a message after it was sent changes nothing (R141, T28)", got)
		}
	})
}

func TestMessageMustBeADictionary(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		for name, f := range map[string]func(){
			"SendMessage":              func() { r.c.SendMessage(nil) },
			"SendMessageWithReply":     func() { r.c.SendMessageWithReply(nil, nil, func(Object) {}) },
			"SendMessageWithReplySync": func() { r.c.SendMessageWithReplySync(t.Context(), nil) },
		} {
			if text := misuseOf(f); !strings.Contains(text, "must be a dictionary") {
				t.Errorf("%s of nil: got %q, want misuse (R140)", name, text)
			}
		}
	})
}

func TestHandlerCanBeReplacedInsideItself(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		r.c.SetEventHandler(func(o Object) {
			r.events.add("old " + sayingOf(o))
			r.c.SetEventHandler(func(o Object) {
				r.events.add("new")
				r.handle(o)
			})
			r.hold.pass()
		})
		r.open()
		r.p().send("x")
		r.p().send("y")
		r.want("R68: the running call is not interrupted", "events: old x")
		r.letGo()
		r.want("R68, T10: the next event goes to the new one", "events: new, y")
	})
}

func TestSerialTargetQueueExcludesItsOtherBlocks(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		q := NewQueue("target")
		r.c.SetTargetQueue(q)
		r.open()
		r.p().send("hold")
		settle()
		q.Async(func() { r.events.add("block") })
		r.p().send("x")
		r.want("R72: the handler has the queue", "events: hold")
		r.letGo()
		r.want("R72: the block came first, then the next message", "events: block, x")
		long := newGate()
		q.Async(func() {
			r.events.add("long block")
			long.pass()
			r.events.add("end of block")
		})
		r.p().send("y")
		settle()
		long.open()
		r.want("R72: no handler runs beside a block of its serial queue", "events: long block, end of block, y")
	})
}

func TestConcurrentTargetQueueRunsOneHandlerAtATime(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		q := NewConcurrentQueue("target")
		r.c.SetTargetQueue(q)
		r.open()
		r.p().send("hold")
		for range 1000 {
			r.p().send("x")
		}
		q.Async(func() { r.replies.add("block") })
		r.want("R72: other blocks run beside the handler, its own events do not", "events: hold; replies: block")
		r.letGo()
		settle()
		if n := len(r.events.take()); n != 1000 {
			t.Errorf("%d of 1000 messages were handled (T9)", n)
		}
		// end checks that no two handlers overlapped (R66).
	})
}

func TestTargetQueueChangesWithTheNextEvent(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		first, second := NewQueue("first"), NewQueue("second")
		r.c.SetTargetQueue(first)
		r.open()
		r.p().send("hold")
		settle()
		r.c.SetTargetQueue(second)
		blocked := newGate()
		second.Async(blocked.pass)
		r.p().send("x")
		r.want("", "events: hold")
		r.letGo()
		r.want("R74: the running handler keeps its queue, the next event waits for the new one", "")
		blocked.open()
		r.want("R74", "events: x")
	})
}

func TestConnectionsOfOneSerialQueueTakeTurns(t *testing.T) {
	bubble(t, fromName, func(t *testing.T, r *ring) {
		q := NewQueue("shared")
		r.c.SetTargetQueue(q)
		r.open()
		inside, overlaps, handled := 0, 0, 0 // guarded by q
		step := func(Object) {
			inside++
			if inside > 1 {
				overlaps++
			}
			synctestYield()
			handled++
			inside--
		}
		r.c.SetEventHandler(step)
		var others []*peer
		for range 3 {
			c := newAccepted(nil, q)
			mine, theirs := transport.Pipe(transport.Options{}, transport.Options{})
			c.attach(mine)
			c.SetEventHandler(step)
			c.Activate()
			r.meet(theirs)
			r.p().hello()
			others = append(others, r.p())
			defer func() { c.Cancel(); settle() }()
		}
		for range 50 {
			for _, p := range append(others, r.peers[0]) {
				p.send("x")
			}
		}
		settle()
		r.c.SetEventHandler(r.handle)
		if handled != 200 || overlaps != 0 {
			t.Errorf("%d of 200 messages were handled, %d of them beside another (R72)", handled, overlaps)
		}
	})
}

// synctestYield lets every other goroutine of the bubble run.
func synctestYield() { time.Sleep(time.Nanosecond) }

func TestMessageSaysWhoSentIt(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		r.onRequest(func(m *Dictionary) {
			if m.Sender().PID != os.Getpid() {
				t.Errorf("the sender is %+v, want this process (R196)", m.Sender())
			}
		})
		r.open()
		r.p().send("x")
		r.want("", "events: x")
		if NewDictionary().Sender().PID != 0 {
			t.Error("a dictionary that was not received has no sender")
		}
	})
}

func TestCyclicMessageIsMisuse(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		m, a := saying("x"), NewArray()
		m.SetArray("a", a)
		text := misuseOf(func() {
			a.Append(m)
			r.c.SendMessage(m)
		})
		if text == "" {
			t.Error("a container that holds itself must be stopped, at the latest when it is sent (R163)")
		}
	})
}
