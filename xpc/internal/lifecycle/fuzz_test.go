package lifecycle

import (
	"strings"
	"testing"
)

// FuzzMachine goes where the search's bounds end: long lives, with the same
// properties. Each byte picks one of the events that may come; bit 7 of the kind
// turns the model of the shell on.
func FuzzMachine(f *testing.F) {
	for k := byte(0); k < 4; k++ {
		f.Add(k, []byte{0, 4, 5, 5, 0, 0, 6, 7, 1, 3, 2, 9, 8, 5, 4})
		f.Add(k, []byte(strings.Repeat("\x00\x05\x04\x06\x07\x08\x09\x0a", 25)))
		f.Add(k|0x80, []byte(strings.Repeat("\x01\x04\x00\x05\x0b\x03\x0c\x00", 25)))
		f.Add(k, []byte("a connection that lives through whatever this text makes of it"))
	}
	f.Fuzz(func(t *testing.T, kind byte, choices []byte) {
		w := newWorld(Kind(kind%4), bounds{
			sends: 200, calls: 200, forgets: 200, barriers: 200, suspends: 200, replies: 200,
			received: 200, arrivals: 200, notices: 200, forged: 200, epochs: 250,
			cancel: len(choices)%2 == 0, gone: len(choices)%3 == 0, turnedAway: true,
		})
		w.shell.on = kind&0x80 != 0
		if w.shell.on {
			w.left.gone, w.left.turnedAway, w.left.forged = false, false, 0
		}
		live(t, w, choices[:min(len(choices), 240)])
	})
}

// live makes one step for each choice, and looks at one event that must not matter.
func live(t *testing.T, w *world, choices []byte) {
	var path []string
	var probe probeScratch
	var evs []Event
	var acts []action
	for i, c := range choices {
		acts = acts[:0]
		evs = w.enabled(evs[:0])
		for _, ev := range evs {
			acts = append(acts, action{ev: ev})
		}
		if acts = w.roles(acts); len(acts) == 0 {
			return
		}
		a := acts[int(c)%len(acts)]
		path = append(path, a.String())
		w.act(a)
		if evs = w.probes(evs[:0]); len(evs) > 0 && !w.shell.on {
			w.probe(evs[i*7%len(evs)], &probe)
		}
		if w.violation != "" {
			t.Fatalf("%s\npath:\n    %s", w.violation, strings.Join(path, "\n    "))
		}
	}
}

// FuzzAnything feeds events that no surroundings would produce: whatever comes,
// nothing panics, and handlers do not overlap.
func FuzzAnything(f *testing.F) {
	f.Add(byte(0), []byte{0, 1, 0, 4, 1, 1, 8, 0, 0, 11, 0, 1, 22, 0, 0})
	f.Add(byte(3), []byte{0, 0, 0, 8, 0, 0, 15, 0, 0, 6, 1, 0, 15, 0, 0})
	f.Fuzz(func(t *testing.T, kind byte, b []byte) {
		m, running := New(Kind(kind%4)), false
		for ; len(b) >= 3; b = b[3:] {
			ev := Event{Op: Op(b[0] % byte(BarrierDone+1)), ID: ID(b[1]), Epoch: Epoch(b[2] % 8), Call: b[1]%2 == 0}
			if ev.Op == HandlerDone {
				running = false
			}
			for _, e := range m.Step(ev) {
				if e.Do == Run && running {
					t.Fatalf("%v runs a handler while one runs", ev)
				}
				running = running || e.Do == Run
			}
		}
	})
}
