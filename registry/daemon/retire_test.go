package daemon

import (
	"testing"
	"time"

	"github.com/openxpc/openxpc/registry"
	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// retirable is a registry with a job that may be ended while it is idle, and looks at
// it, as the registry does from time to time.
func retirable(t *testing.T, role string, o Options, change func(*registry.Job)) (s *served, look func() (turns uint64, asked bool)) {
	t.Helper()
	j := transactional(t, role)
	j.EnablePressuredExit, j.ThrottleInterval = true, time.Hour
	change(j)
	var d *daemon
	o.Jobs, o.started, o.exitTimeout = []*registry.Job{j}, func(of *daemon) { d = of }, time.Millisecond
	s = serve(t, o)
	return s, func() (turns uint64, asked bool) {
		d.do(func() error {
			if j := d.jobs["echo"]; j.proc != nil {
				d.lookWhetherIdle(j)
				turns, asked = j.proc.turns, j.proc.asking
			}
			return nil
		})
		return turns, asked
	}
}

func TestAnIdleJobEnds(t *testing.T) {
	s, look := retirable(t, "stubborn", Options{IdleExit: -1}, func(*registry.Job) {}) // SIGTERM would not end it
	c := s.connect("com.example.echo", 0)
	first := c.pid("it serves")
	for s.job("echo").Get(bootstrap.KeyPID) != nil {
		look()
	}
	c.wantEvent("who is connected is told", xpc.ErrConnectionInterrupted)
	if e := s.job("echo"); e.Get(bootstrap.KeyStatus) == nil || e.GetInt64(bootstrap.KeyStatus) != 0 {
		t.Errorf("to be ended while idle is a success (R188): %v", e)
	}
	if second := c.pid("who needs it next does not wait for the throttle, which is an hour (R188)"); second == first {
		t.Errorf("pid %d again", first)
	}
}

// A client may come when the process has been idle for as long, and is interrupted then.
func TestTheRegistryLooksByItself(t *testing.T) {
	s, _ := retirable(t, "stubborn", Options{IdleExit: 50 * time.Millisecond}, func(*registry.Job) {})
	c := s.connect("com.example.echo", 0)
	for _, err := c.ask("hello", ""); err != nil; _, err = c.ask("hello", "") {
		if s.ctx.Err() != nil {
			t.Fatal(err)
		}
	}
	s.state("it has been idle for long (R183)")
}

func TestWhoIsIdle(t *testing.T) {
	never := Options{IdleExit: -1}
	s, look := retirable(t, "echo", never, func(*registry.Job) {})
	c := s.connect("com.example.echo", 0)
	c.pid("it serves")
	first, asked := look()
	if asked || first < 2 {
		t.Errorf("%d turns, asked %v: it counts, and was busy since the registry looked last, which was never", first, asked)
	}
	c.pid("it serves")
	second, asked := look()
	if asked || second <= first {
		t.Errorf("%d turns, then %d, asked %v: it was busy between two looks", first, second, asked)
	}
	for !asked { // the answer comes before the end of its transaction
		if _, asked = look(); s.ctx.Err() != nil {
			t.Fatal("it is idle, and is never asked")
		}
	}
}

func TestWhoIsNotIdle(t *testing.T) {
	for _, tt := range []struct {
		why, role string
		change    func(*registry.Job)
	}{
		{"it is busy", "busy", func(*registry.Job) {}},
		{"it would be started again at once", "echo", func(j *registry.Job) {
			j.KeepAlive = &registry.KeepAlive{OtherJobEnabled: map[string]bool{"none": false}}
		}},
		{"it would never be started again", "echo", func(j *registry.Job) { j.LaunchOnlyOnce = true }},
		{"it does not count", "echo", func(j *registry.Job) {
			j.Program, j.Arguments = "env", []string{"env", "-u", bootstrap.EnvTally, j.Program}
		}},
	} {
		t.Run(tt.why, func(t *testing.T) {
			s, look := retirable(t, tt.role, Options{IdleExit: -1}, tt.change)
			s.connect("com.example.echo", 0).pid("it serves")
			for range 10 {
				if _, asked := look(); asked {
					t.Fatal("it is asked whether it is idle")
				}
			}
		})
	}
}
