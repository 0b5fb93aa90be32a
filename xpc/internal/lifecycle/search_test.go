package lifecycle

import (
	"flag"
	"fmt"
	"strings"
	"testing"
)

var long = flag.Bool("long", false, "search with larger bounds, for some minutes")

// action is one event, or a move of a role of the shell.
type action struct {
	ev    Event
	drain int // carry out the effect at this place - 1
	write bool
}

func (a action) String() string {
	switch {
	case a.drain > 0:
		return fmt.Sprintf("(drainer carries out effect %d)", a.drain)
	case a.write:
		return "(writer writes)"
	}
	return a.ev.String()
}

// search visits every reachable state, nearest first, so that the first
// violation is one of the shortest.
type search struct {
	seen        map[string]struct{}
	steps       []searchStep // by state, in the order of discovery
	frontier    []*world
	transitions int
	probed      int

	scratch *world
	key     []byte
	evs     []Event
	acts    []action
	probe   probeScratch
}

type searchStep struct {
	from int32
	act  action
}

// run returns the violation and the path to it, or "".
func (s *search) run(w *world) (violation, path string) {
	s.seen, s.scratch = map[string]struct{}{}, &world{}
	s.add(w, -1, action{})
	for first := 0; len(s.frontier) > 0; {
		level := s.frontier
		s.frontier = nil
		for i, w := range level {
			if violation := s.expand(w, int32(first+i)); violation != "" {
				return violation, s.path(int32(first + i))
			}
		}
		first += len(level)
	}
	return "", ""
}

func (s *search) add(w *world, from int32, a action) {
	s.key = w.encode(s.key[:0])
	if _, ok := s.seen[string(s.key)]; ok {
		return
	}
	s.seen[string(s.key)] = struct{}{}
	s.steps = append(s.steps, searchStep{from, a})
	kept := &world{}
	w.copyTo(kept)
	s.frontier = append(s.frontier, kept)
}

func (s *search) expand(w *world, at int32) string {
	s.acts = s.acts[:0]
	s.evs = w.enabled(s.evs[:0])
	for _, ev := range s.evs {
		s.acts = append(s.acts, action{ev: ev})
	}
	s.acts = w.roles(s.acts)
	for _, a := range s.acts {
		s.transitions++
		w.copyTo(s.scratch)
		s.scratch.act(a)
		if s.scratch.violation != "" {
			return fmt.Sprintf("%s\nafter: %v\n    %v", s.scratch.violation, a, s.scratch.step)
		}
		s.add(s.scratch, at, a)
	}
	if w.shell.on {
		return ""
	}
	s.evs = w.probes(s.evs[:0])
	for _, ev := range s.evs {
		s.probed++
		if w.probe(ev, &s.probe); w.violation != "" {
			return w.violation
		}
	}
	return ""
}

func (w *world) act(a action) {
	switch {
	case a.drain > 0:
		w.drain(a.drain - 1)
	case a.write:
		w.write()
	default:
		w.apply(a.ev)
	}
}

func (s *search) path(at int32) string {
	var lines []string
	for ; s.steps[at].from >= 0; at = s.steps[at].from {
		lines = append(lines, s.steps[at].act.String())
	}
	var b strings.Builder
	for i := len(lines) - 1; i >= 0; i-- {
		fmt.Fprintf(&b, "    %s\n", lines[i])
	}
	return b.String()
}

func (s *search) check(t *testing.T, w *world) {
	t.Helper()
	if violation, path := s.run(w); violation != "" {
		t.Fatalf("%s\npath:\n%s", violation, path)
	}
	t.Logf("%d states, %d transitions, %d late or repeated events", len(s.steps), s.transitions, s.probed)
}

// scope is one corner of the space. Several small ones find what one large one
// would, and run at each save.
type scope struct {
	name string
	b    bounds
}

var scopes = []scope{
	{"order", bounds{sends: 2, barriers: 1, suspends: 1, epochs: 2, cancel: true, gone: true, turnedAway: true}},
	{"calls", bounds{calls: 3, forgets: 1, forged: 1, epochs: 2, cancel: true, gone: true}},
	{"epochs", bounds{calls: 2, forgets: 1, barriers: 1, epochs: 3, cancel: true, turnedAway: true}},
	{"delivery", bounds{sends: 1, received: 2, notices: 1, suspends: 1, replies: 1, epochs: 2, cancel: true}},
	{"peers", bounds{arrivals: 2, notices: 1, suspends: 1, barriers: 1, cancel: true, gone: true, epochs: 1}},
}

var longScopes = []scope{
	{"all", bounds{sends: 2, calls: 2, forgets: 1, barriers: 1, suspends: 1, received: 1, replies: 1, epochs: 3, cancel: true, gone: true}},
	{"four calls", bounds{calls: 4, forgets: 2, forged: 1, barriers: 1, suspends: 1, epochs: 3, cancel: true, turnedAway: true}},
	{"two of each", bounds{sends: 2, barriers: 2, suspends: 2, received: 2, replies: 2, notices: 1, epochs: 2, cancel: true, gone: true}},
	{"peers", bounds{arrivals: 3, notices: 2, suspends: 2, barriers: 2, cancel: true, gone: true, epochs: 1}},
}

// TestSearch checks P1 to P8 in every state that a connection and its
// surroundings can reach within bounds.
func TestSearch(t *testing.T) {
	chosen := scopes
	if *long {
		chosen = longScopes
	}
	for _, sc := range chosen {
		for k := Named; k <= Listener; k++ {
			t.Run(sc.name+"/"+k.String(), func(t *testing.T) {
				(&search{}).check(t, newWorld(k, sc.b))
			})
		}
	}
}
