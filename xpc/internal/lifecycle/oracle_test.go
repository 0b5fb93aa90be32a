package lifecycle

import "slices"

// apply makes one step and checks it.
func (w *world) apply(ev Event) {
	w.happens(ev)
	effects := w.m.Step(ev)
	w.step = append(w.step[:0], effects...)
	for _, e := range w.step {
		if w.shell.on && e.Do != Run {
			w.shell.push(ev, e)
			continue
		}
		w.effect(ev, e)
	}
	w.settled(ev)
}

// happens accounts for an event before the machine sees it.
func (w *world) happens(ev Event) {
	switch ev.Op {
	case Activate:
		w.activated = true
	case Cancel:
		w.left.cancel, w.cancelled, w.activated = false, true, true
		w.ended = true
	case Suspend:
		w.left.suspends--
		w.suspends++
	case Resume:
		w.suspends--
	case Send, Reply, Barrier:
		w.programSends(ev)
	case Forget:
		o := w.outgoing(ev.ID)
		w.left.forgets--
		o.call, o.forgotten = false, true
	case Begin:
		w.scheduled = false
	case HandlerDone:
		w.running = false
	case BarrierDone:
		w.outgoing(ev.ID).state = done
	default:
		w.outsideHappens(ev)
	}
}

func (w *world) programSends(ev Event) {
	o := outgoing{barrier: ev.Op == Barrier, reply: ev.Op == Reply, call: ev.Call, epoch: ev.Epoch}
	switch {
	case o.barrier:
		w.left.barriers--
	case o.call:
		w.left.calls--
	case o.reply:
		w.left.replies--
		i := slices.IndexFunc(w.in, func(c incoming) bool { return c.state == handled && c.epoch == ev.Epoch })
		w.in[i].state = inDone
	default:
		w.left.sends--
	}
	w.out = append(w.out, o)
}

func (w *world) outsideHappens(ev Event) {
	switch ev.Op {
	case LookedUp:
		w.looking = false
	case LookUpFailed:
		w.looking, w.ended = false, true
	case Gone:
		w.nameGone()
	case Dialed:
		w.sockets[ev.Epoch-1] = open
		w.probing = false
	case DialFailed:
		w.sockets[ev.Epoch-1] = failed
		w.loses(!w.probing)
		w.probing = false
	case Refused:
		w.sockets[ev.Epoch-1] = failed
		if w.probing {
			w.losses-- // told by INVALID alone
		}
		w.probing, w.ended = false, true
	case Unfit: // connected, and done with: an effect closes it
		w.sockets[ev.Epoch-1], w.lost = open, ev.Epoch
	case TurnedAway:
		w.left.turnedAway = false
		w.socketEnds(ev.Epoch)
	case Lost:
		w.socketEnds(ev.Epoch)
	case Received, Noticed, Arrived:
		w.arrives(ev)
	case Answered:
		o := w.outgoing(ev.ID)
		o.answered = true
		if o.state != onWire {
			w.left.forged--
		}
	case Flushed:
		w.outgoing(ev.ID).state = flushed
	}
}

func (w *world) arrives(ev Event) {
	c := incoming{what: Message, epoch: ev.Epoch, losses: w.losses}
	switch ev.Op {
	case Received:
		w.left.received--
	case Noticed:
		w.left.notices--
		c.what = Notice
	case Arrived:
		w.left.arrivals--
		c.what = Peer
	}
	w.in = append(w.in, c)
}

func (w *world) socketEnds(e Epoch) {
	w.lost = e
	if w.kind == Accepted {
		w.ended = true
		return
	}
	w.loses(true)
	w.ended = w.ended || w.unloaded
}

// nameGone waits for the loss of a socket that is open (R129), and is a loss itself
// otherwise, unless the last one was told and nothing was dialed since (R123).
func (w *world) nameGone() {
	w.left.gone = false
	e := w.epoch()
	if w.kind != Listener && e > 0 && w.socketIs(e, open) && w.lost != e {
		w.unloaded = true
		return
	}
	w.ended = true
	if w.kind == Listener {
		return
	}
	w.loses(!w.probing && (e == 0 || w.socketIs(e, open) || w.socketIs(e, dialing)))
	w.probing = false
}

// loses dooms what is not over: it must be unwound before INTERRUPTED is delivered.
func (w *world) loses(tell bool) {
	if tell {
		w.losses++
	}
	for i := range w.out {
		o := &w.out[i]
		if o.doomed == 0 && !o.barrier && (o.call || o.state != done) {
			o.doomed = w.losses
		}
	}
}

