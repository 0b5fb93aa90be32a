package daemon

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/openxpc/openxpc/credentials/requirement"
	"github.com/openxpc/openxpc/registry"
	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// Who is launched because a client waits is born with the socket that the client waits at.
func TestTheListenerIsInherited(t *testing.T) {
	eager := service(t, "eager", "echo", nil)
	eager.RunAtLoad = true
	wrapped := service(t, "wrapped", "echo", nil)
	wrapped.Program, wrapped.Arguments = "sh", []string{"sh", "-c", "exec " + wrapped.Program}
	s := serve(t, Options{Jobs: []*registry.Job{service(t, "echo", "echo", nil), eager, wrapped}})
	c := s.connect("com.example.echo", 0)
	reply, err := c.ask("", "endpoint")
	if err != nil || !reply.GetBool("inherited") {
		t.Fatalf("launched by a client: %v (error %v)", reply, err)
	}
	direct := xpc.NewConnectionFromEndpoint(reply.Get("endpoint").(*xpc.Endpoint))
	direct.SetEventHandler(func(xpc.Object) {})
	direct.Activate()
	defer func() { direct.Cancel(); <-direct.Done() }()
	if r, err := direct.SendMessageWithReplySync(c.ctx, xpc.NewDictionary()); err != nil || r.GetInt64("pid") != reply.GetInt64("pid") {
		t.Errorf("its listener's endpoint leads to it: %v (error %v)", r, err)
	}
	if reply, err = s.connect("com.example.wrapped", 0).ask("", ""); err != nil || !reply.GetBool("inherited") {
		t.Errorf("a wrapper that executes the service is the service: %v (error %v)", reply, err)
	}
	if reply, err = s.connect("com.example.eager", 0).ask("", ""); err != nil || reply.GetBool("inherited") {
		t.Errorf("there was no socket yet when it was started: %v (error %v)", reply, err)
	}
	if reply, err = c.ask("", "a child"); err != nil || reply.GetString("text") != `"" sockets 0 <nil>` {
		t.Errorf("the socket is no other program's: %v (error %v)", reply, err)
	}
	// The name is its own all the same: it can give it back, which only an owner can.
	if _, err := c.ask("", "check out"); err != nil {
		t.Error(err)
	}
}

func TestWhoInheritsAListener(t *testing.T) {
	const name = "com.example.a"
	own := &requirement.Requirement{}
	for _, c := range []struct {
		why  string
		file registry.Job
		want bool
	}{
		{"its only name", registry.Job{MachServices: []string{name}}, true},
		{"who may look it up is another matter", registry.Job{MachServices: []string{name}, Requirements: map[string]registry.NameRequirement{name: {LookUp: own}}}, true},
		{"no name", registry.Job{}, false},
		{"two names", registry.Job{MachServices: []string{name, "com.example.b"}}, false},
		{"a name without a socket", registry.Job{MachServices: []string{"com.example.b"}}, false},
		{"who may own it is found out at check-in", registry.Job{MachServices: []string{name}, Requirements: map[string]registry.NameRequirement{name: {Own: own}}}, false},
		{"nobody sees the name before the check-in", registry.Job{MachServices: []string{name}, HideUntilCheckIn: []string{name}}, false},
		{"the socket ends with the process that was told so", registry.Job{MachServices: []string{name}, ResetAtClose: []string{name}}, false},
	} {
		d := &daemon{sockets: map[string]*nameSocket{name: {listener: os.Stdin}}}
		if got := d.listenerFor(&job{file: &c.file}) != nil; got != c.want {
			t.Errorf("%s: inherited %v, want %v", c.why, got, c.want)
		}
	}
}

// A process that was born with its socket is asked whether it is idle, whatever it
// has said so far: it may have clients already (R184).
func TestStoppingAJobThatHasNotSpokenYet(t *testing.T) {
	started := filepath.Join(t.TempDir(), "started")
	j := service(t, "echo", "late", map[string]string{"STARTED": started})
	j.EnableTransactions = true
	s := serve(t, Options{exitTimeout: 10 * patience, Jobs: []*registry.Job{j}})
	s.connect("com.example.echo", 0).SendMessage(xpc.NewDictionary())
	for _, err := os.Stat(started); err != nil; _, err = os.Stat(started) {
		if s.ctx.Err() != nil {
			t.Fatal("it was never started")
		}
	}
	pid := int(s.job("echo").GetInt64(bootstrap.KeyPID))
	unload := xpc.NewDictionary()
	unload.SetString(bootstrap.KeyOp, bootstrap.OpUnload)
	unload.SetString(bootstrap.KeyLabel, "echo")
	gone := make(chan error, 1)
	go func() {
		_, err := askRegistry(s.ctx, unload)
		gone <- err
	}()
	for s.job("echo").GetString(bootstrap.KeyState) == bootstrap.StateRunning {
	}
	must(t, syscall.Kill(pid, syscall.SIGUSR1))
	if err := <-gone; err != nil {
		t.Errorf("SIGTERM would have come too early: %v", err)
		syscall.Kill(pid, syscall.SIGKILL)
	}
}
