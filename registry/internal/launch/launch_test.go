package launch

import (
	"fmt"
	"slices"
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

// history is one life of a machine with a throttle of ten seconds.
type history struct {
	why    string
	m      Machine
	script []string
	want   string
}

func TestMachine(t *testing.T) {
	tests := []history{
		{
			why:    "a waiting client starts the job; while it runs, demand is the job's own business (R215)",
			script: []string{"0 demand", "0 started", "1 demand", "60 exited", "60 demand"},
			want: `0 demand -> start (starting)
0 started -> (running)
1 demand -> (running)
60 exited -> watch (idle)
60 demand -> start (starting)
`,
		}, {
			why:    "a crash loop starts no more often than every ten seconds, counted from start to start (R220)",
			script: []string{"0 demand", "0 started", "3 exited", "3 demand", "3 demand", "9 timer", "10 timer", "10 started", "10 exited", "10 demand", "20 timer"},
			want: `0 demand -> start (starting)
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
			why:    "a program that cannot be executed is no start: its clients are told, and the next one tries at once",
			script: []string{"0 demand", "0 failed", "1 demand", "1 started"},
			want: `0 demand -> start (starting)
0 failed -> refuse watch (idle)
1 demand -> start (starting)
1 started -> (running)
`,
		}, {
			why:    "no room for a process is no reason to refuse anybody (R226)",
			script: []string{"0 demand", "0 delayed", "1 timer", "1 started"},
			want: `0 demand -> start (starting)
0 delayed -> arm@1 (waiting)
1 timer -> start (starting)
1 started -> (running)
`,
		}, {
			why:    "unload gives a process five seconds",
			script: []string{"0 run", "0 started", "2 unload", "6 timer", "7 timer", "7 exited"},
			want: `0 run -> start (starting)
0 started -> (running)
2 unload -> terminate arm@7 (stopping)
6 timer -> (stopping)
7 timer -> kill arm@11 (killing)
7 exited -> disarm remove (gone)
`,
		}, {
			why:    "a process that not even SIGKILL ends is given up (R226)",
			script: []string{"0 run", "0 started", "0 unload", "5 timer", "9 timer", "50 exited"},
			want: `0 run -> start (starting)
0 started -> (running)
0 unload -> terminate arm@5 (stopping)
5 timer -> kill arm@9 (killing)
9 timer -> remove (gone)
50 exited -> (gone)
`,
		}, {
			why:    "unload while a client waits forgets the timer",
			script: []string{"0 demand", "0 started", "1 exited", "1 demand", "2 unload", "10 timer"},
			want: `0 demand -> start (starting)
0 started -> (running)
1 exited -> watch (idle)
1 demand -> arm@10 (waiting)
2 unload -> disarm remove (gone)
10 timer -> (gone)
`,
		}, {
			why:    "unload in the middle of a start",
			script: []string{"0 demand", "0 unload", "0 started", "1 exited"},
			want: `0 demand -> start (starting)
0 unload -> (starting)
0 started -> terminate arm@5 (stopping)
1 exited -> disarm remove (gone)
`,
		},
	}
	for _, tt := range slices.Concat(tests, wantedTests, kickedTests) {
		m := tt.m
		m.Throttle = 10 * time.Second
		if diff := cmp.Diff(tt.want, tell(&m, tt.script...)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.why, diff)
		}
	}
}

// kickedTests are those of kickstart, which no throttle holds back.
var kickedTests = []history{
	{
		why:    "kickstart starts what does not run, also while the throttle holds it back",
		script: []string{"0 kick", "0 started", "1 kick", "3 exited", "4 demand", "5 kick", "5 started"},
		want: `0 kick -> start (starting)
0 started -> (running)
1 kick -> (running)
3 exited -> watch (idle)
4 demand -> arm@10 (waiting)
5 kick -> disarm start (starting)
5 started -> (running)
`,
	}, {
		why:    "with -k the process ends first, and has the time for it that every process has",
		script: []string{"0 demand", "0 started", "2 restart", "3 demand", "7 timer", "8 exited", "8 started", "9 exited", "9 restart"},
		want: `0 demand -> start (starting)
0 started -> (running)
2 restart -> terminate arm@7 (stopping)
3 demand -> (stopping)
7 timer -> kill arm@11 (killing)
8 exited -> disarm watch start (starting)
8 started -> (running)
9 exited -> watch (idle)
9 restart -> start (starting)
`,
	}, {
		why:    "an unload while it ends is the last word",
		script: []string{"0 run", "0 started", "2 restart", "3 unload", "4 exited"},
		want: `0 run -> start (starting)
0 started -> (running)
2 restart -> terminate arm@7 (stopping)
3 unload -> (stopping)
4 exited -> disarm remove (gone)
`,
	}, {
		why:    "no room for the process delays a kickstart too",
		script: []string{"0 kick", "0 delayed", "1 timer"},
		want: `0 kick -> start (starting)
0 delayed -> arm@1 (waiting)
1 timer -> start (starting)
`,
	}, {
		why:    "a process that was ended because it was idle is missed by nobody: who needs it next does not wait (R188)",
		script: []string{"0 demand", "0 started", "2 retired", "3 demand", "3 started", "4 exited", "4 demand"},
		want: `0 demand -> start (starting)
0 started -> (running)
2 retired -> watch (idle)
3 demand -> start (starting)
3 started -> (running)
4 exited -> watch (idle)
4 demand -> arm@13 (waiting)
`,
	}, {
		why:    "a job that is launched only once is gone then",
		m:      Machine{Once: true},
		script: []string{"0 run", "0 started", "1 restart", "2 exited"},
		want: `0 run -> start (starting)
0 started -> (running)
1 restart -> terminate arm@6 (stopping)
2 exited -> disarm remove (gone)
`,
	},
}

// wantedTests are those of KeepAlive and of the keys about the end (R218, R219, R221, R223).
var wantedTests = []history{
	{
		why:    "a job that is kept running starts again by itself, with the throttle between starts",
		script: []string{"0 want", "0 started", "3 exited", "10 timer", "10 started", "60 exited"},
		want: `0 want -> start (starting)
0 started -> (running)
3 exited -> watch arm@10 (waiting)
10 timer -> start (starting)
10 started -> (running)
60 exited -> watch start (starting)
`,
	}, {
		why:    "what runs goes on when no condition holds any longer, and is not started again",
		script: []string{"0 want", "0 started", "1 unwant", "3 exited", "30 demand"},
		want: `0 want -> start (starting)
0 started -> (running)
1 unwant -> (running)
3 exited -> watch (idle)
30 demand -> start (starting)
`,
	}, {
		why:    "a start that nobody waits for any longer is forgotten",
		script: []string{"0 want", "0 started", "3 exited", "5 unwant", "10 timer"},
		want: `0 want -> start (starting)
0 started -> (running)
3 exited -> watch arm@10 (waiting)
5 unwant -> disarm watch (idle)
10 timer -> (idle)
`,
	}, {
		why:    "but not one that a client waits for",
		script: []string{"0 want", "0 started", "3 exited", "4 demand", "5 unwant", "10 timer"},
		want: `0 want -> start (starting)
0 started -> (running)
3 exited -> watch arm@10 (waiting)
4 demand -> (waiting)
5 unwant -> (waiting)
10 timer -> start (starting)
`,
	}, {
		why:    "a program that cannot be executed is tried again when the throttle is over, and at once for a client",
		script: []string{"0 want", "0 failed", "10 timer", "10 failed", "12 demand", "12 started"},
		want: `0 want -> start (starting)
0 failed -> refuse watch arm@10 (waiting)
10 timer -> start (starting)
10 failed -> refuse watch arm@20 (waiting)
12 demand -> disarm start (starting)
12 started -> (running)
`,
	}, {
		why:    "a failure that is known only when there is a process is one all the same",
		script: []string{"0 demand", "0 started", "1 failed", "2 demand"},
		want: `0 demand -> start (starting)
0 started -> (running)
1 failed -> refuse watch (idle)
2 demand -> start (starting)
`,
	}, {
		why:    "a timer starts a job once; while it runs the time passes by",
		script: []string{"0 run", "0 started", "30 run", "40 exited", "60 run"},
		want: `0 run -> start (starting)
0 started -> (running)
30 run -> (running)
40 exited -> watch (idle)
60 run -> start (starting)
`,
	}, {
		why:    "a job that is launched only once is gone when it ends (R223)",
		m:      Machine{Once: true},
		script: []string{"0 demand", "0 started", "1 exited", "20 demand"},
		want: `0 demand -> start (starting)
0 started -> (running)
1 exited -> remove (gone)
20 demand -> (gone)
`,
	}, {
		why:    "a failure is no launch: the next client may still have the one",
		m:      Machine{Once: true},
		script: []string{"0 demand", "0 failed", "1 demand"},
		want: `0 demand -> start (starting)
0 failed -> refuse watch (idle)
1 demand -> start (starting)
`,
	}, {
		why:    "unload gives a process the time that its file says (R221)",
		m:      Machine{ExitTimeout: 20 * time.Second},
		script: []string{"0 run", "0 started", "0 unload", "19 timer", "20 timer"},
		want: `0 run -> start (starting)
0 started -> (running)
0 unload -> terminate arm@20 (stopping)
19 timer -> (stopping)
20 timer -> kill arm@24 (killing)
`,
	}, {
		why:    "and for ever, if it says so (R221)",
		m:      Machine{ExitTimeout: -1},
		script: []string{"0 run", "0 started", "0 unload", "1000 timer", "2000 exited"},
		want: `0 run -> start (starting)
0 started -> (running)
0 unload -> terminate (stopping)
1000 timer -> (stopping)
2000 exited -> remove (gone)
`,
	},
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
	wanted   bool
	ended    int // processes that have ended, counted for a job that has only one
}

// TestEveryHistory walks every history of events a few seconds long, time
// included, and checks after each step what must hold always.
func TestEveryHistory(t *testing.T) {
	for name, m := range map[string]Machine{
		"plain":   {Throttle: 3 * time.Second},
		"once":    {Throttle: 3 * time.Second, Once: true},
		"patient": {ExitTimeout: -1},
	} {
		t.Run(name, func(t *testing.T) { everyHistory(t, m) })
	}
}

func everyHistory(t *testing.T, m Machine) {
	begin := world{m: m, watching: true, armed: -1}
	seen := map[world]bool{begin: true}
	for queue := []world{begin}; len(queue) > 0; queue = queue[1:] {
		for _, meanwhile := range []Event{Run, Started, Exited} {
			next := queue[0]
			if meanwhile != Run && !next.possible(meanwhile) {
				continue
			}
			next.removed = false // the daemon may have ended before it did so
			if err := next.restart(meanwhile); err != nil {
				t.Fatalf("from %+v, the daemon is restarted (meanwhile: %v): %v", queue[0], meanwhile, err)
			}
			if !seen[next] {
				seen[next] = true
				queue = append(queue, next)
			}
		}
		for ev := Run; ev <= Unload; ev++ {
			for _, wait := range []time.Duration{0, time.Second} {
				next := queue[0]
				next.now += wait
				if next.now > 12*time.Second || !next.possible(ev) {
					continue
				}
				if err := next.step(ev); err != nil {
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
	t.Logf("%d states", len(seen))
}

// possible leaves out what a daemon cannot report: the exit of no process, the
// outcome of no start.
func (w *world) possible(ev Event) bool {
	switch ev {
	case Started, Delayed:
		return w.starting
	case Failed:
		return w.starting || w.process
	case Exited:
		return w.process
	}
	return true
}

func (w *world) step(ev Event) error {
	switch ev {
	case Want, Unwant:
		w.wanted = ev == Want
	case Started:
		if w.ran && w.now < w.last+w.m.Throttle {
			return fmt.Errorf("started again after %v", w.now-w.last)
		}
		if w.m.Once && w.ended > 0 {
			return fmt.Errorf("started for a second time")
		}
		w.process, w.starting, w.ran, w.last = true, false, true, w.now
	case Failed:
		if w.process {
			w.ran = false
		}
		w.process, w.starting = false, false
	case Delayed:
		w.starting = false
	case Exited:
		w.process = false
		w.ended = 1
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

// restart is what another daemon does with what this one has left. Meanwhile the process
// that was being started has Started, or the one that ran has Exited; Run is neither.
func (w *world) restart(meanwhile Event) error {
	left := w.m.Memory()
	w.m = Machine{Throttle: w.m.Throttle, ExitTimeout: w.m.ExitTimeout, Pace: w.m.Pace, Once: w.m.Once}
	w.armed, w.starting = -1, false
	switch meanwhile {
	case Started:
		w.process, w.ran, w.last = true, true, w.now
	case Exited:
		w.process = false
	}
	for _, e := range w.m.Resume(left, w.process, w.now) {
		if err := w.carryOut(e); err != nil {
			return err
		}
	}
	if meanwhile == Exited {
		return w.step(Exited)
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
		if w.armed < 0 {
			return fmt.Errorf("there is no timer to forget")
		}
		w.armed = -1
	case Terminate, Kill:
		if e.Kind == Kill && w.m.ExitTimeout < 0 {
			return fmt.Errorf("it may take as long as it likes")
		}
		if !w.process {
			return fmt.Errorf("%v without a process", e.Kind)
		}
	case Remove:
		w.removed = true
	}
	return nil
}

// settled says that a client who comes now is noticed: the names are watched,
// or a start, a timer or a process will see to it; and that a wanted job is on its way.
func (w *world) settled() error {
	if !w.watching && !w.starting && !w.process && w.armed < 0 && !w.removed {
		return fmt.Errorf("nobody looks after the names")
	}
	if w.wanted && w.m.State() == Idle {
		return fmt.Errorf("a job that is to be kept running is left alone")
	}
	if w.removed && w.armed >= 0 {
		return fmt.Errorf("a timer outlives the job")
	}
	if w.removed != (w.m.State() == Gone) {
		return fmt.Errorf("removed %v in state %v", w.removed, w.m.State())
	}
	return nil
}