// effect checks one effect against the account, and books it.
func (w *world) effect(ev Event, e Effect) {
	switch e.Do {
	case LookUp:
		if w.looking || w.kind == Endpoint || w.kind == Accepted {
			w.fail("P4: a look-up while one is outstanding, or of what has no name")
		}
		w.looking = true
	case Dial:
		w.dials(ev, e)
	case Close:
		w.closes(e)
	case Write:
		w.writes(e)
	case Discard:
		w.discards(ev, e)
	case Complete:
		w.completes(ev, e)
	case Flush, RunBarrier:
		w.barriers(e)
	case Schedule:
		if w.scheduled || w.running {
			w.fail("P2: scheduled twice, or while a handler runs")
		}
		w.scheduled = true
	case Run:
		w.runs(ev, e)
	case Drop:
		w.drops(ev, e)
	case Finish:
		if w.finished || !w.invalidRuns || w.running {
			w.fail("P3: finished before INVALID was handled, or twice")
		}
		w.finished = true
	case OverResume:
		w.fail("P2: a resume was called one too many, and none was")
	}
}

func (w *world) dials(ev Event, e Effect) {
	last := w.epoch()
	if e.Epoch != last+1 || w.socketIs(last, open) || w.socketIs(last, dialing) {
		w.fail("P4: dials epoch %d after %d, or beside an open socket", e.Epoch, last)
	}
	if w.kind == Accepted || w.kind == Listener || w.ended && !w.shell.on {
		w.fail("P6: dials what has no origin, or is over")
	}
	w.sockets = append(w.sockets, dialing)
	w.probing = ev.Op == Lost || w.shell.on && w.shell.probe == e.Epoch
}

func (w *world) closes(e Effect) {
	switch {
	case w.kind == Listener && e.Epoch == 0 && w.ended && !w.looking && !w.unlisted:
		w.unlisted = true
	case w.socketIs(e.Epoch, open):
		w.sockets[e.Epoch-1] = closed
	case w.socketIs(e.Epoch, dialing):
		w.sockets[e.Epoch-1] = aborted
	default:
		w.fail("P7: closes socket %d, which is not open", e.Epoch)
	}
	w.purge(e.Epoch)
}

// writes: in order, once, by a moving connection, beside no barrier, into the socket in use.
func (w *world) writes(e Effect) {
	o := w.outgoing(e.ID)
	switch {
	case o.barrier || o.state != queued:
		w.fail("P5: writes %d twice, or after discarding it", e.ID)
	case !w.current(e.Epoch):
		w.fail("P5: writes %d into socket %d, which is not open", e.ID, e.Epoch)
	case o.reply && o.epoch != e.Epoch:
		w.fail("P4: writes a reply to a message of epoch %d in epoch %d", o.epoch, e.Epoch)
	case o.forgotten && !w.shell.on:
		w.fail("P1: writes %d, whose caller gave up", e.ID)
	case !w.shell.on && (!w.activated || w.suspends > 0):
		w.fail("P2: writes %d while suspended or inactive", e.ID)
	}
	for i := range w.out[:e.ID-1] {
		if s := w.out[i].state; s == queued || w.out[i].barrier && s != done {
			w.fail("P5, P8: writes %d before what was sent before it (%d)", e.ID, i+1)
		}
	}
	for _, o := range w.out {
		if o.state == barrierRunning {
			w.fail("P8: writes %d while a barrier runs", e.ID)
		}
	}
	o.state, o.epoch = onWire, e.Epoch
	if w.shell.on {
		o.state = boxed
		w.shell.outbox = append(w.shell.outbox, e)
	}
}

func (w *world) discards(ev Event, e Effect) {
	o := w.outgoing(e.ID)
	if o.barrier || o.state != queued {
		w.fail("P7: discards %d twice, or after writing it", e.ID)
	}
	o.state = done
	if !w.shell.on && !w.mayDiscard(ev, e.ID) {
		w.fail("P7: discards %d for no reason", e.ID)
	}
}

func (w *world) mayDiscard(ev Event, id ID) bool {
	switch ev.Op {
	case Cancel, Gone, LookUpFailed, DialFailed, Refused, TurnedAway, Unfit, Lost:
		return true
	case Forget:
		return ev.ID == id
	case Send:
		return ev.ID == id && !w.takesSends()
	case Reply:
		return ev.ID == id && !w.current(ev.Epoch)
	}
	return false
}

func (w *world) completes(ev Event, e Effect) {
	o := w.outgoing(e.ID)
	switch {
	case o.forgotten && !w.shell.on: // there it may have been decided before
		w.fail("P1: completes call %d, whose caller forgot it", e.ID)
	case !o.call && !o.forgotten:
		w.fail("P1: completes %d, which is no call or was completed", e.ID)
	case o.state == queued && e.Outcome != Replied && ev.Op != Answered && !w.shell.on:
		w.fail("P7: completes call %d, whose message still waits to be written", e.ID)
	case e.Outcome == Invalidated && !w.ended && w.takesSends():
		w.fail("P1: call %d is told INVALID by a connection that is not", e.ID)
	case e.Outcome == Replied && !w.shell.on && ev.Op != Answered:
		w.fail("P1: call %d is replied to by nobody", e.ID)
	case e.Outcome == Unqualified && ev.Op != Unfit && !w.shell.on:
		w.fail("P1: call %d is told that the peer is unfit, and it is not", e.ID)
	case e.Outcome == Interrupted && w.kind == Accepted && !w.shell.on && ev.Op != Answered:
		w.fail("P6: a call of an accepted peer is interrupted")
	}
	o.call = false
}

