package lifecycle

import "slices"

// Machine is the state of one connection. The zero value is an inactive Named connection.
type Machine struct {
	kind      Kind
	state     State
	activated bool
	scheduled bool // a delivery was asked for and has not begun
	running   bool // a handler runs
	finished  bool
	unloaded  bool // the name is gone: the present socket is the last
	barrier   barrierState
	epoch     Epoch
	suspends  uint32

	sends   fifo[send]
	behind  ID             // the barrier that awaits its flush or runs
	calls   idSet          // not completed
	unwound []ID           // completed once the probe has an answer
	arrived fifo[delivery] // for the event handler

	effects []Effect
}

type send struct {
	id      ID
	barrier bool
}

type barrierState uint8

const (
	noBarrier barrierState = iota
	awaitingFlush
	barrierRuns
)

type delivery struct {
	what What
	id   ID
}

// New returns an inactive machine. An Accepted one has its socket already, in epoch 1.
func New(k Kind) Machine {
	m := Machine{kind: k}
	if k == Accepted {
		m.epoch = 1
	}
	return m
}

// State is where the connection stands.
func (m *Machine) State() State { return m.state }

// Epoch is the present or last socket's number.
func (m *Machine) Epoch() Epoch { return m.epoch }

// Pending is the number of calls that wait for an answer.
func (m *Machine) Pending() int { return m.calls.len() + len(m.unwound) }

func (m *Machine) emit(e Effect) { m.effects = append(m.effects, e) }

// Shrink gives up the memory of what is empty, for a connection that is idle. It
// changes no state; the effects of the last Step are no longer valid.
func (m *Machine) Shrink() {
	m.effects = nil
	m.sends.shrink()
	m.calls.shrink()
	m.arrived.shrink()
	if len(m.unwound) == 0 {
		m.unwound = nil
	}
}

// Step takes one event. The effects are valid until the next Step.
func (m *Machine) Step(ev Event) []Effect {
	m.effects = m.effects[:0]
	if cap(m.effects) > 1024 {
		m.effects = nil // what a burst took is given back
	}
	switch ev.Op {
	case Activate:
		m.activate()
	case Suspend:
		m.suspends++
	case Resume:
		m.resume()
	case Cancel:
		m.cancel()
	case Send:
		m.send(ev.ID, ev.Call)
	case Reply:
		m.reply(ev.ID, ev.Epoch)
	case Barrier:
		m.sends.push(send{ev.ID, true})
		m.transmit()
	case Forget:
		m.forget(ev.ID)
	case LookedUp:
		m.lookedUp()
	case LookUpFailed:
		m.lookUpFailed()
	case Gone:
		m.gone()
	case Dialed:
		m.dialed(ev.Epoch)
	case DialFailed:
		m.dialFailed(ev.Epoch, false)
	case Refused:
		m.dialFailed(ev.Epoch, true)
	case TurnedAway:
		m.turnedAway(ev.Epoch)
	case Unfit:
		m.unfit(ev.Epoch)
	case Lost:
		m.lost(ev.Epoch)
	case Received:
		m.received(ev.Epoch, ev.ID)
	case Arrived:
		m.accept(Peer, ev.ID, m.kind == Listener && m.state != Invalid)
	case Answered:
		m.answered(ev.Epoch, ev.ID, ev.Outcome)
	case Noticed:
		m.accept(Notice, ev.ID, m.state != Invalid)
	case Flushed:
		m.flushed(ev.Epoch, ev.ID)
	case Begin:
		m.begin()
	case HandlerDone:
		m.handlerDone()
	case BarrierDone:
		m.barrier = noBarrier
		m.transmit()
	}
	return m.effects
}

// ---- activation and suspension

func (m *Machine) activate() {
	if m.activated {
		return
	}
	m.activated = true
	if m.state == Inactive {
		switch m.kind {
		case Named, Listener:
			m.state = Looking
			m.emit(Effect{Do: LookUp})
		case Endpoint:
			m.state = Ready
		case Accepted:
			m.state = Open
		}
	}
	m.proceed()
}

// resume on an inactive connection that is not suspended is activate (R57).
func (m *Machine) resume() {
	switch {
	case m.suspends > 0:
		m.suspends--
		m.proceed()
	case !m.activated:
		m.activate()
	case m.state != Invalid:
		m.emit(Effect{Do: OverResume})
	}
}

func (m *Machine) moving() bool { return m.activated && m.suspends == 0 }

// proceed does whatever is now allowed.
func (m *Machine) proceed() {
	m.transmit()
	m.schedule()
}

// ---- sending

func (m *Machine) send(id ID, call bool) {
	if m.state == Invalid || m.kind == Listener {
		m.emit(Effect{Do: Discard, ID: id})
		if call {
			m.emit(Effect{Do: Complete, ID: id, Outcome: Invalidated})
		}
		return
	}
	if call {
		m.calls.add(id)
	}
	m.sends.push(send{id: id})
	m.transmit()
}

