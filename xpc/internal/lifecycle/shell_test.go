package lifecycle

import (
	"slices"
	"testing"
)

// shellModel is how a shell carries effects out beside the steps of others: a
// queue filled under its lock, one drainer, and one writer behind an outbox.
// Steps of any goroutine may come between any two effects. Run alone is carried
// out at once, by the goroutine whose Begin it answers.
type shellModel struct {
	on, unordered bool
	queue         []Effect
	outbox        []Effect // Write, and Flush as a mark
	probe         Epoch
}

func (s *shellModel) push(ev Event, e Effect) {
	s.queue = append(s.queue, e)
	if e.Do == Dial && ev.Op == Lost {
		s.probe = e.Epoch
	}
}

// roles is what the drainer and the writer may do next.
func (w *world) roles(acts []action) []action {
	for i := range w.shell.queue {
		if i == 0 || w.shell.unordered {
			acts = append(acts, action{drain: i + 1})
		}
	}
	if len(w.shell.outbox) > 0 && w.shell.outbox[0].Do == Write {
		acts = append(acts, action{write: true})
	}
	return acts
}

func (w *world) drain(i int) {
	e := w.shell.queue[i]
	w.shell.queue = slices.Delete(w.shell.queue, i, i+1)
	w.effect(Event{}, e)
	w.settled(Event{})
}

// write is what P5 and P8 are about: the moment when a message leaves.
func (w *world) write() {
	e := w.shell.outbox[0]
	w.shell.outbox = slices.Delete(w.shell.outbox, 0, 1)
	w.outgoing(e.ID).state = onWire
	for _, o := range w.out {
		if o.state == barrierRunning {
			w.fail("P8: %d leaves while a barrier runs", e.ID)
		}
	}
	w.settled(Event{})
}

// flushReached reports whether the writer has come to the mark of a barrier.
func (w *world) flushReached(id ID) bool {
	if !w.shell.on {
		return true
	}
	return len(w.shell.outbox) > 0 && w.shell.outbox[0].Do == Flush && w.shell.outbox[0].ID == id
}

// purge is the writer's part of Close: what has not left is freed.
func (w *world) purge(e Epoch) {
	w.shell.outbox = slices.DeleteFunc(w.shell.outbox, func(x Effect) bool {
		if x.Epoch != e {
			return false
		}
		if x.Do == Write {
			w.outgoing(x.ID).state = onWire
		}
		return true
	})
}

var shellScopes = []scope{
	{"order", bounds{sends: 2, barriers: 1, epochs: 2, cancel: true}},
	{"calls", bounds{calls: 1, sends: 1, forgets: 1, received: 1, epochs: 2, cancel: true}},
	{"delivery", bounds{sends: 1, received: 1, replies: 1, suspends: 1, barriers: 1, epochs: 1, cancel: true}},
}

func shellWorld(k Kind, b bounds, unordered bool) *world {
	w := newWorld(k, b)
	w.shell.on, w.shell.unordered = true, unordered
	return w
}

// TestShell checks that the properties survive a shell: effects are carried out
// later, by a drainer and a writer, while others make steps.
func TestShell(t *testing.T) {
	for _, sc := range shellScopes {
		for k := Named; k <= Accepted; k++ {
			t.Run(sc.name+"/"+k.String(), func(t *testing.T) {
				(&search{}).check(t, shellWorld(k, sc.b, false))
			})
		}
	}
}

// TestShellNeedsItsQueue shows that the model sees the races of a shell: where
// everybody carries out his own effects after unlocking, order is lost.
func TestShellNeedsItsQueue(t *testing.T) {
	for k := Named; k <= Accepted; k++ {
		violation, path := (&search{}).run(shellWorld(k, shellScopes[0].b, true))
		if violation == "" {
			t.Errorf("%v: a shell without a queue passes the search", k)
		}
		t.Logf("%v: %s\npath:\n%s", k, violation, path)
	}
}
