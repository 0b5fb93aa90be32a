package daemon

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/openxpc/openxpc/registry"
	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

func TestWhoMayServeAName(t *testing.T) {
	s := serve(t, Options{Jobs: []*registry.Job{service(t, "echo", "echo", nil)}})
	thief := s.connect("com.example.echo", xpc.MachServiceListener)
	thief.wantEvent("a declared name is its job's only (T20)", xpc.ErrConnectionInvalid)
	if !strings.Contains(thief.InvalidationReason(), `"com.example.echo" belongs to job "echo"`) {
		t.Errorf("the reason is the registry's: %q", thief.InvalidationReason())
	}
	s.connect("com.example.echo", 0).pid("the thief has changed nothing")

	free := s.connect("com.example.free", xpc.MachServiceListener)
	waitForName(s, "com.example.free")
	second := s.connect("com.example.free", xpc.MachServiceListener)
	second.wantEvent("one listener a name (T21)", xpc.ErrConnectionInvalid)
	c := s.connect("com.example.free", 0)
	c.SendMessage(xpc.NewDictionary())
	peer, ok := (<-free.events).(*xpc.Connection)
	if !ok {
		t.Fatal("the first listener still serves")
	}
	peer.SetEventHandler(func(xpc.Object) {})
	peer.Activate()
	peer.Cancel()
	<-peer.Done()
}

func waitForName(s *served, name string) {
	s.t.Helper()
	for {
		reply, _ := s.tool(bootstrap.OpList, nil)
		names := reply.GetArray(bootstrap.KeyNames)
		for i := range names.Count() {
			if e := names.GetDictionary(i); e.GetString(bootstrap.KeyName) == name {
				if got := int(e.GetInt64(bootstrap.KeyPID)); got != os.Getpid() {
					s.t.Errorf("%s is this process's, pid %d, not %d", name, os.Getpid(), got)
				}
				return
			}
		}
		if s.ctx.Err() != nil {
			s.t.Fatalf("%s does not appear", name)
		}
	}
}

func TestNoAdHoc(t *testing.T) {
	s := serve(t, Options{NoAdHoc: true})
	s.connect("com.example.free", xpc.MachServiceListener).wantEvent("ad-hoc names are off (R101)", xpc.ErrConnectionInvalid)
}

func TestConnectionsPerUser(t *testing.T) {
	const maxClients = 3
	s := serve(t, Options{maxClients: maxClients})
	ping := func(c *xpc.Connection) bootstrap.Code {
		m := xpc.NewDictionary()
		m.SetString(bootstrap.KeyOp, bootstrap.OpPing)
		reply, err := c.SendMessageWithReplySync(s.ctx, m)
		if err != nil {
			t.Fatal(err)
		}
		return bootstrap.Code(reply.GetInt64(bootstrap.KeyError))
	}
	var open []*xpc.Connection
	for range maxClients {
		c := dialRegistry()
		if code := ping(c); code != 0 {
			t.Fatalf("within the limit: %v", code)
		}
		open = append(open, c)
	}
	over := dialRegistry()
	if code := ping(over); code != bootstrap.OverQuota {
		t.Errorf("one too many: got %v, want over quota", code)
	}
	for _, c := range append(open, over) {
		c.Cancel()
		<-c.Done()
	}
	for {
		c := dialRegistry()
		code := ping(c)
		c.Cancel()
		<-c.Done()
		if code == 0 {
			break
		}
		if s.ctx.Err() != nil {
			t.Fatal("who has left is still counted")
		}
	}
}

func TestAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user")
	}
	s := serve(t, Options{Jobs: []*registry.Job{service(t, "echo", "echo", nil)}})
	must(t, os.Chmod(filepath.Dir(s.path), 0o711))
	must(t, os.Chmod(s.path, 0o666))
	self, err := os.ReadFile("/proc/self/exe")
	must(t, err)
	program := filepath.Join(filepath.Dir(s.path), "stranger")
	must(t, os.WriteFile(program, self, 0o755))
	defer os.Remove(program)
	cmd := exec.CommandContext(s.ctx, program)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), roleVariable+"=stranger")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 12345, Gid: 12345}}
	out, err := cmd.CombinedOutput()
	must(t, err)
	want := "load not-privileged\nunload not-privileged\ncheck-in not-privileged\nping error-0\n"
	if diff := cmp.Diff(want, string(out)); diff != "" {
		t.Errorf("others may look, not touch (-want +got):\n%s", diff)
	}
}

