package daemon

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/openxpc/openxpc/registry"
	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

func TestLaunchOnDemand(t *testing.T) {
	s := serve(t, Options{Jobs: []*registry.Job{service(t, "echo", "echo", nil)}})
	if e := s.job("echo"); e.GetString(bootstrap.KeyState) != bootstrap.StateNotRunning || e.Get(bootstrap.KeyPID) != nil {
		t.Fatalf("nobody needs it yet: %v", e)
	}
	c := s.connect("com.example.echo", 0)
	if e := s.job("echo"); e.Get(bootstrap.KeyPID) != nil {
		t.Errorf("a connection that sent nothing launches nothing (R54): %v", e)
	}
	pid := c.pid("the first message launches the job, and waits for it (T36)")
	if e := s.job("echo"); int(e.GetInt64(bootstrap.KeyPID)) != pid || e.GetString(bootstrap.KeyState) != bootstrap.StateRunning {
		t.Errorf("the job runs as pid %d: %v", pid, e)
	}
	if other := s.connect("com.example.echo", 0).pid("a second client"); other != pid {
		t.Errorf("one process serves everybody: %d and %d", pid, other)
	}
	if got := c.PID(); got != pid {
		t.Errorf("the client's peer is the job, pid %d, not %d", pid, got)
	}
}

func TestCrashAndRelaunch(t *testing.T) {
	s := serve(t, Options{Jobs: []*registry.Job{service(t, "echo", "echo", nil)}})
	c := s.connect("com.example.echo", 0)
	first := c.pid("first")
	pending := make(chan error, 1)
	go func() {
		_, err := c.ask("", "hang")
		pending <- err
	}()
	// A second client's answer shows that the service reads; the hanging request
	// may be before or after it, and gets the same error either way.
	s.connect("com.example.echo", 0).pid("second client")
	must(t, syscall.Kill(first, syscall.SIGKILL))
	if err := <-pending; !errors.Is(err, xpc.ErrConnectionInterrupted) {
		t.Errorf("who waits for a reply is told (T16): got %v", err)
	}
	c.wantEvent("who holds a connection is told once (T16)", xpc.ErrConnectionInterrupted)
	second := c.pid("the next message launches it again (R121)")
	if second == first {
		t.Errorf("pid %d again", first)
	}
	if e := s.job("echo"); e.GetInt64(bootstrap.KeyStatus) != -int64(syscall.SIGKILL) {
		t.Errorf("the last exit was by signal: %v", e)
	}
	_, err := c.ask("", "exit")
	if !errors.Is(err, xpc.ErrConnectionInterrupted) {
		t.Errorf("an orderly exit is the same to a client: %v", err)
	}
	c.pid("and the next message the same too")
	if e := s.job("echo"); e.GetInt64(bootstrap.KeyStatus) != 3 {
		t.Errorf("the last exit was with code 3: %v", e)
	}
}

func TestAMessageSurvivesACrashLoop(t *testing.T) {
	counter := filepath.Join(t.TempDir(), "n")
	s := serve(t, Options{Jobs: []*registry.Job{service(t, "unsteady", "unsteady", map[string]string{"COUNTER": counter})}})
	s.connect("com.example.unsteady", 0).pid("three crashes later the message is there (T35, T36)")
	if n, _ := os.ReadFile(counter); string(n) != "4" {
		t.Errorf("%s runs, want the fourth to serve", n)
	}
}

func TestThrottle(t *testing.T) {
	j := service(t, "echo", "echo", nil)
	j.ThrottleInterval = time.Hour
	s := serve(t, Options{Jobs: []*registry.Job{j}})
	c := s.connect("com.example.echo", 0)
	c.pid("the first start is not held back")
	c.ask("", "exit")
	c.wantEvent("it exited", xpc.ErrConnectionInterrupted)
	c.SendMessage(xpc.NewDictionary())
	for s.job("echo").GetString(bootstrap.KeyState) != bootstrap.StateWaiting {
		if s.ctx.Err() != nil {
			t.Fatalf("the second start waits (R220): %v", s.job("echo"))
		}
	}
}

func TestLaunchFailure(t *testing.T) {
	program := filepath.Join(t.TempDir(), "missing")
	j := service(t, "echo", "echo", nil)
	self := j.Program
	j.Program = program
	s := serve(t, Options{Jobs: []*registry.Job{j}})
	c := s.connect("com.example.echo", 0)
	for range 2 {
		_, err := c.ask("", "")
		want := fmt.Sprintf("job echo: cannot execute %q: no such file or directory", program)
		if !errors.Is(err, xpc.ErrConnectionInterrupted) || !errors.Is(err, xpc.ErrLaunchFailed) || !strings.Contains(fmt.Sprint(err), want) {
			t.Fatalf("the client is told who and why: got %v", err)
		}
	}
	s.tool(bootstrap.OpPing, nil) // the registry has done with those who waited
	must(t, os.Symlink(self, program))
	c.pid("when the program is there, the next message finds it")
}

