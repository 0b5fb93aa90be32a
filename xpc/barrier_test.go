package xpc

import (
	"slices"
	"strings"
	"testing"
)

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

// big is a message that fills a good part of what a socket holds.
func big(name string) *Dictionary {
	m := saying(name)
	m.SetString("text", strings.Repeat("x", 150<<10)) // long data would not go through the socket
	return m
}

func TestBarrierWaitsForTheWriteAndForNothingElse(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		r.open()
		r.p().goDeaf()
		r.send("told") // after it the peer reads no more
		for _, name := range []string{"1", "2", "3"} {
			r.c.SendMessage(big(name))
		}
		r.call("c")
		r.barrier("b")
		r.want("R153: not all of it fits, so the barrier waits", "frames: message told")
		r.p().listen()
		r.want("R153, R154: it runs when all has left; the reply does not matter (T12)",
			"frames: message 1, message 2, message 3, request c; barriers: b")
	})
}

func TestNothingIsSentWhileABarrierRuns(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		r.open()
		g := newGate()
		r.c.SendBarrier(func() {
			g.pass()
			r.barriers.add("first")
		})
		r.send("x")
		r.barrier("second")
		r.p().send("in")
		r.want("R153: sending stops, receiving does not", "events: in")
		g.open()
		r.want("R153: then it goes on, in order", "frames: message x; barriers: first, second")
	})
}

func TestBarrierMayUseTheConnection(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		r.open()
		r.c.SendBarrier(func() {
			r.send("x")
			r.barrier("inner")
		})
		r.want("what a barrier sends goes behind it", "frames: message x; barriers: inner")
	})
}

func TestBarrierWhoseSocketIsLost(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		r.open()
		r.p().goDeaf()
		r.send("told")
		for range 3 {
			r.c.SendMessage(big("lost"))
		}
		r.barrier("b")
		r.p().want("it reads no more", "message told")
		r.p().close()
		settle()
		if got := r.barriers.take(); len(got) != 1 {
			t.Errorf("got %v, want that the barrier runs once all before it is discarded (P8)", got)
		}
	})
}

func TestBarriersAroundCancel(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		r.sendThree()
		r.c.Cancel()
		r.barrier("after")
		settle()
		wantLines(t, "barriers", "R86, T13: both run, once", sorted(r.barriers.take()), []string{"after", "b"})
	})
}

func TestBarrierMustBeOne(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		if text := misuseOf(func() { r.c.SendBarrier(nil) }); text == "" {
			t.Error("a nil barrier is misuse")
		}
	})
}

func sorted(s []string) []string {
	slices.Sort(s)
	return s
}
