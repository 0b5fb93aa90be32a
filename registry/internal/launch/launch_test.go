package launch

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/openxpc/openxpc/integration/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// tell plays "second event" lines and writes down effects and state.
func tell(m *Machine, script ...string) string {
	var out strings.Builder
	for _, line := range script {
		var at int
		var name string
		fmt.Sscan(line, &at, &name)
		fmt.Fprintf(&out, "%s ->", line)
		for _, e := range m.Step(time.Duration(at)*time.Second, eventNamed(name)) {
			fmt.Fprintf(&out, " %v", e.Kind)
			if e.Kind == Arm {
				fmt.Fprintf(&out, "@%d", e.At/time.Second)
			}
		}
		fmt.Fprintf(&out, " (%v)\n", m.State())
	}
	return out.String()
}

func eventNamed(name string) Event {
	for i, n := range eventNames {
		if n == name {
			return Event(i)
		}
	}
	panic("no such event: " + name)
}

func TestMachine(t *testing.T) {
	tests := []struct {
		why    string
		script []string
		want   string
	}{
		{
			"a waiting client starts the job; while it runs, demand is the job's own business (R215)",
			[]string{"0 demand", "0 started", "1 demand", "60 exited", "60 demand"},
			`0 demand -> start (starting)
0 started -> (running)
1 demand -> (running)
60 exited -> watch (idle)
60 demand -> start (starting)
`,
		}, {
			"a crash loop starts no more often than every ten seconds, counted from start to start (R220)",
			[]string{"0 demand", "0 started", "3 exited", "3 demand", "3 demand", "9 timer", "10 timer", "10 started", "10 exited", "10 demand", "20 timer"},
			`0 demand -> start (starting)
0 started -> (running)
3 exited -> watch (idle)
3 demand -> arm@10 (waiting)
3 demand -> (waiting)
9 timer -> (waiting)
10 timer -> start (starting)
10 started -> (running)
10 exited -> watch (idle)
10 demand -> arm@20 (waiting)
20 timer -> start (starting)
`,
		}, {
			"a program that cannot be executed is no start: its clients are told, and the next one tries at once",
			[]string{"0 demand", "0 failed", "1 demand", "1 started"},
			`0 demand -> start (starting)
0 failed -> refuse watch (idle)
1 demand -> start (starting)
1 started -> (running)
`,
		}, {
			"no room for a process is no reason to refuse anybody (R226)",
			[]string{"0 demand", "0 delayed", "1 timer", "1 started"},
			`0 demand -> start (starting)
0 delayed -> arm@1 (waiting)
1 timer -> start (starting)
1 started -> (running)
`,
		}, {
			"unload gives a process five seconds",
			[]string{"0 load", "0 started", "2 unload", "6 timer", "7 timer", "7 exited"},
			`0 load -> start (starting)
0 started -> (running)
2 unload -> terminate arm@7 (stopping)
6 timer -> (stopping)
7 timer -> kill arm@11 (killing)
7 exited -> disarm remove (gone)
`,
		}, {
			"a process that not even SIGKILL ends is given up (R226)",
			[]string{"0 load", "0 started", "0 unload", "5 timer", "9 timer", "50 exited"},
			`0 load -> start (starting)
0 started -> (running)
0 unload -> terminate arm@5 (stopping)
5 timer -> kill arm@9 (killing)
9 timer -> remove (gone)
50 exited -> (gone)
`,
		}, {
			"unload while a client waits forgets the timer",
			[]string{"0 demand", "0 started", "1 exited", "1 demand", "2 unload", "10 timer"},
			`0 demand -> start (starting)
0 started -> (running)
1 exited -> watch (idle)
1 demand -> arm@10 (waiting)
2 unload -> disarm remove (gone)
10 timer -> (gone)
`,
		}, {
			"unload in the middle of a start",
			[]string{"0 demand", "0 unload", "0 started", "1 exited"},
			`0 demand -> start (starting)
0 unload -> (starting)
0 started -> terminate arm@5 (stopping)
1 exited -> disarm remove (gone)
`,
		},
	}
	for _, tt := range tests {
		m := Machine{Throttle: 10 * time.Second}
		if diff := cmp.Diff(tt.want, tell(&m, tt.script...)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.why, diff)
		}
	}
}