func TestHostileClients(t *testing.T) {
	s := serve(t, Options{})
	names := []string{"a", "b", "c"}
	l := &ledger{owner: map[string]int{}}
	done := make(chan error, 32)
	for i := range 32 {
		go func() { done <- hostile(s, i, names, l) }()
	}
	for range 32 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	for {
		reply, _ := s.tool(bootstrap.OpList, nil)
		if reply.GetArray(bootstrap.KeyNames).Count() == 0 {
			break
		}
		if s.ctx.Err() != nil {
			t.Fatalf("names outlive their programs: %v", reply)
		}
	}
}

type ledger struct {
	mu    sync.Mutex
	owner map[string]int
}

func (l *ledger) take(name string, me int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if other, taken := l.owner[name]; taken && other != me {
		return fmt.Errorf("%q was given to client %d while it was client %d's", name, me, other)
	}
	l.owner[name] = me
	return nil
}

func (l *ledger) drop(me int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.owner, func(_ string, id int) bool { return id == me })
}

func hostile(s *served, me int, names []string, l *ledger) error {
	for round := range 8 {
		c := dialRegistry()
		for i := range 12 {
			op := bootstrap.OpCheckIn
			if (me+i)%3 == 0 {
				op = bootstrap.OpCheckOut
			}
			m := xpc.NewDictionary()
			m.SetString(bootstrap.KeyOp, op)
			name := names[(me*7+round*5+i)%len(names)]
			m.SetString(bootstrap.KeyName, name)
			reply, err := c.SendMessageWithReplySync(s.ctx, m)
			if err != nil {
				return err
			}
			if op == bootstrap.OpCheckOut || reply.GetInt64(bootstrap.KeyError) != 0 {
				continue
			}
			if err := l.take(name, me); err != nil {
				return err
			}
		}
		l.drop(me)
		c.Cancel()
		<-c.Done()
	}
	return nil
}

func TestOutOfDescriptors(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	path := filepath.Join(shortDir(t), "r.sock")
	t.Setenv(bootstrap.EnvRegistry, path)
	self, err := os.Executable()
	must(t, err)
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), roleVariable+"=poor")
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("got %q, %v", line, err)
	}
	first := dialRegistry()
	request := func(c *xpc.Connection, op, name string) (bootstrap.Code, error) {
		m := xpc.NewDictionary()
		m.SetString(bootstrap.KeyOp, op)
		m.SetString(bootstrap.KeyName, name)
		reply, err := c.SendMessageWithReplySync(ctx, m)
		if err != nil {
			return 0, err
		}
		return bootstrap.Code(reply.GetInt64(bootstrap.KeyError)), nil
	}
	if code, err := request(first, bootstrap.OpPing, ""); code != 0 || err != nil {
		t.Fatalf("with descriptors left: %v, %v", code, err)
	}
	var crowd []*xpc.Connection
	for range poorDescriptors {
		c := dialRegistry()
		c.SendMessage(xpc.NewDictionary())
		crowd = append(crowd, c)
	}
	// A socket takes the last ones. What cannot be made is refused, not forgotten.
	refused := false
	for i := 0; !refused && i < poorDescriptors; i++ {
		code, err := request(first, bootstrap.OpCheckIn, fmt.Sprint("n", i))
		if err != nil {
			t.Fatalf("a client that was there before is served: %v", err)
		}
		refused = code == bootstrap.OverQuota
	}
	if !refused {
		t.Error("the daemon never ran out; the test tests nothing")
	}
	for _, c := range append(crowd, first) {
		c.Cancel()
		<-c.Done()
	}
	after := dialRegistry()
	if code, err := request(after, bootstrap.OpCheckIn, "after"); code != 0 || err != nil {
		t.Errorf("with descriptors free again: %v, %v", code, err)
	}
	after.Cancel()
	<-after.Done()
	in.Close()
	must(t, cmd.Wait())
}
