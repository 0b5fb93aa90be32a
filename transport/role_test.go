package transport

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// The search runs readRole in a model of its surroundings: conn.go's goroutines
// as small state machines, the poller, the ticker, a receiver that pauses, and a
// peer that sends at any moment. Every interleaving is visited. A step is what
// conn.go does between two points where another goroutine may come in.

const (
	modelCallers = 3
	modelReaders = 4 // slots for readers; more would mean that they pile up
	modelWorkers = 2 // works that run at once; further frames then carry none
)

type pc uint8

const (
	out     pc = iota // a caller that is not there, a reader's free slot
	inLine            // a caller waits for its reply or for the role
	deliver           // has the read buffer: at the top of Conn.read
	pausing           // Receive answered Pause, Conn.pause is about to be called
	toWork            // about to start the ticker, then work
	working           // in Receiver.Work
	inRecv            // in medium.recv
	ending            // will be out when its action is done
)

// thread is a goroutine of the model. Its term is reduced to what matters: is it the present one?
type thread struct {
	at      pc
	current bool
	leads   bool // Waiter.leads
	done    bool // Waiter.done
	work    bool // Receive answered Work beside Pause
	resumed bool // Resume was called since Receive began
	act     next // what decide has still to carry out: armPoller, armAndTick or nothing
}

// touches says whether the thread believes that the read buffer is its own.
func (t thread) touches() bool {
	return t.leads || t.at == deliver || t.at == pausing || t.at == inRecv
}

type world struct {
	role     readRole
	threads  [modelCallers + modelReaders]thread
	line     [modelCallers]int8 // callers in line, -1 after the last
	kernel   bool               // bytes wait in the socket
	buffer   uint8              // whole frames in the read buffer
	armed    bool               // in the poller
	fired    bool               // the poller is about to call ready
	ticked   uint8              // places in the ticker's list
	tickArms bool               // the ticker is about to arm
	enough   bool               // the receiver wants no more
	resuming bool               // Resume is between its counter and the role
}

func newWorld() world {
	w := world{line: [modelCallers]int8{-1, -1, -1}}
	if w.role.start() == startOne {
		w.threads[modelCallers] = thread{at: deliver, current: true}
	}
	return w
}

// label names a step; it is made into text only for a trace.
type label struct {
	format string
	args   [2]int
}

func (l label) String() string {
	n := strings.Count(l.format, "%d")
	args := []any{l.args[0], l.args[1]}
	return fmt.Sprintf(l.format, args[:n]...)
}

// model explores; problem is the first violation found.
type model struct {
	world
	problem string
	next    func(step label, w world) // receives each successor
}

func (m *model) fail(format string, args ...any) {
	if m.problem == "" {
		m.problem = fmt.Sprintf(format, args...)
	}
}

// try runs one step from the same world as all the others.
func (m *model) try(step func(*model), format string, args ...int) {
	before := m.world
	step(m)
	m.normalize()
	m.check()
	l := label{format: format}
	copy(l.args[:], args)
	m.next(l, m.world)
	m.world = before
}

// normalize makes equal worlds compare equal: only equality of terms matters,
// and callers are alike, and readers.
func (m *model) normalize() {
	m.role.term = 1
	readers := m.threads[modelCallers:]
	slices.SortFunc(readers, func(a, b thread) int { return int(b.key()) - int(a.key()) })
	for i := range modelCallers - 1 { // three are sorted by three exchanges
		for j := range modelCallers - 1 - i {
			if m.callerKey(j) < m.callerKey(j+1) {
				m.exchange(j, j+1)
			}
		}
	}
}

// callerKey tells callers apart by state, and by place in line.
func (m *model) callerKey(i int) uint32 {
	return m.threads[i].key()<<3 | uint32(slices.Index(m.line[:], int8(i))+1)
}

func (m *model) exchange(i, j int) {
	m.threads[i], m.threads[j] = m.threads[j], m.threads[i]
	for k, c := range m.line {
		switch int(c) {
		case i:
			m.line[k] = int8(j)
		case j:
			m.line[k] = int8(i)
		}
	}
}

func (t thread) key() (k uint32) {
	for _, b := range []bool{t.current, t.leads, t.done, t.work, t.resumed} {
		k <<= 1
		if b {
			k |= 1
		}
	}
	return k<<8 | uint32(t.at)<<4 | uint32(t.act)
}