// world is a machine with what a daemon around it would know. It is comparable,
// so that the search below can tell where it has been.
type world struct {
	m        Machine
	now      time.Duration
	process  bool // runs
	starting bool // Start is being carried out
	armed    time.Duration
	ran      bool
	last     time.Duration
	removed  bool
	watching bool
}

// TestEveryHistory walks every history of events a few seconds long, time
// included, and checks after each step what must hold always.
func TestEveryHistory(t *testing.T) {
	const throttle = 3 * time.Second
	begin := world{m: Machine{Throttle: throttle}, watching: true, armed: -1}
	seen := map[world]bool{begin: true}
	for queue := []world{begin}; len(queue) > 0; queue = queue[1:] {
		for ev := Load; ev <= Unload; ev++ {
			for _, wait := range []time.Duration{0, time.Second} {
				next := queue[0]
				next.now += wait
				if next.now > 16*time.Second || !next.possible(ev) {
					continue
				}
				if err := next.step(ev, throttle); err != nil {
					t.Fatalf("from %+v, %v: %v", queue[0], ev, err)
				}
				if !seen[next] {
					seen[next] = true
					queue = append(queue, next)
				}
			}
		}
	}
	if len(seen) < 100 {
		t.Errorf("the search saw %d states only; it has stopped looking", len(seen))
	}
}

// possible leaves out what a daemon cannot report: the exit of no process, the
// outcome of no start.
func (w *world) possible(ev Event) bool {
	switch ev {
	case Started, Failed, Delayed:
		return w.starting
	case Exited:
		return w.process
	}
	return true
}

func (w *world) step(ev Event, throttle time.Duration) error {
	switch ev {
	case Started:
		if w.ran && w.now < w.last+throttle {
			return fmt.Errorf("started again after %v", w.now-w.last)
		}
		w.process, w.starting, w.ran, w.last = true, false, true, w.now
	case Failed, Delayed:
		w.starting = false
	case Exited:
		w.process = false
	case Timer:
		if w.armed >= 0 && w.now >= w.armed {
			w.armed = -1
		}
	}
	for _, e := range w.m.Step(w.now, ev) {
		if err := w.carryOut(e); err != nil {
			return err
		}
	}
	return w.settled()
}

func (w *world) carryOut(e Effect) error {
	if w.removed {
		return fmt.Errorf("%v after the job was removed", e.Kind)
	}
	switch e.Kind {
	case Start:
		if w.process || w.starting {
			return fmt.Errorf("a second process")
		}
		w.starting, w.watching = true, false
	case Refuse:
		if w.process || w.starting {
			return fmt.Errorf("clients are refused that the process could serve")
		}
	case Watch:
		w.watching = true
	case Arm:
		if w.armed >= 0 {
			return fmt.Errorf("a second timer")
		}
		w.armed, w.watching = e.At, false
	case Disarm:
		w.armed = -1
	case Terminate, Kill:
		if !w.process {
			return fmt.Errorf("%v without a process", e.Kind)
		}
	case Remove:
		w.removed = true
	}
	return nil
}

// settled says that a client who comes now is noticed: the names are watched,
// or a start, a timer or a process will see to it.
func (w *world) settled() error {
	if !w.watching && !w.starting && !w.process && w.armed < 0 && !w.removed {
		return fmt.Errorf("nobody looks after the names")
	}
	if w.removed && w.armed >= 0 {
		return fmt.Errorf("a timer outlives the job")
	}
	if w.removed != (w.m.State() == Gone) {
		return fmt.Errorf("removed %v in state %v", w.removed, w.m.State())
	}
	return nil
}