func TestTheJobBehindAWrapper(t *testing.T) {
	j := service(t, "echo", "echo", nil)
	j.Arguments = []string{"sh", "-c", j.Program + "; exit $?"}
	j.Program = "sh"
	s := serve(t, Options{Jobs: []*registry.Job{j}})
	c := s.connect("com.example.echo", 0)
	pid := c.pid("who inherits the bootstrap socket is the job")
	if e := s.job("echo"); int(e.GetInt64(bootstrap.KeyPID)) == pid {
		t.Errorf("there is no wrapper: %v", e)
	}
}

func TestASocketShutDownByItsJobIsReplaced(t *testing.T) {
	s := serve(t, Options{Jobs: []*registry.Job{service(t, "echo", "echo", nil)}})
	c := s.connect("com.example.echo", 0)
	pid := c.pid("first")
	c.ask("", "shut the socket")
	syscall.Kill(pid, syscall.SIGKILL)
	c.wantEvent("it was killed", xpc.ErrConnectionInterrupted)
	for s.job("echo").Get(bootstrap.KeyPID) != nil {
	}
	s.connect("com.example.echo", 0).pid("a client that looks the name up now gets a new socket")
}

func TestAJobThatDoesNotListenToSIGTERM(t *testing.T) {
	s := serve(t, Options{exitTimeout: time.Millisecond, Jobs: []*registry.Job{service(t, "echo", "stubborn", nil)}})
	pid := s.connect("com.example.echo", 0).pid("it serves")
	if _, code := s.tool(bootstrap.OpUnload, map[string]string{bootstrap.KeyLabel: "echo"}); code != 0 {
		t.Fatalf("unload: %v", code)
	}
	if err := syscall.Kill(pid, 0); err != syscall.ESRCH {
		t.Errorf("it was not killed: %v", err)
	}
}

// A name that is reset does not outlive a process of its job: launchd's clients
// see the end of their port, ours the end of the name (R216).
func TestResetAtClose(t *testing.T) {
	j := service(t, "echo", "echo", nil)
	j.ResetAtClose = j.MachServices
	s := serve(t, Options{Jobs: []*registry.Job{j}})
	c := s.connect("com.example.echo", 0)
	first := c.pid("it serves")
	c.ask("", "exit")
	c.wantEvent("the process has ended", xpc.ErrConnectionInterrupted)
	c.wantEvent("and the name with it", xpc.ErrConnectionInvalid)
	if why := c.InvalidationReason(); !strings.Contains(why, "the name is reset") {
		t.Errorf("the client is told why: %q", why)
	}
	if second := s.connect("com.example.echo", 0).pid("who looks it up again finds it"); second == first {
		t.Errorf("pid %d again", first)
	}
}

// A name that is hidden until check-in is found while a process serves it (R216).
func TestHideUntilCheckIn(t *testing.T) {
	j := service(t, "echo", "echo", nil)
	j.HideUntilCheckIn = j.MachServices
	s := serve(t, Options{Jobs: []*registry.Job{j}})
	c := s.connect("com.example.echo", 0)
	c.wantEvent("nobody serves it, so it does not exist", xpc.ErrConnectionInvalid)
	if _, code := s.tool(bootstrap.OpUnload, map[string]string{bootstrap.KeyLabel: "echo"}); code != 0 {
		t.Fatal(code)
	}
	j.RunAtLoad = true
	s = serve(t, Options{Jobs: []*registry.Job{j}})
	for s.ctx.Err() == nil {
		reply, _ := s.tool(bootstrap.OpLookUp, map[string]string{bootstrap.KeyName: "com.example.echo"})
		if reply.Get(bootstrap.KeyEndpoint) != nil {
			break
		}
	}
	c = s.connect("com.example.echo", 0)
	c.pid("it has checked in")
	c.ask("", "exit")
	c.wantEvent("who knows it keeps it", xpc.ErrConnectionInterrupted)
	c.pid("and launches it again")
}

// The log of a job with Debug is complete, whatever the daemon's level.
func TestDebugLogsEverything(t *testing.T) {
	var out strings.Builder
	d := &daemon{log: slog.New(slog.NewTextHandler(&out, nil))}
	d.logOf(&registry.Job{Label: "plain"}).Debug("step")
	d.logOf(&registry.Job{Label: "watched", Debug: true}).Debug("step")
	if got := out.String(); !strings.Contains(got, "job=watched") || strings.Contains(got, "job=plain") {
		t.Errorf("got %q", got)
	}
}