// ask is Conn.decide without its actions: one step under the lock.
func (m *model) ask(question func(*readRole) next) next {
	closed, before := m.role.closed, m.role.term
	do := question(&m.role)
	if m.role.term != before {
		for i := range m.threads {
			m.threads[i].current = false
		}
	}
	if closed && do != standDown {
		m.fail("the role answers %d after close", do)
	}
	return do
}

// carryOut is the rest of Conn.decide. me is who asked, -1 for poller, ticker or Resume.
func (m *model) carryOut(do next, me int) {
	switch do {
	case startOne:
		m.startReader()
	case handToNext:
		m.handOver()
	case armPoller, armAndTick:
		if me >= 0 {
			m.threads[me].act = do
		} else {
			m.tickArms = true
		}
	}
}

func (m *model) startReader() {
	for i := modelCallers; i < len(m.threads); i++ {
		if m.threads[i] == (thread{}) {
			m.threads[i] = thread{at: deliver, current: true}
			return
		}
	}
	m.fail("readers pile up")
}

func (m *model) handOver() {
	lead := m.line[0]
	if lead < 0 {
		m.fail("the role is handed to the first of an empty line")
		return
	}
	m.leaveLine(lead)
	m.threads[lead].leads, m.threads[lead].current = true, true
}

func (m *model) joinLine(i int) {
	for k := range m.line {
		if m.line[k] < 0 {
			m.line[k] = int8(i)
			return
		}
	}
}

func (m *model) leaveLine(i int8) bool {
	k := slices.Index(m.line[:], i)
	if k < 0 {
		return false
	}
	copy(m.line[k:], m.line[k+1:])
	m.line[modelCallers-1] = -1
	return true
}

func (m *model) inLine() (n int) {
	for _, i := range m.line {
		if i >= 0 {
			n++
		}
	}
	return n
}

// holds is what readRole.holds answers for the thread's term.
func (m *model) term(i int) uint32 {
	if m.threads[i].current {
		return m.role.term
	}
	return m.role.term - 1
}

func (m *model) check() {
	touching := 0
	for i, t := range m.threads {
		if !t.touches() {
			continue
		}
		touching++
		if !m.role.closed && !t.current {
			m.fail("thread %d reads in a term that is over", i)
		}
		if h := m.role.holder; !m.role.closed && (h == caller) != (i < modelCallers) {
			m.fail("thread %d reads, the role says holder %d", i, h)
		}
	}
	if touching > 1 {
		m.fail("%d goroutines hold the reading role", touching)
	}
	if n := m.inLine(); n != m.role.waiting {
		m.fail("waiting is %d with %d callers in line", m.role.waiting, n)
	}
	if m.role.closed && m.role.holder != nobody {
		m.fail("closed, and somebody holds the role")
	}
	m.checkTicker()
	if m.needed() && touching == 0 && !m.willBeRead() {
		m.fail("lost wake-up: bytes are wanted and nobody will read them")
	}
}

// tickerPlaces counts the places in the ticker's list, present and about to be taken.
func (m *model) tickerPlaces() uint8 {
	n := m.ticked
	for _, t := range m.threads {
		if t.at == toWork || t.act == armAndTick {
			n++
		}
	}
	return n
}

func (m *model) checkTicker() {
	n := m.tickerPlaces()
	if n > 1 {
		m.fail("the connection is in the ticker's list %d times", n)
	}
	if m.role.ticking != (n == 1) {
		m.fail("ticking is %v with %d places in the ticker's list", m.role.ticking, n)
	}
	if m.role.began && n == 0 {
		m.fail("work runs, and the ticker will not say when it is late")
	}
}

// needed: the receiver wants what comes, a caller in line waits for it, or the end is near.
func (m *model) needed() bool {
	return !m.role.closed && (!m.enough || m.role.hungUp || m.inLine() > 0)
}

func (m *model) willBeRead() bool {
	if m.armed || m.fired || m.tickArms || m.resuming {
		return true
	}
	for _, t := range m.threads {
		if t.act == armPoller || t.act == armAndTick {
			return true
		}
	}
	return m.tickerPlaces() > 0 && !m.role.paused
}

