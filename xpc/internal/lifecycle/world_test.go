package lifecycle

import "fmt"

// A world is a machine together with a model of everything around it: the
// program, the registry, the sockets and what runs handlers. It knows what each
// of them may do next, and it is the oracle of P1 to P8: it keeps its own
// account of what was promised and never looks into the machine for that.
type world struct {
	m    Machine
	kind Kind
	left bounds

	out     []outgoing // messages and barriers in the order of Send; the id is the index + 1
	in      []incoming // what came; the id is the index + firstIncoming
	sockets []socket   // by epoch, from 1

	activated, cancelled, looking, probing, unlisted           bool
	scheduled, running, invalidRuns, ended, finished, unloaded bool

	suspends     uint8
	lost         Epoch // the last one that ended
	losses, told uint8 // losses to be told by INTERRUPTED, and INTERRUPTED delivered

	// In the shell's model (shell_test.go) effects wait here to be carried out.
	shell shellModel

	violation string
	step      []Effect // of the present step
}

// bounds is how much of everything the surroundings may do.
type bounds struct {
	sends, calls, forgets, barriers, suspends, replies uint8
	received, arrivals, notices, forged                uint8
	epochs                                             uint8
	cancel, gone, turnedAway                           bool
}

const firstIncoming = 1001

type outState uint8

const (
	queued outState = iota
	boxed           // handed to the writer, in the shell's model
	onWire          // written, its call not over
	flushing
	flushed
	barrierRunning
	done
)

type outgoing struct {
	state               outState
	barrier             bool
	reply               bool
	call                bool // and not over
	forgotten, answered bool
	epoch               Epoch // of the request for a reply, of the socket for what is on the wire
	doomed              uint8 // the loss that unwinds it
}

type incoming struct {
	what   What
	state  inState
	epoch  Epoch
	losses uint8 // before it came
}

type inState uint8

const (
	waiting inState = iota
	handled         // and may be replied to
	inDone
)

type socket uint8

const (
	dialing socket = iota
	aborted        // closed before the dial was answered
	open
	closed
	failed
)

func newWorld(k Kind, b bounds) *world {
	w := &world{m: New(k), kind: k, left: b}
	if k == Accepted {
		w.sockets = []socket{open}
	}
	return w
}

func (w *world) fail(format string, args ...any) {
	if w.violation == "" {
		w.violation = fmt.Sprintf(format, args...)
	}
}

func (w *world) epoch() Epoch { return Epoch(len(w.sockets)) }

func (w *world) socketIs(e Epoch, s socket) bool {
	return e > 0 && int(e) <= len(w.sockets) && w.sockets[e-1] == s
}

// current reports whether e's socket is the one in use.
func (w *world) current(e Epoch) bool { return e == w.epoch() && w.socketIs(e, open) }

func (w *world) outgoing(id ID) *outgoing {
	if id == 0 || int(id) > len(w.out) {
		w.fail("P7: an effect names message %d, which nobody sent", id)
		return &outgoing{state: done}
	}
	return &w.out[id-1]
}

func (w *world) incoming(id ID) *incoming {
	if id < firstIncoming || int(id-firstIncoming) >= len(w.in) {
		w.fail("P7: an effect names %d, which nobody received", id)
		return &incoming{state: inDone}
	}
	return &w.in[id-firstIncoming]
}

// ---- what may happen next

// enabled appends all events that may come now and can change something. What
// must change nothing is probed at every state (see probes), so it needs no bound.
func (w *world) enabled(evs []Event) []Event {
	evs = w.programEvents(evs)
	if !w.ended {
		evs = w.registryEvents(evs)
		evs = w.socketEvents(evs)
	} else if w.kind == Listener && w.looking {
		evs = append(evs, Event{Op: LookedUp}, Event{Op: LookUpFailed})
	}
	return w.runnerEvents(evs)
}

func (w *world) programEvents(evs []Event) []Event {
	l := &w.left
	next := ID(len(w.out) + 1)
	if !w.activated {
		evs = append(evs, Event{Op: Activate})
	}
	if l.cancel {
		evs = append(evs, Event{Op: Cancel})
	}
	if l.suspends > 0 {
		evs = append(evs, Event{Op: Suspend})
	}
	if w.suspends > 0 {
		evs = append(evs, Event{Op: Resume})
	}
	if l.barriers > 0 {
		evs = append(evs, Event{Op: Barrier, ID: next})
	}
	if w.takesSends() && l.sends > 0 {
		evs = append(evs, Event{Op: Send, ID: next})
	}
	if w.takesSends() && l.calls > 0 {
		evs = append(evs, Event{Op: Send, ID: next, Call: true})
	}
	for i, o := range w.out {
		if o.call && l.forgets > 0 {
			evs = append(evs, Event{Op: Forget, ID: ID(i + 1)})
		}
	}
	for _, c := range w.in {
		if c.state == handled && l.replies > 0 && w.current(c.epoch) {
			evs = append(evs, Event{Op: Reply, ID: next, Epoch: c.epoch})
			break
		}
	}
	return evs
}