// reply belongs to the socket its request came on.
func (m *Machine) reply(id ID, e Epoch) {
	attached := m.state == Open || m.kind == Accepted && m.state == Inactive
	if e != m.epoch || !attached {
		m.emit(Effect{Do: Discard, ID: id})
		return
	}
	m.sends.push(send{id: id})
	m.transmit()
}

// transmit writes what may be written now, dials if there is reason to, and runs the next barrier.
func (m *Machine) transmit() {
	for m.sends.len() > 0 && m.barrier == noBarrier && (m.moving() || m.state == Invalid) {
		s := m.sends.first()
		switch {
		case s.barrier:
			m.startBarrier(s.id)
		case m.state == Open:
			m.emit(Effect{Do: Write, Epoch: m.epoch, ID: s.id})
		case m.state == Ready:
			m.dial(Dialing)
			return
		default:
			return
		}
		m.sends.pop()
	}
}

func (m *Machine) dial(s State) {
	m.state = s
	m.epoch++
	m.emit(Effect{Do: Dial, Epoch: m.epoch})
}

func (m *Machine) startBarrier(id ID) {
	m.behind = id
	if m.state == Open && m.kind != Listener {
		m.barrier = awaitingFlush
		m.emit(Effect{Do: Flush, Epoch: m.epoch, ID: id})
		return
	}
	m.barrier = barrierRuns
	m.emit(Effect{Do: RunBarrier, ID: id})
}

func (m *Machine) flushed(e Epoch, id ID) {
	if m.barrier == awaitingFlush && e == m.epoch && id == m.behind {
		m.barrier = barrierRuns
		m.emit(Effect{Do: RunBarrier, ID: id})
	}
}

func (m *Machine) forget(id ID) {
	if !m.calls.remove(id) {
		m.forgetUnwound(id)
		return
	}
	if m.sends.len() == 0 {
		return
	}
	for range m.sends.removeFunc(func(s send) bool { return s.id == id && !s.barrier }) {
		m.emit(Effect{Do: Discard, ID: id})
	}
	m.transmit()
}

func (m *Machine) forgetUnwound(id ID) {
	for i, u := range m.unwound {
		if u == id {
			m.unwound = append(m.unwound[:i], m.unwound[i+1:]...)
			return
		}
	}
}

// ---- the registry and the socket

func (m *Machine) lookedUp() {
	switch {
	case m.state != Looking:
		m.closeLate()
		return
	case m.kind == Listener:
		m.state = Open
	default:
		m.state = Ready
	}
	m.transmit()
}

func (m *Machine) lookUpFailed() {
	if m.state != Looking {
		m.closeLate()
		return
	}
	m.invalidate()
	m.closeLate()
}

// closeLate: a listener may have a socket when its check-in has failed, or was
// answered too late.
func (m *Machine) closeLate() {
	if m.kind == Listener && m.state == Invalid {
		m.closeSocket()
	}
}

func (m *Machine) dialed(e Epoch) {
	switch {
	case e != m.epoch || m.state != Dialing && m.state != Probing:
		m.emit(Effect{Do: Close, Epoch: e})
		return
	case m.state == Probing:
		m.state = Open
		m.settle(Interrupted)
		m.interrupt()
	default:
		m.state = Open
	}
	m.transmit()
}

func (m *Machine) dialFailed(e Epoch, forGood bool) {
	if e != m.epoch || m.state != Dialing && m.state != Probing {
		return
	}
	if forGood {
		m.invalidate()
		return
	}
	m.interrupted()
}

// turnedAway: the other side accepted and said why it will not serve.
func (m *Machine) turnedAway(e Epoch) {
	if e != m.epoch || m.state != Open {
		return
	}
	m.emit(Effect{Do: Close, Epoch: e})
	if m.kind == Accepted {
		m.invalidate()
		return
	}
	m.interrupted()
}

// unfit: what waited was meant for another peer. The next send tries again (R126).
func (m *Machine) unfit(e Epoch) {
	if e != m.epoch || m.state != Dialing {
		return
	}
	m.emit(Effect{Do: Close, Epoch: e})
	m.unwind()
	m.settle(Unqualified)
	m.state = Ready
	m.transmit()
}

func (m *Machine) lost(e Epoch) {
	if e != m.epoch {
		return
	}
	switch {
	case m.kind == Accepted && (m.state == Open || m.state == Inactive):
		m.emit(Effect{Do: Close, Epoch: e})
		m.invalidate()
	case m.state != Open || m.kind == Listener:
	case m.kind == Endpoint && !m.unloaded:
		m.emit(Effect{Do: Close, Epoch: e})
		m.unwind()
		m.dial(Probing)
		m.transmit()
	default:
		m.emit(Effect{Do: Close, Epoch: e})
		m.interrupted()
	}
}

