package lifecycle

import (
	"bytes"
	"slices"
)

// settled checks what must hold after every step, and what must have happened
// where nothing is outstanding.
func (w *world) settled(ev Event) {
	w.normalize()
	if w.shell.on {
		if len(w.shell.queue) == 0 && len(w.shell.outbox) == 0 {
			w.quiet()
		}
		return
	}
	pending := 0
	for i, o := range w.out {
		if o.call {
			pending++
		}
		switch {
		case o.call && o.state != queued && !w.current(o.epoch) && !w.probing:
			w.fail("P1: call %d was written to a socket that is gone, and is not completed", i+1)
		case o.forgotten && o.state == queued:
			w.fail("P1: call %d was forgotten and still waits to be written", i+1)
		case w.ended && (o.call || o.state == queued && !o.barrier):
			w.fail("P7: the connection is over and %d is neither written, discarded nor completed", i+1)
		}
	}
	if pending != w.m.Pending() {
		w.fail("P1: %d calls are pending, the machine says %d", pending, w.m.Pending())
	}
	w.socketsSettled()
	w.barrierDue()
	w.quiet()
}

func (w *world) socketsSettled() {
	for i, s := range w.sockets {
		if (s == open || s == dialing) && (w.ended || i+1 < len(w.sockets)) {
			w.fail("P7: socket %d is left open, or its dial goes on", i+1)
		}
	}
	if w.kind == Listener && w.unlisted != (w.ended && !w.looking) {
		w.fail("P7: the listening socket is left open, or closed while it is wanted")
	}
	attached := w.m.State() == Open || w.kind == Accepted && w.m.State() == Inactive
	if w.kind != Listener && attached != w.current(w.epoch()) {
		w.fail("P4: the machine is %v and its socket is not", w.m.State())
	}
	if w.ended != (w.m.State() == Invalid) {
		w.fail("P3: the machine is %v, and over is %v", w.m.State(), w.ended)
	}
}

// barrierDue: what has nothing to wait for does not wait.
func (w *world) barrierDue() {
	if !w.ended && (!w.activated || w.suspends > 0) {
		return
	}
	for i, o := range w.out {
		switch {
		case o.state == done || o.state == onWire:
		case o.barrier && o.state == queued:
			w.fail("P8: barrier %d is next and was not started", i+1)
			return
		default:
			return
		}
	}
}

func (w *world) normalize() {
	for i := range w.out {
		o := &w.out[i]
		if o.state == onWire && !o.call {
			o.state = done
		}
		if o.state == done && !o.call {
			*o = outgoing{state: done, forgotten: o.forgotten, barrier: o.barrier}
		}
	}
	for i := range w.in {
		c := &w.in[i]
		if c.state == handled && (w.left.replies == 0 || c.what != Message || !w.current(c.epoch)) {
			c.state = inDone
		}
		if c.state == inDone {
			*c = incoming{state: inDone}
		}
	}
}

// quiet: nothing is outstanding, so all that may happen has happened.
func (w *world) quiet() {
	if w.looking && !w.ended || w.socketIs(w.epoch(), dialing) || w.scheduled || w.running {
		return
	}
	if !w.activated || w.suspends > 0 {
		return
	}
	for _, o := range w.out {
		if o.state == barrierRunning || o.state == flushing && w.current(o.epoch) {
			return
		}
	}
	for i, o := range w.out {
		if o.state != done && o.state != onWire {
			w.fail("P5, P8: nothing is outstanding and %d waits for ever", i+1)
		}
		if o.call && (w.ended || !w.current(o.epoch)) {
			w.fail("P1: nothing is outstanding and call %d waits for ever", i+1)
		}
	}
	for i, c := range w.in {
		if c.state == waiting {
			w.fail("P7: nothing is outstanding and %d is not delivered", i+firstIncoming)
		}
	}
	if w.ended && !w.finished {
		w.fail("P3: nothing is outstanding and INVALID was not handled")
	}
	if w.told != w.losses && !w.cancelled {
		w.fail("P6: %d losses and %d INTERRUPTED", w.losses, w.told)
	}
}

// probe checks that ev leaves the machine as it is, and what it frees.
func (w *world) probe(ev Event, scratch *probeScratch) {
	w.m.copyTo(&scratch.m)
	scratch.before = scratch.m.encode(scratch.before[:0])
	got := scratch.m.Step(ev)
	scratch.after = scratch.m.encode(scratch.after[:0])
	if !bytes.Equal(scratch.before, scratch.after) {
		w.fail("P4: %v changes the machine", ev)
	}
	scratch.want = w.frees(ev, scratch.want[:0])
	if !slices.Equal(got, scratch.want) {
		w.fail("P4: %v has the effects %v, not %v", ev, got, scratch.want)
	}
}

type probeScratch struct {
	m             Machine
	before, after []byte
	want          []Effect
}

// frees is all that an event that comes too late may do.
func (w *world) frees(ev Event, want []Effect) []Effect {
	switch ev.Op {
	case Received, Answered:
		want = append(want, Effect{Do: Drop, What: Message, ID: ev.ID})
	case Noticed:
		want = append(want, Effect{Do: Drop, What: Notice, ID: ev.ID})
	case Arrived:
		want = append(want, Effect{Do: Drop, What: Peer, ID: ev.ID})
	case Dialed:
		want = append(want, Effect{Do: Close, Epoch: ev.Epoch})
	case Send, Reply:
		want = append(want, Effect{Do: Discard, ID: ev.ID})
		if ev.Call {
			want = append(want, Effect{Do: Complete, ID: ev.ID, Outcome: Invalidated})
		}
	}
	return want
}