func (w *world) takesSends() bool { return !w.ended && w.kind != Listener }

func (w *world) registryEvents(evs []Event) []Event {
	if w.looking {
		evs = append(evs, Event{Op: LookedUp}, Event{Op: LookUpFailed})
	}
	if w.left.gone && w.activated && w.kind != Accepted {
		evs = append(evs, Event{Op: Gone})
	}
	return evs
}

func (w *world) socketEvents(evs []Event) []Event {
	e := w.epoch()
	if w.socketIs(e, dialing) && e <= Epoch(w.left.epochs) {
		evs = append(evs, Event{Op: Dialed, Epoch: e}, Event{Op: DialFailed, Epoch: e}, Event{Op: Refused, Epoch: e})
		if !w.probing {
			evs = append(evs, Event{Op: Unfit, Epoch: e})
		}
	}
	nextIn := ID(len(w.in) + firstIncoming)
	if w.left.notices > 0 {
		evs = append(evs, Event{Op: Noticed, ID: nextIn})
	}
	if w.left.arrivals > 0 && w.kind == Listener && w.m.state == Open {
		evs = append(evs, Event{Op: Arrived, ID: nextIn})
	}
	if !w.current(e) || w.lost == e {
		return evs
	}
	evs = append(evs, Event{Op: Lost, Epoch: e})
	if w.left.turnedAway && w.activated {
		evs = append(evs, Event{Op: TurnedAway, Epoch: e})
	}
	if w.left.received > 0 {
		evs = append(evs, Event{Op: Received, Epoch: e, ID: nextIn})
	}
	for i, o := range w.out {
		switch id := ID(i + 1); {
		case o.call && !o.answered && (o.state == onWire && o.epoch == e || w.activated && w.left.forged > 0):
			// Replied and Interrupted take the same way; each id stands for one of them.
			evs = append(evs, Event{Op: Answered, Epoch: e, ID: id, Outcome: Outcome(id % 2)})
		case o.state == flushing && o.epoch == e && w.flushReached(id):
			evs = append(evs, Event{Op: Flushed, Epoch: e, ID: id})
		}
	}
	return evs
}

func (w *world) runnerEvents(evs []Event) []Event {
	if w.scheduled {
		evs = append(evs, Event{Op: Begin})
	}
	if w.running {
		evs = append(evs, Event{Op: HandlerDone})
	}
	for i, o := range w.out {
		if o.state == barrierRunning {
			evs = append(evs, Event{Op: BarrierDone, ID: ID(i + 1)})
		}
	}
	return evs
}

// probes appends events that may come as well and must leave the machine as it
// is: what is late, stale, repeated or meant for the dead (P4).
func (w *world) probes(evs []Event) []Event {
	for e := Epoch(1); e <= w.epoch(); e++ {
		evs = w.staleEvents(evs, e)
	}
	next, nextIn := ID(len(w.out)+1), ID(len(w.in)+firstIncoming)
	if w.activated {
		evs = append(evs, Event{Op: Activate})
	}
	if w.cancelled {
		evs = append(evs, Event{Op: Cancel})
	}
	if w.running {
		evs = append(evs, Event{Op: Begin})
	}
	if w.kind != Listener && (w.ended || !w.looking) {
		evs = append(evs, Event{Op: LookedUp}, Event{Op: LookUpFailed})
	}
	for i, o := range w.out {
		if !o.call {
			evs = append(evs, Event{Op: Forget, ID: ID(i + 1)})
		}
	}
	if !w.takesSends() {
		evs = append(evs, Event{Op: Send, ID: next}, Event{Op: Send, ID: next, Call: true})
	}
	if w.ended {
		evs = append(evs, Event{Op: Gone}, Event{Op: Noticed, ID: nextIn}, Event{Op: Arrived, ID: nextIn})
	}
	return evs
}

func (w *world) staleEvents(evs []Event, e Epoch) []Event {
	nextIn := ID(len(w.in) + firstIncoming)
	if !w.current(e) {
		evs = append(evs, Event{Op: Received, Epoch: e, ID: nextIn}, Event{Op: Reply, Epoch: e, ID: ID(len(w.out) + 1)},
			Event{Op: Lost, Epoch: e}, Event{Op: TurnedAway, Epoch: e})
	}
	if !w.socketIs(e, dialing) || w.probing {
		evs = append(evs, Event{Op: Unfit, Epoch: e})
	}
	if w.socketIs(e, aborted) {
		evs = append(evs, Event{Op: Dialed, Epoch: e}, Event{Op: DialFailed, Epoch: e}, Event{Op: Refused, Epoch: e})
	}
	for i, o := range w.out {
		if !o.call || !w.current(e) {
			evs = append(evs, Event{Op: Answered, Epoch: e, ID: ID(i + 1)})
		}
		if o.barrier && !(o.state == flushing && o.epoch == e) {
			evs = append(evs, Event{Op: Flushed, Epoch: e, ID: ID(i + 1)})
		}
	}
	return evs
}
