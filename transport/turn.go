package transport

import (
	"sync"
	"time"
)

// quickWork is about what it costs to have another goroutine poll.
const quickWork = 50 * time.Microsecond

// polling says which goroutine polls: the one whose term is the present one. Between
// two looks that goroutine reads one of the connections that are ready itself: to start
// another wakes a thread, which costs more than most frames. What runs user code may
// take long, so the polling is lent to it, and another goroutine takes it over when a
// tick finds it lent still.
type polling struct {
	run func(*turn)

	mu   sync.Mutex // guards the rest
	term uint32
	lent bool
	lend spin      // as with looks, what lasted makes the next tries rarer
	live reading   // to be read before whoever polls looks again, and before
	over []reading // those whose peer has hung up
}

// reading is a connection with the term of the reading role that it is to be read in.
type reading struct {
	conn *Conn
	term uint32
}

// begin starts a goroutine that polls from now on.
func (p *polling) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pass()
}

// pass is begin with p.mu held.
func (p *polling) pass() {
	p.lent = false
	p.term++
	// Ends when the poller is closed, or another polls.
	go p.run(&turn{p: p, term: p.term})
}

// tick comes once, at least, after each lend.
func (p *polling) tick() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lent {
		p.pass()
	}
}

// turn is the term of a goroutine that polls, or has polled. Only that goroutine
// touches it; nil is the turn of one that never did, and the zero turn that of one which
// accepts beside it.
type turn struct {
	p     *polling
	term  uint32
	over  bool // another polls
	ended bool // what is reported is the end of a connection
	since time.Duration
	last  reading // of those that were accepted, where there is no p
}

func (t *turn) polls() bool { return t != nil && t.p != nil && !t.over }

// take has whoever polls read r when all is reported: those whose peer has hung up, and
// of the others the last.
func (t *turn) take(r reading) {
	p := t.p
	if p == nil {
		t.last.giveWayTo(r)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if t.ended {
		p.over = append(p.over, r)
		return
	}
	p.live.giveWayTo(r)
}

// giveWayTo leaves the one before to a goroutine of its own.
func (r *reading) giveWayTo(next reading) {
	if r.conn != nil {
		go r.conn.readAlone(r.term, nil) // ends as every reader
	}
	*r = next
}

// read reads what was taken, until the turn is over: then whose turn it is goes on.
func (t *turn) read() {
	for !t.over {
		r := t.p.next()
		if r.conn == nil {
			return
		}
		r.conn.readAlone(r.term, t)
	}
}

func (p *polling) next() (r reading) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch last := len(p.over) - 1; {
	case p.live.conn != nil:
		r, p.live = p.live, reading{}
	case last >= 0:
		r, p.over[last] = p.over[last], reading{}
		p.over = p.over[:last]
	}
	return r
}

// lend and takeBack enclose what may run user code.
func (t *turn) lend() {
	if !t.polls() {
		return
	}
	p := t.p
	p.mu.Lock()
	if p.lent = p.lend.worthwhile(); !p.lent {
		t.over = true
		p.pass()
	}
	p.mu.Unlock()
	if !t.over {
		t.since = time.Since(began)
		tickPolling(p)
	}
}

func (t *turn) takeBack() {
	if !t.polls() {
		return
	}
	p := t.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if t.over = p.term != t.term; !t.over {
		p.lent = false
	}
	p.lend.tried(!t.over && time.Since(began)-t.since < quickWork)
}