func (w *world) barriers(e Effect) {
	o := w.outgoing(e.ID)
	for i := range w.out[:max(e.ID, 1)-1] {
		if s := w.out[i].state; s == queued || s == boxed && e.Do == RunBarrier || w.out[i].barrier && s != done {
			w.fail("P8: barrier %d overtakes %d", e.ID, i+1)
		}
	}
	if e.Do == Flush {
		if !o.barrier || o.state != queued || !w.current(e.Epoch) {
			w.fail("P8: flushes for barrier %d twice, or on a socket that is not open", e.ID)
		}
		o.state, o.epoch = flushing, e.Epoch
		if w.shell.on {
			w.shell.outbox = append(w.shell.outbox, e)
		}
		return
	}
	if !o.barrier || o.state >= barrierRunning {
		w.fail("P8: runs barrier %d twice", e.ID)
	}
	if w.kind != Listener && !w.shell.on && w.activated && w.current(w.epoch()) && o.state != flushed {
		w.fail("P8: runs barrier %d before what was written has left", e.ID)
	}
	o.state = barrierRunning
}

func (w *world) runs(ev Event, e Effect) {
	switch {
	case ev.Op != Begin:
		w.fail("P2: runs a handler that was not scheduled")
	case w.running:
		w.fail("P2: runs a handler while one runs")
	case !w.activated || w.suspends > 0:
		w.fail("P2: runs a handler while suspended or inactive")
	case w.invalidRuns:
		w.fail("P3: runs a handler after INVALID")
	case w.cancelled && e.What != InvalidEvent:
		w.fail("P3: after Cancel it delivers %v", e)
	}
	w.running = true
	switch e.What {
	case InvalidEvent:
		w.runsInvalid()
	case InterruptedEvent:
		w.runsInterrupted()
	default:
		w.runsIncoming(e)
	}
}

func (w *world) runsInvalid() {
	w.invalidRuns = true
	if !w.ended {
		w.fail("P3: INVALID is delivered and the origin is not gone")
	}
	for i, c := range w.in {
		if c.state == waiting && !w.shell.on {
			w.fail("P3, P7: INVALID overtakes %d", i+firstIncoming)
		}
	}
}

func (w *world) runsInterrupted() {
	w.told++
	if w.kind == Accepted || w.kind == Listener {
		w.fail("P6: INTERRUPTED reaches a connection without an origin")
	}
	if w.told > w.losses {
		w.fail("P6: INTERRUPTED and nothing was lost")
	}
	for i, o := range w.out {
		if o.doomed > 0 && o.doomed <= w.told && (o.call || o.state == queued) {
			w.fail("P6: INTERRUPTED is delivered before %d is unwound", i+1)
		}
	}
	for i, c := range w.in {
		if c.state == waiting && c.what == Message && c.losses < w.told {
			w.fail("P6: INTERRUPTED overtakes message %d, which came before the loss", i+firstIncoming)
		}
	}
}

func (w *world) runsIncoming(e Effect) {
	c := w.incoming(e.ID)
	if c.state != waiting || c.what != e.What {
		w.fail("P7: runs %v twice, or after dropping it", e)
	}
	if c.what == Message && w.told < c.losses {
		w.fail("P6: message %d of the new socket is delivered before INTERRUPTED", e.ID)
	}
	for i := range w.in[:max(e.ID, firstIncoming)-firstIncoming] {
		if w.in[i].state == waiting {
			w.fail("P2: %d is delivered before %d, which came first", e.ID, i+firstIncoming)
		}
	}
	c.state = handled
}

func (w *world) drops(ev Event, e Effect) {
	if ev.Op == Answered && !w.shell.on {
		if e.ID != ev.ID || w.outgoing(e.ID).call {
			w.fail("P1: drops the answer that call %d waits for", e.ID)
		}
		return
	}
	if w.shell.on && e.ID < firstIncoming {
		return
	}
	c := w.incoming(e.ID)
	if c.state != waiting || c.what != e.What {
		w.fail("P7: drops %v twice, or after running it", e)
	}
	if !w.shell.on && ev.Op != Cancel {
		w.fail("P7: drops %v for no reason", e)
	}
	c.state = inDone
}