// steps tries everything that can happen next.
func (m *model) steps() {
	if !m.kernel {
		m.try(func(m *model) { m.kernel = true }, "bytes arrive")
	}
	if m.armed && (m.kernel || m.role.closed) {
		m.try(func(m *model) { m.armed, m.fired = false, true }, "the poller fires")
	}
	if m.fired {
		m.try(func(m *model) {
			m.fired = false
			m.carryOut(m.ask((*readRole).ready), -1)
		}, "ready")
	}
	if m.ticked > 0 && !m.tickArms {
		m.try((*model).tick, "tick")
	}
	if m.tickArms {
		m.try(func(m *model) { m.armed, m.tickArms = true, false }, "the ticker arms")
	}
	if m.enough && !m.resuming {
		m.try((*model).resume, "Resume is called")
	}
	if m.resuming {
		m.try(func(m *model) {
			m.resuming = false
			m.carryOut(m.ask((*readRole).resume), -1)
		}, "resume")
	}
	if m.role.blind() && !m.role.hungUp {
		m.try(func(m *model) { m.carryOut(m.ask((*readRole).hangUp), -1) }, "the peer hangs up")
	}
	if !m.role.closed {
		m.try(func(m *model) { m.ask(func(r *readRole) next { r.close(); return standDown }) }, "close")
	}
	for i := range m.threads {
		m.threadSteps(i)
	}
}

func (m *model) tick() {
	var keep bool
	do := m.ask(func(r *readRole) (do next) {
		do, keep = r.tick()
		return do
	})
	if !keep {
		m.ticked--
	}
	m.carryOut(do, -1)
}

func (m *model) resume() {
	m.enough, m.resuming = false, true
	for i := range m.threads {
		if m.threads[i].at == pausing {
			m.threads[i].resumed = true
		}
	}
}

func (m *model) threadSteps(i int) {
	t := m.threads[i]
	if t.act != carryOn {
		m.try(func(m *model) { m.act(i) }, "%d arms", i)
		return
	}
	switch t.at {
	case out:
		if i < modelCallers && !m.role.closed {
			m.try(func(m *model) { m.join(i) }, "%d joins", i)
		}
	case inLine:
		m.lineSteps(i)
	case deliver:
		m.deliverSteps(i)
	case pausing:
		m.try(func(m *model) { m.pause(i) }, "%d pauses", i)
	case toWork:
		m.try(func(m *model) {
			m.ticked++
			m.threads[i].at = working
		}, "%d starts the ticker", i)
	case working:
		m.try(func(m *model) { m.endWork(i) }, "%d ends its work", i)
	case inRecv:
		m.recvSteps(i)
	}
}

func (m *model) act(i int) {
	t := &m.threads[i]
	m.armed = true
	if t.act == armAndTick {
		m.ticked++
	}
	if t.act = carryOn; t.at == ending {
		*t = thread{}
	}
}

// end lets thread i go, after its action if it has one.
func (m *model) end(i int) {
	t := &m.threads[i]
	if *t = (thread{at: ending, act: t.act}); t.act == carryOn {
		*t = thread{}
	}
}

func (m *model) join(i int) {
	reads := false
	m.ask(func(r *readRole) next {
		_, reads = r.join()
		return standDown
	})
	if reads {
		m.threads[i] = thread{at: deliver, current: true}
	} else {
		m.threads[i] = thread{at: inLine}
		m.joinLine(i)
	}
}

// lineSteps: a caller in line reads when it is handed the role, and may quit at any moment.
func (m *model) lineSteps(i int) {
	if m.threads[i].leads {
		m.try(func(m *model) { m.threads[i].leads, m.threads[i].at = false, deliver }, "%d leads", i)
	}
	m.try(func(m *model) { m.quit(i) }, "%d quits", i)
}

func (m *model) quit(i int) {
	led := m.threads[i].leads
	m.threads[i].leads = false
	if m.leaveLine(int8(i)) {
		m.role.quit()
	}
	if led {
		m.leave(i)
	} else {
		m.end(i)
	}
}

func (m *model) leave(i int) {
	left := m.buffer > 0
	m.carryOut(m.ask(func(r *readRole) next { return r.leave(m.term(i), left) }), i)
	m.end(i)
}

// deliverSteps is the top of Conn.read: a frame is received, or the thread goes to block.
func (m *model) deliverSteps(i int) {
	switch {
	case m.role.closed:
		m.try(func(m *model) { m.end(i) }, "%d finds it closed", i)
	case m.buffer > 0:
		m.receiveSteps(i)
	case m.threads[i].done:
		m.try(func(m *model) { m.leave(i) }, "%d leaves", i)
	default:
		m.try(func(m *model) { m.block(i, false) }, "%d is about to block", i)
		m.try(func(m *model) { m.block(i, true) }, "%d is about to block after replies only", i)
		if i < modelCallers {
			m.try(func(m *model) { m.leave(i) }, "%d gives up", i)
		}
	}
}

func (m *model) block(i int, repliesOnly bool) {
	do := m.ask(func(r *readRole) next { return r.beforeBlocking(m.term(i), repliesOnly) })
	if do == carryOn {
		m.threads[i].at = inRecv
		return
	}
	m.carryOut(do, i)
	m.end(i)
}

