package daemon

import (
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/openxpc/openxpc/registry"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// transactional is a job with EnableTransactions.
func transactional(t *testing.T, role string) *registry.Job {
	t.Helper()
	j := service(t, "echo", role, nil)
	j.EnableTransactions = true
	return j
}

// unloaded stops the job and wants its process to be gone.
func (s *served) unloaded(why string, pid int) {
	s.t.Helper()
	if _, code := s.tool(bootstrap.OpUnload, map[string]string{bootstrap.KeyLabel: "echo"}); code != 0 {
		s.t.Fatalf("%s: unload: %v", why, code)
	}
	if err := syscall.Kill(pid, 0); err != syscall.ESRCH {
		s.t.Errorf("%s: pid %d is still there: %v", why, pid, err)
	}
}

// The timeout is longer than the test may take: only what is not waited for ends the job.
func TestStoppingAnIdleJob(t *testing.T) {
	s := serve(t, Options{exitTimeout: 2 * patience, Jobs: []*registry.Job{transactional(t, "stubborn")}})
	pid := s.connect("com.example.echo", 0).pid("it serves")
	s.unloaded("an idle job is killed at once (R184, T34)", pid)
}

func TestStoppingABusyJob(t *testing.T) {
	s := serve(t, Options{exitTimeout: time.Millisecond, Jobs: []*registry.Job{transactional(t, "busy")}})
	pid := s.connect("com.example.echo", 0).pid("it serves")
	s.unloaded("a transaction that does not end costs the exit timeout, and then the process (R184)", pid)
}

func TestStoppingAJobThatDoesNotAnswer(t *testing.T) {
	s := serve(t, Options{exitTimeout: 2 * patience, Jobs: []*registry.Job{transactional(t, "mute")}})
	pid := s.connect("com.example.echo", 0).pid("it serves")
	s.unloaded("a process that has asked for its name, and answers nothing, gets SIGTERM", pid)
}

func TestStoppingAJobThatDoesNotUseTheLibrary(t *testing.T) {
	j := transactional(t, "stranger to XPC")
	j.RunAtLoad = true
	j.Program, j.Arguments = "sleep", []string{"sleep", "1000"}
	s := serve(t, Options{exitTimeout: 2 * patience, Jobs: []*registry.Job{j}})
	pid := int(s.job("echo").GetInt64(bootstrap.KeyPID))
	if pid == 0 {
		t.Fatal("it does not run")
	}
	s.unloaded("nobody is asked who never said HELLO: SIGTERM", pid)
}

// The job's library is told that this is such a job, and no other job's is.
func TestTransactionsAreTold(t *testing.T) {
	for _, on := range []bool{false, true} {
		j := service(t, "echo", "echo", nil)
		j.EnableTransactions = on
		out := t.TempDir() + "/out"
		j.Program, j.Arguments, j.StandardOutPath = "sh", []string{"sh", "-c", "echo $" + bootstrap.EnvTransactions + " > " + out + "; kill $$"}, os.DevNull
		j.RunAtLoad = true
		s := serve(t, Options{Jobs: []*registry.Job{j}})
		for s.job("echo").Get(bootstrap.KeyStatus) == nil {
		}
		want := map[bool]string{false: "\n", true: "1\n"}[on]
		if got, _ := os.ReadFile(out); string(got) != want {
			t.Errorf("got %q, want %q", got, want)
		}
		s.tool(bootstrap.OpUnload, map[string]string{bootstrap.KeyLabel: "echo"})
	}
}
