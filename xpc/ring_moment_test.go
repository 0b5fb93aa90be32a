package xpc

import (
	"fmt"
	"testing"
)

// moment is where a connection stands when a life event happens.
type moment string

const (
	inactive  moment = "before activation"
	queued    moment = "queued sends"     // not activated; message m, request c and barrier b wait
	looking   moment = "looking up"       // activated; the registry has not answered; c waits
	dialing   moment = "dialing"          // message m, request c and barrier b wait for the socket
	idle      moment = "idle"             // greeted, nothing under way
	awaiting  moment = "awaiting a reply" // request c was sent
	handling  moment = "handler running"  // for the message hold; the message next waits behind it
	suspended moment = "suspended"        // m, c and b wait to be sent, the message next to be delivered
	probing   moment = "probing"          // the socket was lost while c waited, and the listener has not answered
	canceled  moment = "after cancel"     // INVALID was delivered
)

var moments = []moment{inactive, queued, looking, dialing, idle, awaiting, handling, suspended, probing, canceled}

// exists: an accepted peer is born with its socket, and only a name is looked up.
func (m moment) exists(k from) bool {
	switch m {
	case looking:
		return k == fromName
	case dialing:
		return k != fromListener
	case probing:
		return k == fromEndpoint
	}
	return true
}

// socket: there is one, which the other side can do something to.
func (m moment) socket(k from) bool {
	switch m {
	case inactive, queued:
		return k == fromListener
	case looking, dialing, probing, canceled:
		return false
	}
	return true
}

// reach brings a new connection to m; what was seen on the way is forgotten.
func (m moment) reach(r *ring) {
	switch m {
	case queued:
		r.sendThree()
	case looking:
		r.o.slowLookUp()
		r.c.Activate()
		r.call("c")
	case dialing:
		r.o.slowDial()
		r.c.Activate()
		r.sendThree()
	case inactive:
	default:
		r.open()
	}
	switch m {
	case awaiting:
		r.call("c")
	case handling:
		r.p().send("hold")
		r.p().send("next")
	case suspended:
		r.suspend()
		r.sendThree()
		r.p().send("next")
	case probing:
		r.call("c")
		settle()
		r.o.slowDial()
		r.p().close()
	case canceled:
		r.c.Cancel()
	}
	r.report()
}

func (r *ring) sendThree() {
	r.send("m")
	r.call("c")
	r.barrier("b")
}

// cell is what a life event at a moment means. Of now is what is seen at once,
// of later what is seen when the handler has returned and the origin has answered.
type cell struct {
	from  string // "named endpoint accepted", those that it holds for; "" is all
	when  moment
	now   string
	later string
	why   string
}

// lifeEvent is one file of the ring: what happens, and the cells.
type lifeEvent struct {
	does     func(*ring)
	onSocket bool   // it needs a socket
	only     string // origins that it is possible for; "" is all
	cells    []cell
}

func has(list string, k from) bool {
	if list == "" {
		return true
	}
	var a, b, c string
	fmt.Sscan(list, &a, &b, &c)
	return a == string(k) || b == string(k) || c == string(k)
}

func (e lifeEvent) cellsFor(k from, m moment) (found []cell) {
	for _, c := range e.cells {
		if c.when == m && has(c.from, k) {
			found = append(found, c)
		}
	}
	return found
}

// run tries the event at each moment of each origin, and fails where the table has
// a gap.
func (e lifeEvent) run(t *testing.T) {
	for _, m := range moments {
		for _, k := range everywhere {
			if !m.exists(k) || !has(e.only, k) || e.onSocket && !m.socket(k) {
				continue
			}
			cells := e.cellsFor(k, m)
			if len(cells) != 1 {
				t.Errorf("%s, %s: %d cells, want one", k, m, len(cells))
				continue
			}
			t.Run(string(m), func(t *testing.T) {
				bubble(t, k, func(t *testing.T, r *ring) {
					m.reach(r)
					e.does(r)
					r.want("at once: "+cells[0].why, cells[0].now)
					r.letGo()
					r.want("later: "+cells[0].why, cells[0].later)
				})
			})
		}
	}
}
