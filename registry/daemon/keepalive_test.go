package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/registry"
	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// script is a job that runs shell commands; what they print can be read from out
// as soon as it is there.
func script(t *testing.T, label, commands string) (j *registry.Job, out *os.File) {
	t.Helper()
	fifo := filepath.Join(t.TempDir(), "out")
	must(t, unix.Mkfifo(fifo, 0o600))
	out, err := os.OpenFile(fifo, os.O_RDWR, 0)
	must(t, err)
	t.Cleanup(func() { out.Close() })
	return &registry.Job{Label: label, Program: "sh", Arguments: []string{"sh", "-c", commands},
		StandardOutPath: fifo, StandardErrorPath: fifo}, out
}

// ended waits until the job has ended runs times and does not run.
func (s *served) ended(label string, runs int64) *xpc.Dictionary {
	s.t.Helper()
	for s.ctx.Err() == nil {
		reply, _ := s.tool(bootstrap.OpPrint, map[string]string{bootstrap.KeyLabel: label})
		if e := reply.GetDictionary(bootstrap.KeyJob); e.GetInt64("runs") >= runs && e.GetString("state") == bootstrap.StateNotRunning {
			return e
		}
	}
	s.t.Fatalf("job %s has not ended %d times", label, runs)
	return nil
}

func TestKeepAlive(t *testing.T) {
	j, out := script(t, "kept", "echo run $$; exit 1")
	j.KeepAlive = &registry.KeepAlive{Always: true}
	serve(t, Options{Jobs: []*registry.Job{j}, pace: time.Millisecond})
	readUntil(t, out, "run") // at load, without a client (R218)
	readUntil(t, out, "run") // and again when it has ended
}

func TestSuccessfulExit(t *testing.T) {
	counter := filepath.Join(t.TempDir(), "n")
	j, out := script(t, "retried", `echo run; if test -e `+counter+`; then exit 0; fi; touch `+counter+`; exit 1`)
	no := false
	j.KeepAlive = &registry.KeepAlive{SuccessfulExit: &no}
	s := serve(t, Options{Jobs: []*registry.Job{j}, pace: time.Millisecond})
	readUntil(t, out, "run")
	readUntil(t, out, "run") // it had failed
	if e := s.ended("retried", 2); e.GetString("last exit code") != "0" || e.GetInt64("runs") != 2 {
		t.Errorf("after a success it is left alone: %v", e)
	}
}

func TestCrashed(t *testing.T) {
	counter := filepath.Join(t.TempDir(), "n")
	j, out := script(t, "crashes", `ulimit -c 0; echo run; if test -e `+counter+`; then kill -TERM $$; fi; touch `+counter+`; kill -SEGV $$`)
	yes := true
	j.KeepAlive = &registry.KeepAlive{Crashed: &yes}
	s := serve(t, Options{Jobs: []*registry.Job{j}, pace: time.Millisecond})
	readUntil(t, out, "run")
	readUntil(t, out, "run") // it had crashed
	if e := s.ended("crashes", 2); e.GetString("last exit code") != "signal 15" {
		t.Errorf("who is told to end did not crash, and is left alone: %v", e)
	}
}

func TestPathState(t *testing.T) {
	path := filepath.Join(t.TempDir(), "wanted")
	j, out := script(t, "looks", "echo run; exec sleep 1000")
	j.KeepAlive = &registry.KeepAlive{PathState: map[string]bool{path: true}}
	s := serve(t, Options{Jobs: []*registry.Job{j}, lookEvery: time.Millisecond})
	if e := s.job("looks"); e.Get(bootstrap.KeyPID) != nil {
		t.Fatalf("the path is not there yet: %v", e)
	}
	must(t, os.WriteFile(path, nil, 0o600))
	readUntil(t, out, "run")
}

func TestOtherJobEnabled(t *testing.T) {
	j, out := script(t, "follower", "echo run; exec sleep 1000")
	j.KeepAlive = &registry.KeepAlive{OtherJobEnabled: map[string]bool{"leader": true}}
	s := serve(t, Options{Jobs: []*registry.Job{j}, pace: time.Millisecond})
	if e := s.job("follower"); e.Get(bootstrap.KeyPID) != nil {
		t.Fatalf("nobody leads yet: %v", e)
	}
	if _, code := s.tool(bootstrap.OpLoad, map[string]string{bootstrap.KeyDocument: `{"Label":"leader","Program":"/no/such"}`}); code != 0 {
		t.Fatal(code)
	}
	readUntil(t, out, "run")
}

// A kept job whose program is missing is tried again, and found when it is there.
func TestKeepAliveTriesAgain(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "prog")
	j, out := script(t, "late", "")
	j.Program, j.Arguments = program, []string{program}
	j.KeepAlive = &registry.KeepAlive{Always: true}
	s := serve(t, Options{Jobs: []*registry.Job{j}, pace: time.Millisecond})
	if e := s.job("late"); e.GetString(bootstrap.KeyState) != bootstrap.StateWaiting {
		t.Errorf("it is not given up: %v", e)
	}
	must(t, os.WriteFile(program+".new", []byte("#!/bin/sh\necho run\n"), 0o755))
	must(t, os.Rename(program+".new", program))
	readUntil(t, out, "run")
}

func TestLaunchOnlyOnce(t *testing.T) {
	j := service(t, "echo", "echo", nil)
	j.LaunchOnlyOnce = true
	s := serve(t, Options{Jobs: []*registry.Job{j}, pace: time.Millisecond})
	c := s.connect("com.example.echo", 0)
	c.pid("the first client launches it")
	c.ask("", "exit")
	c.wantEvent("it has ended", xpc.ErrConnectionInterrupted)
	c.wantEvent("and does not come again (R223)", xpc.ErrConnectionInvalid)
	if why := c.InvalidationReason(); !strings.Contains(why, "only once") {
		t.Errorf("the client is told why: %q", why)
	}
	if e := s.job("echo"); e != nil {
		t.Errorf("it is still loaded: %v", e)
	}
}

func TestExitTimeOut(t *testing.T) {
	j := service(t, "echo", "stubborn", nil)
	j.ExitTimeout = time.Millisecond
	s := serve(t, Options{Jobs: []*registry.Job{j}, pace: time.Millisecond})
	pid := s.connect("com.example.echo", 0).pid("it serves")
	if _, code := s.tool(bootstrap.OpUnload, map[string]string{bootstrap.KeyLabel: "echo"}); code != 0 {
		t.Fatalf("unload: %v", code)
	}
	if err := syscall.Kill(pid, 0); err != syscall.ESRCH {
		t.Errorf("it was not killed (R221): %v", err)
	}
}

func TestAbandonProcessGroup(t *testing.T) {
	gate := filepath.Join(t.TempDir(), "gate")
	must(t, unix.Mkfifo(gate, 0o600))
	j, out := script(t, "leaves", `(trap 'echo told; exit' TERM; echo up; read x <`+gate+`; echo $x) & wait`)
	j.AbandonProcessGroup = true
	own, child, err := bootstrapPair()
	must(t, err)
	defer own.Close()
	ended := make(chan struct{})
	p, err := spawn(j, surroundings{}, child, func() { close(ended) })
	child.Close()
	must(t, err)
	readUntil(t, out, "up")
	p.signal(unix.SIGKILL)
	<-ended
	p.finish()
	must(t, os.WriteFile(gate, []byte("alive\n"), 0))
	readUntil(t, out, "alive") // R222: not "told"
}
