package main

import (
	"errors"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain is also the program under test: servers and clients execute it. It
// counts goroutines and descriptors.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && (os.Args[1] == "serve" || os.Args[1] == "client") {
		if err := run(os.Args[1:]); err != nil {
			println(err.Error())
			os.Exit(1)
		}
		os.Exit(0)
	}
	before := descriptors()
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		println(err.Error())
		code = 1
	}
	if after := descriptors(); after != before && code == 0 {
		println("descriptors before and after the tests:", before, after)
		code = 1
	}
	os.Exit(code)
}

func descriptors() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0 // no such thing here
	}
	return len(entries)
}

// Every system does every work that it offers, in real processes.
func TestSystems(t *testing.T) {
	s, err := newSite()
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	for _, p := range peers {
		t.Run(p.key, func(t *testing.T) {
			r, err := launch(s, p)
			if skipped(err) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range plan {
				cmd := w.cmd
				cmd.ms = 1
				cmd.size = min(cmd.size, 1<<16) // the largest would take minutes with some
				checkWork(t, r, cmd)
			}
			if _, err := r.idle(4); err != nil && err.Error() != errNotOffered.Error() {
				t.Errorf("idle connections: %v", err)
			}
		})
	}
}

func checkWork(t *testing.T, r *running, cmd command) {
	t.Helper()
	o, err := r.once(cmd)
	if err != nil {
		if err.Error() != errNotOffered.Error() {
			t.Errorf("%v: %v", cmd, err)
		}
		return
	}
	if o.Calls < 1 {
		t.Errorf("%v: no call was made", cmd)
	}
	if timed := cmd.work == "rtt" || cmd.work == "connect"; timed && !(o.P50 > 0 && o.P50 <= o.P99) {
		t.Errorf("%v: p50 %v and p99 %v are not those of times", cmd, o.P50, o.P99)
	}
}

// failing answers wrong in some way.
type failing struct {
	reply []byte
	err   error
}

func (f failing) Call([]byte) ([]byte, error) { return f.reply, f.err }
func (failing) Close() error                  { return nil }

// A wrong reply must not be counted as a fast one.
func TestWrongRepliesAreErrors(t *testing.T) {
	broken := errors.New("broken")
	for name, c := range map[string]failing{"short reply": {reply: []byte("x")}, "no reply": {err: broken}} {
		tr := &tester{dial: func() (caller, error) { return c, nil }}
		for _, work := range []string{"rtt", "connect", "many", "async", "allocs", "open"} {
			if _, err := tr.carryOut(command{work, 64, 2, int(time.Second / time.Millisecond)}); err == nil {
				t.Errorf("%s: %s succeeded", name, work)
			}
		}
	}
}

// A client that dies is not asked again, and says why.
func TestBrokenClient(t *testing.T) {
	s, err := newSite()
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	r, err := launch(s, netGo)
	if err != nil {
		t.Fatal(err)
	}
	r.client.cmd.Process.Kill()
	for range 2 {
		if _, err := r.ask(command{"rtt", 64, 1, 1}); err == nil {
			t.Error("a dead client answered")
		}
	}
}
