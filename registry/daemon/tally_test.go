package daemon

import (
	"syscall"
	"testing"
	"time"

	"github.com/openxpc/openxpc/registry"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// state waits until the job's process has ended, and says in which state the job is then.
func (s *served) state(why string) string {
	s.t.Helper()
	for {
		e := s.job("echo")
		if e.Get(bootstrap.KeyPID) == nil && e.Get(bootstrap.KeyStatus) != nil {
			return e.GetString(bootstrap.KeyState)
		}
		if s.ctx.Err() != nil {
			s.t.Fatalf("%s: its process does not end", why)
		}
	}
}

// The throttle, an hour, shows what the registry means to do next.
func TestAJobThatEndsWithOpenTransactions(t *testing.T) {
	const waits, rests = bootstrap.StateWaiting, bootstrap.StateNotRunning
	for _, tt := range []struct {
		why, role string
		pressured bool
		exits     bool // in the middle of a message; else it is killed
		want      string
	}{
		{"it was killed in the middle of a transaction of its own (R185)", "busy", true, false, waits},
		{"it ended in the middle of a message (R185)", "echo", true, true, waits},
		{"it was idle, and nothing is left to do", "echo", true, false, rests},
		{"only EnablePressuredExit asks for it (R185)", "busy", false, true, rests},
	} {
		t.Run(tt.why, func(t *testing.T) {
			j := transactional(t, tt.role)
			j.EnablePressuredExit, j.ThrottleInterval = tt.pressured, time.Hour
			var d *daemon
			s := serve(t, Options{Jobs: []*registry.Job{j}, started: func(of *daemon) { d = of }})
			c := s.connect("com.example.echo", 0)
			pid := c.pid("it serves")
			if tt.exits {
				c.ask("", "exit")
			} else {
				for busy := true; busy != (tt.role == "busy"); { // the answer comes before the end of its transaction
					d.do(func() error { busy = d.jobs["echo"].tally.busy(); return nil })
				}
				must(t, syscall.Kill(pid, syscall.SIGKILL))
			}
			if got := s.state(tt.why); got != tt.want {
				t.Errorf("the job is %s, want %s", got, tt.want)
			}
		})
	}
}

func TestAJobThatEndedBusyRunsAgain(t *testing.T) {
	j := transactional(t, "busy")
	j.EnablePressuredExit = true
	s := serve(t, Options{Jobs: []*registry.Job{j}, pace: time.Millisecond, exitTimeout: time.Millisecond})
	pid := s.connect("com.example.echo", 0).pid("it serves")
	must(t, syscall.Kill(pid, syscall.SIGKILL))
	for {
		e := s.job("echo")
		if now := int(e.GetInt64(bootstrap.KeyPID)); now != 0 && now != pid {
			return
		}
		if s.ctx.Err() != nil {
			t.Fatal("nobody waits for it, and it does not run again (R185)")
		}
	}
}

// A process may do what it likes with its tally: the registry reads it as idle.
func TestATallyThatIsCutShort(t *testing.T) {
	d := &daemon{}
	j := &job{}
	must(t, d.newTally(j))
	defer d.closeTally(j)
	_, err := j.tally.file.WriteAt([]byte{1, 1, 1, 1, 1, 1, 1, 1}, 0)
	must(t, err)
	if !j.tally.busy() {
		t.Error("what the process writes is what is read")
	}
	must(t, j.tally.file.Truncate(3))
	if j.tally.busy() {
		t.Error("three bytes are no count")
	}
}
