package transport

// readRole decides who reads a connection. It is pure: no lock, clock or I/O; the
// Conn's mutex guards it and conn.go carries out what it answers.
//
//	nobody --ready/join--> reader or caller --wouldBlock/leave--> nobody
//	reader or caller, busy --join/tick--> another (the old holder finds its term over)
//
// A term is the number of one tenure. Whoever was replaced while busy learns it
// by comparing its term; only the present holder touches the read buffer.
type readRole struct {
	holder  holder
	busy    bool // the holder runs the receiver's work: the role may be taken from it
	armed   bool // the poller will report readiness once
	paused  bool // the receiver has enough: nobody reads but callers
	closed  bool // terminal
	hungUp  bool // the peer sends no more: what is left is read, also by a receiver that had enough
	ticking bool // the ticker looks at this connection
	moved   bool // the role was taken or its holder's work began since the last tick
	began   bool // work began since the last tick, of whoever
	term    uint32
	waiting int // callers in line for a reply, none of them reading
}

type holder uint8

const (
	nobody holder = iota
	reader        // a goroutine of its own, runs the receiver's work
	caller        // a Wait that reads until its reply comes; never runs work
)

// next is what the goroutine that asked must do.
type next uint8

const (
	carryOn    next = iota // keep the role and go on
	standDown              // the role is gone or nobody needs it: return
	startOne               // start a reader with the present term, then return
	handToNext             // the first waiting caller holds the role now: wake it, then return
	armPoller              // arm the poller, then return
	armAndTick             // the same, and start the ticker
)

func (r *readRole) take(h holder) uint32 {
	r.holder, r.busy, r.moved = h, false, true
	r.term++
	return r.term
}

// ready: the poller found the connection readable.
func (r *readRole) ready() next {
	r.armed = false
	switch {
	case r.closed || r.holder != nobody:
		return standDown
	case !r.paused:
		r.take(reader)
		return startOne
	case r.waiting > 0:
		return r.handOver()
	}
	return standDown
}

// join: a caller wants its reply. It reads if nobody does or the holder is busy, else it waits in line.
func (r *readRole) join() (term uint32, reads bool) {
	if r.holder != nobody && !r.busy {
		r.waiting++
		return 0, false
	}
	return r.take(caller), true
}

// holds says whether term is the present one.
func (r *readRole) holds(term uint32) bool { return r.term == term && r.holder != nobody && !r.closed }

// startWork and endWork enclose the receiver's work, also that of who has given the role up.
func (r *readRole) startWork(term uint32) (tick bool) {
	if r.holds(term) {
		r.busy, r.moved = true, true
	}
	r.began = true
	tick = !r.ticking
	r.ticking = true
	return tick
}

func (r *readRole) endWork(term uint32) next {
	if !r.holds(term) {
		return standDown
	}
	r.busy = false
	return carryOn
}

// beforeBlocking: the holder has delivered all it had. repliesOnly says that
// everything since it last blocked was a reply to a waiting caller, so the next
// to read is most likely the next caller.
func (r *readRole) beforeBlocking(term uint32, repliesOnly bool) next {
	switch {
	case !r.holds(term):
		return standDown
	case r.holder == caller:
		return carryOn
	case r.waiting == 1:
		return r.handOver()
	case r.waiting == 0 && repliesOnly:
		return r.rest()
	}
	return carryOn
}

// leave: a caller has its reply, or gave up. left says that frames remain in the read buffer.
func (r *readRole) leave(term uint32, left bool) next {
	switch {
	case !r.holds(term):
		return standDown
	case !r.paused && (left || r.waiting > 1):
		r.take(reader)
		return startOne
	case r.waiting > 0:
		return r.handOver()
	}
	return r.rest()
}

func (r *readRole) handOver() next {
	r.waiting--
	r.take(caller)
	return handToNext
}

// start: a reader begins, because the first frames are most likely there already.
func (r *readRole) start() next {
	if r.closed {
		return standDown
	}
	r.take(reader)
	return startOne
}

// startFirst is start, unless somebody has read already.
func (r *readRole) startFirst() next {
	if r.term > 0 {
		return standDown
	}
	return r.start()
}

// rest: nobody reads. Between the calls of a busy caller the poller is left
// alone: the ticker arms it when a whole tick went by without a new term.
func (r *readRole) rest() next {
	r.holder = nobody
	if r.armed || r.ticking || r.paused {
		return standDown
	}
	r.armed, r.ticking = true, true
	return armAndTick
}

// wouldBlock: nothing came for a while. The holder parks the connection; a caller then waits in line.
func (r *readRole) wouldBlock(term uint32) next {
	if !r.holds(term) {
		return standDown
	}
	if r.holder == caller {
		r.waiting++
	}
	r.holder = nobody
	if r.armed || r.paused && r.waiting == 0 {
		return standDown
	}
	r.armed = true
	return armPoller
}

// quit: a caller in line goes away, served or not.
func (r *readRole) quit() { r.waiting-- }

// pause: the receiver has enough. A caller reads on: its reply may be behind.
func (r *readRole) pause(term uint32) next {
	if !r.holds(term) {
		return standDown
	}
	if r.hungUp {
		return carryOn
	}
	r.paused = true
	switch {
	case r.holder == caller:
		return carryOn
	case r.waiting > 0:
		return r.handOver()
	}
	r.holder = nobody
	return standDown
}

// resume undoes pause.
func (r *readRole) resume() next {
	if !r.paused || r.closed {
		return standDown
	}
	r.paused = false
	if r.holder != nobody {
		return standDown
	}
	r.take(reader)
	return startOne
}

// hangUp: the end must not wait for the receiver to have room.
func (r *readRole) hangUp() next {
	r.hungUp = true
	return r.resume()
}

// blind: nobody will notice the end unless the poller tells it.
func (r *readRole) blind() bool { return r.paused && r.holder == nobody && !r.closed }

// tick, about once a millisecond while the connection is in use. Work that
// outlasts a tick loses the role to a new reader; a connection that rested for
// a whole tick is armed. keep says whether to be ticked again.
func (r *readRole) tick() (do next, keep bool) {
	moved := r.moved
	r.moved, r.began = false, false
	switch {
	case r.closed, r.holder == nobody && (r.armed || r.paused):
	case moved:
		return standDown, true
	case r.holder == nobody:
		r.ticking, r.armed = false, true
		return armPoller, false
	case r.busy:
		r.take(reader)
		return startOne, true
	}
	r.ticking = false
	return standDown, false
}

// close ends every term.
func (r *readRole) close() {
	r.closed, r.holder, r.armed = true, nobody, false
	r.term++
}
