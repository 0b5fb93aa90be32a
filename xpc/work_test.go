package xpc

import (
	"testing"

	"github.com/openxpc/openxpc/transport"
)

// A reader that was told of work and has not begun it can lose the role to a
// synchronous caller, who must not be given that work: its goroutine may hold the
// program's locks.
func TestWorkIsNotGivenToACaller(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		r.open()
		r.call("c")
		settle()
		l, id := r.link(), r.p().idOf("c")
		r.report()
		if out := l.Receive(messageFrame("first"), true); out&transport.Work == 0 {
			t.Fatalf("got outcome %b, want that the reader delivers", out)
		}
		if out := l.Receive(messageFrame("second"), false); out&transport.Work != 0 {
			t.Error("a caller was given the reader's delivery")
		}
		if out := l.Receive(&transport.Frame{Kind: frameReply, ID: id, Body: bodyOf(saying("x"))}, false); out&transport.Work != 0 {
			t.Error("a caller was given a reply handler")
		}
		l.Work()
		r.want("the reader runs it all the same", "events: first, second; replies: c=x")
	})
}

// Two readers, one after the other, can leave work before the first begins: what
// the one block waits for may be what the other does.
func TestBlocksOfTheReaderDoNotWaitForEachOther(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		r.open()
		r.c.SendMessageWithReply(saying("c"), NewQueue("replies"), func(o Object) {
			r.replies.add("c=" + sayingOf(o))
			r.letGo()
		})
		settle()
		l, id := r.link(), r.p().idOf("c")
		r.report()
		l.Receive(messageFrame("hold: returns when the reply handler has run"), true)
		l.Receive(&transport.Frame{Kind: frameReply, ID: id, Body: bodyOf(saying("x"))}, true)
		go l.Work()
		r.want("a reply handler runs while the event handler waits for it, on another queue",
			"events: hold: returns when the reply handler has run; replies: c=x")
	})
}

func messageFrame(name string) *transport.Frame {
	return &transport.Frame{Kind: frameMessage, ID: 1, Body: bodyOf(saying(name))}
}