// receiveSteps: what Receive may make of a frame.
func (m *model) receiveSteps(i int) {
	m.try(func(m *model) { m.buffer-- }, "%d receives", i)
	for j := range modelCallers {
		t := m.threads[j]
		if !t.done && (j == i || t.at == inLine) {
			m.try(func(m *model) { m.reply(i, j) }, "%d receives the reply for %d", i, j)
		}
	}
	m.try(func(m *model) { m.receivePause(i, false) }, "%d receives and should pause", i)
	if i < modelCallers || m.workers() == modelWorkers {
		return
	}
	m.try(func(m *model) { m.receivePause(i, true) }, "%d receives work and should pause", i)
	m.try(func(m *model) {
		m.buffer--
		m.startWork(i)
	}, "%d receives work", i)
}

func (m *model) workers() (n int) {
	for _, t := range m.threads {
		if t.at == working || t.at == toWork {
			n++
		}
	}
	return n
}

func (m *model) reply(i, j int) {
	m.buffer--
	m.threads[j].done = true
	if i == j {
		m.leave(i)
	}
}

func (m *model) receivePause(i int, work bool) {
	m.buffer--
	m.enough = true
	m.threads[i].at, m.threads[i].work = pausing, work
}

func (m *model) pause(i int) {
	t := &m.threads[i]
	resumed, work := t.resumed, t.work
	t.resumed, t.work = false, false
	do := m.ask(func(r *readRole) next {
		if resumed && r.holds(m.term(i)) {
			return carryOn
		}
		return r.pause(m.term(i))
	})
	switch {
	case do == carryOn && work:
		m.startWork(i)
	case do == carryOn:
		t.at = deliver
	case work:
		m.carryOut(do, i)
		m.startWork(i)
	default:
		m.carryOut(do, i)
		m.end(i)
	}
}

func (m *model) startWork(i int) {
	m.threads[i].at = working
	m.ask(func(r *readRole) next {
		if r.startWork(m.term(i)) {
			m.threads[i].at = toWork
		}
		return standDown
	})
}

func (m *model) endWork(i int) {
	if m.ask(func(r *readRole) next { return r.endWork(m.term(i)) }) == carryOn {
		m.threads[i].at = deliver
	} else {
		m.end(i)
	}
}

// recvSteps: bytes come, the end comes, or a millisecond goes by.
func (m *model) recvSteps(i int) {
	if m.kernel {
		for n := uint8(1); n <= 2; n++ {
			m.try(func(m *model) { m.kernel, m.buffer, m.threads[i].at = false, n, deliver }, "%d reads %d frames", i, int(n))
		}
	}
	if m.role.closed {
		m.try(func(m *model) { m.end(i) }, "%d reads the end", i)
		return
	}
	m.try(func(m *model) { m.park(i) }, "%d would block", i)
}

func (m *model) park(i int) {
	do := m.ask(func(r *readRole) next {
		if i < modelCallers && r.holds(m.term(i)) {
			m.joinLine(i)
		}
		return r.wouldBlock(m.term(i))
	})
	m.carryOut(do, i)
	if i < modelCallers {
		m.threads[i].at, m.threads[i].current = inLine, false
	} else {
		m.end(i)
	}
}

func TestRoleSearch(t *testing.T) {
	if raceEnabled {
		t.Skip("the search is one goroutine: the race detector has nothing to look at and takes long")
	}
	type origin struct {
		from int32
		step label
	}
	first := newWorld()
	first.role.term = 1
	seen := map[world]struct{}{first: {}}
	worlds, origins := []world{first}, []origin{{from: -1}}
	m := &model{}
	at := 0
	m.next = func(step label, w world) {
		if m.problem != "" {
			trace := []string{step.String()}
			for i := int32(at); i > 0; i = origins[i].from {
				trace = append(trace, origins[i].step.String())
			}
			slices.Reverse(trace)
			t.Fatalf("%s\nafter: %s\n%+v", m.problem, strings.Join(trace, "; "), w)
		}
		if _, known := seen[w]; !known {
			seen[w] = struct{}{}
			worlds, origins = append(worlds, w), append(origins, origin{int32(at), step})
		}
	}
	for ; at < len(worlds); at++ {
		m.world = worlds[at]
		m.steps()
		if len(worlds) > 1_000_000 {
			t.Fatal("the model is not finite or much larger than it was")
		}
	}
	t.Logf("%d states", len(worlds))
}