// interrupted: the socket is gone, the origin is not (R120, R121), unless its
// name was unloaded meanwhile.
func (m *Machine) interrupted() {
	m.unwind()
	m.settle(Interrupted)
	if m.unloaded {
		m.arrived.push(delivery{what: InterruptedEvent})
		m.invalidate()
		return
	}
	m.state = Ready
	m.interrupt()
	m.transmit()
}

func (m *Machine) interrupt() {
	m.arrived.push(delivery{what: InterruptedEvent})
	m.schedule()
}

// gone: the name was unloaded (R123). A socket that is open stays until it is
// lost: a reply may be on its way (R129). Otherwise INTERRUPTED, unless that was
// told last, then INVALID.
func (m *Machine) gone() {
	if m.state == Invalid || m.state == Inactive || m.kind == Accepted {
		return
	}
	if m.state == Open && m.kind != Listener {
		m.unloaded = true
		return
	}
	m.closeSocket()
	if m.kind != Listener && (m.state != Ready || m.epoch == 0) {
		m.unwind()
		m.settle(Interrupted)
		m.arrived.push(delivery{what: InterruptedEvent})
	}
	m.invalidate()
}

// unwind discards what was not sent and sets the calls aside; barriers stay.
func (m *Machine) unwind() {
	for _, s := range m.sends.removeFunc(func(s send) bool { return !s.barrier }) {
		m.emit(Effect{Do: Discard, ID: s.id})
	}
	m.unwound = m.calls.drainTo(m.unwound)
	if m.barrier == awaitingFlush {
		m.barrier = barrierRuns
		m.emit(Effect{Do: RunBarrier, ID: m.behind})
	}
}

func (m *Machine) settle(o Outcome) {
	m.effects = slices.Grow(m.effects, len(m.unwound))
	for _, id := range m.unwound {
		m.emit(Effect{Do: Complete, ID: id, Outcome: o})
	}
	m.unwound = nil
}

// closeSocket: a listener's comes with the answer to its check-in, which is waited for.
func (m *Machine) closeSocket() {
	attached := m.kind == Accepted && m.state == Inactive || m.kind == Listener && m.state != Looking
	if attached || m.state == Open || m.state == Dialing || m.state == Probing {
		m.emit(Effect{Do: Close, Epoch: m.epoch})
	}
}

// ---- the end

// cancel drops what was not delivered: only INVALID follows (R81, R82). A
// connection that was never activated is disposed of at once, also one that was
// over before.
func (m *Machine) cancel() {
	m.activated = true
	for _, d := range m.arrived.removeFunc(func(d delivery) bool { return d.what != InvalidEvent }) {
		m.drop(d)
	}
	if m.state == Invalid {
		m.proceed()
		return
	}
	m.closeSocket()
	m.invalidate()
}

func (m *Machine) drop(d delivery) {
	if d.what == Message || d.what == Peer || d.what == Notice {
		m.emit(Effect{Do: Drop, What: d.what, ID: d.id})
	}
}

// invalidate is the one way into Invalid. What had arrived is still delivered first.
func (m *Machine) invalidate() {
	m.unwind()
	m.settle(Invalidated)
	m.state = Invalid
	m.arrived.push(delivery{what: InvalidEvent})
	m.proceed()
}

// ---- receiving

func (m *Machine) received(e Epoch, id ID) {
	attached := m.state == Open || m.kind == Accepted && m.state == Inactive
	m.accept(Message, id, attached && e == m.epoch && m.kind != Listener)
}

func (m *Machine) accept(w What, id ID, wanted bool) {
	if !wanted {
		m.emit(Effect{Do: Drop, What: w, ID: id})
		return
	}
	m.arrived.push(delivery{w, id})
	m.schedule()
}

func (m *Machine) answered(e Epoch, id ID, o Outcome) {
	if e != m.epoch || m.state != Open || !m.calls.remove(id) {
		m.emit(Effect{Do: Drop, What: Message, ID: id})
		return
	}
	m.emit(Effect{Do: Complete, ID: id, Outcome: o})
}

func (m *Machine) schedule() {
	if m.arrived.len() > 0 && m.moving() && !m.scheduled && !m.running {
		m.scheduled = true
		m.emit(Effect{Do: Schedule})
	}
}

// begin: suspension or cancellation may have come between scheduling and now (R60).
func (m *Machine) begin() {
	m.scheduled = false
	if m.running || !m.moving() || m.arrived.len() == 0 {
		return
	}
	d := m.arrived.pop()
	m.running = true
	m.emit(Effect{Do: Run, What: d.what, ID: d.id})
	m.finished = d.what == InvalidEvent
}

func (m *Machine) handlerDone() {
	m.running = false
	if m.finished {
		m.emit(Effect{Do: Finish})
		return
	}
	m.schedule()
}
