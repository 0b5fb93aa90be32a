package daemon

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openxpc/openxpc/registry"
	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// patience bounds every wait of these tests; nothing is expected to take as long.
const patience = 30 * time.Second

// served is a daemon of a test, at a socket of its own.
type served struct {
	t    *testing.T
	path string
	ctx  context.Context
	log  *strings.Builder
}

// serve runs a daemon for the test and makes it this process's registry.
func serve(t *testing.T, o Options) *served {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	s := &served{t: t, path: filepath.Join(shortDir(t), "r.sock"), ctx: ctx, log: &strings.Builder{}}
	o.Path = s.path
	o.Version = "test"
	o.Logger = slog.New(slog.NewTextHandler(testLog{t}, nil))
	ready := make(chan struct{})
	o.Ready = func() { close(ready) }
	done := make(chan error, 1)
	serving, end := context.WithCancel(context.Background())
	go func() { done <- Serve(serving, o) }()
	select {
	case <-ready:
	case err := <-done:
		t.Fatal(err)
	}
	t.Setenv(bootstrap.EnvRegistry, s.path)
	t.Cleanup(func() {
		end()
		if err := <-done; err != nil {
			t.Errorf("the daemon ended with %v", err)
		}
		if left, _ := os.ReadDir(filepath.Dir(s.path)); len(left) != 0 {
			t.Errorf("the daemon left %v behind", left)
		}
		cancel()
	})
	return s
}

type testLog struct{ t *testing.T }

func (l testLog) Write(b []byte) (int, error) {
	l.t.Logf("%s", strings.TrimSpace(string(b)))
	return len(b), nil
}

// service is a job that runs this test binary in a role.
func service(t *testing.T, label, role string, more map[string]string) *registry.Job {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	env := map[string]string{roleVariable: role, "NAME": "com.example." + label}
	maps.Copy(env, more)
	return &registry.Job{Label: label, Program: self, Arguments: []string{self}, Environment: env,
		MachServices: []string{"com.example." + label}}
}

// client is a connection whose events can be waited for.
type testClient struct {
	*xpc.Connection
	t      *testing.T
	ctx    context.Context
	events chan xpc.Object
}

func (s *served) connect(name string, flags xpc.MachServiceFlags) *testClient {
	s.t.Helper()
	c := &testClient{xpc.NewMachServiceConnection(name, nil, flags), s.t, s.ctx, make(chan xpc.Object, 16)}
	c.SetEventHandler(func(o xpc.Object) { c.events <- o })
	c.Activate()
	s.t.Cleanup(func() {
		c.Cancel()
		<-c.Done()
	})
	return c
}

func (c *testClient) ask(text, do string) (*xpc.Dictionary, error) {
	m := xpc.NewDictionary()
	m.SetString("text", text)
	m.SetString("do", do)
	return c.SendMessageWithReplySync(c.ctx, m)
}

// pid asks the service who it is.
func (c *testClient) pid(why string) int {
	c.t.Helper()
	reply, err := c.ask("hello", "")
	if err != nil {
		c.t.Fatalf("%s: %v", why, err)
	}
	if got := reply.GetString("text"); got != "hello" {
		c.t.Fatalf("%s: got %q back", why, got)
	}
	return int(reply.GetInt64("pid"))
}

func (c *testClient) wantEvent(why string, want *xpc.Error) {
	c.t.Helper()
	select {
	case got := <-c.events:
		if got != xpc.Object(want) {
			c.t.Fatalf("%s: got event %v, want %v", why, got, want)
		}
	case <-c.ctx.Done():
		c.t.Fatalf("%s: no event", why)
	}
}

// tool sends one of the tools' requests; code is 0 or what the registry answered.
func (s *served) tool(op string, fields map[string]string) (*xpc.Dictionary, bootstrap.Code) {
	s.t.Helper()
	m := xpc.NewDictionary()
	m.SetString(bootstrap.KeyOp, op)
	for k, v := range fields {
		if k == bootstrap.KeyDocument {
			m.SetData(k, []byte(v))
		} else {
			m.SetString(k, v)
		}
	}
	reply, err := askRegistry(s.ctx, m)
	if err != nil {
		s.t.Fatalf("%s: %v", op, err)
	}
	return reply, bootstrap.Code(reply.GetInt64(bootstrap.KeyError))
}

// job is a job's entry in the list.
func (s *served) job(label string) *xpc.Dictionary {
	s.t.Helper()
	reply, _ := s.tool(bootstrap.OpList, nil)
	jobs := reply.GetArray(bootstrap.KeyJobs)
	for i := range jobs.Count() {
		if e := jobs.GetDictionary(i); e.GetString(bootstrap.KeyLabel) == label {
			return e
		}
	}
	return nil
}

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

func TestUnload(t *testing.T) {
	s := serve(t, Options{Jobs: []*registry.Job{service(t, "echo", "echo", nil)}})
	c := s.connect("com.example.echo", 0)
	idle := s.connect("com.example.echo", 0)
	pid := c.pid("first")
	if _, code := s.tool(bootstrap.OpUnload, map[string]string{bootstrap.KeyLabel: "echo"}); code != 0 {
		t.Fatalf("unload: %v", code)
	}
	if err := syscall.Kill(pid, 0); err != syscall.ESRCH {
		t.Errorf("the answer comes when the process has ended: %v", err)
	}
	c.wantEvent("its process is gone (T17)", xpc.ErrConnectionInterrupted)
	c.wantEvent("and so is the name (T17)", xpc.ErrConnectionInvalid)
	for got := range idle.events {
		if got == xpc.Object(xpc.ErrConnectionInvalid) {
			break
		}
	}
	if e := s.job("echo"); e != nil {
		t.Errorf("it is still listed: %v", e)
	}
	late := s.connect("com.example.echo", 0)
	late.wantEvent("who comes later finds no such name", xpc.ErrConnectionInvalid)
	if _, code := s.tool(bootstrap.OpUnload, map[string]string{bootstrap.KeyLabel: "echo"}); code != bootstrap.UnknownService {
		t.Errorf("a second unload: %v", code)
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

// waitForName asks until somebody has registered name.
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

func TestTools(t *testing.T) {
	s := serve(t, Options{})
	dir := t.TempDir()
	path := filepath.Join(dir, "echo.json")
	must(t, os.WriteFile(path, []byte(`{"Label":"echo","Program":"prog","Nice":5,"MachServices":{"com.example.echo":true},"EnvironmentVariables":{"A":"b"}}`), 0o600))
	reply, code := s.tool(bootstrap.OpLoad, map[string]string{bootstrap.KeyPath: path})
	if code != 0 || reply.GetString(bootstrap.KeyLabel) != "echo" {
		t.Fatalf("load: %v", reply)
	}
	if w := reply.GetArray(bootstrap.KeyWarnings); w.Count() != 1 || !strings.HasPrefix(w.GetString(0), path+`:1:34: key "Nice" is not acted on`) {
		t.Errorf("what has no effect is said: %v", w)
	}
	refusals := []struct {
		why    string
		fields map[string]string
		code   bootstrap.Code
		reason string
	}{
		{"a label once", map[string]string{bootstrap.KeyPath: path}, bootstrap.NameInUse, `job "echo" is loaded already, from ` + path},
		{"a name once", map[string]string{bootstrap.KeyDocument: `{"Label":"x","Program":"/p","MachServices":{"com.example.echo":true}}`}, bootstrap.NameInUse, `is in use by job "echo"`},
		{"a bad file", map[string]string{bootstrap.KeyDocument: `{"Label":5}`, bootstrap.KeyPath: "/x.json"}, bootstrap.BadJob, `/x.json:1:1: neither`},
		{"no file", map[string]string{bootstrap.KeyPath: dir + "/none"}, bootstrap.BadJob, "no such file"},
		{"a relative path", map[string]string{bootstrap.KeyPath: "none"}, bootstrap.BadRequest, "not absolute"},
		{"nothing", nil, bootstrap.BadRequest, "needs"},
	}
	for _, r := range refusals {
		reply, code := s.tool(bootstrap.OpLoad, r.fields)
		if code != r.code || !strings.Contains(reply.GetString(bootstrap.KeyReason), r.reason) {
			t.Errorf("%s: got %v %q, want %v %q", r.why, code, reply.GetString(bootstrap.KeyReason), r.code, r.reason)
		}
	}
	reply, _ = s.tool(bootstrap.OpPrint, map[string]string{bootstrap.KeyName: "com.example.echo"})
	got := xpc.Description(reply.GetDictionary(bootstrap.KeyJob))
	byLabel, _ := s.tool(bootstrap.OpPrint, map[string]string{bootstrap.KeyLabel: "echo"})
	if diff := cmp.Diff(got, xpc.Description(byLabel.GetDictionary(bootstrap.KeyJob))); diff != "" {
		t.Errorf("by name and by label it is the same job:\n%s", diff)
	}
	for _, want := range []string{`"path" => `, `"state" => `, path, "not running", dir + "/prog", "(never exited)", "com.example.echo"} {
		if !strings.Contains(got, want) {
			t.Errorf("print lacks %q: %s", want, got)
		}
	}
	for _, op := range []string{bootstrap.OpPrint, bootstrap.OpUnload} {
		if _, code := s.tool(op, map[string]string{bootstrap.KeyLabel: "none"}); code != bootstrap.UnknownService {
			t.Errorf("%s of no job: %v", op, code)
		}
	}
	status, _ := s.tool(bootstrap.OpStatus, nil)
	if status.GetInt64(bootstrap.KeyPID) != int64(os.Getpid()) || status.GetString(bootstrap.KeyPath) != s.path ||
		status.GetInt64(bootstrap.KeyJobCount) != 1 || status.GetInt64(bootstrap.KeyNameCount) != 1 || status.GetInt64(bootstrap.KeyRunningCount) != 0 {
		t.Errorf("status: %v", status)
	}
	if _, code := s.tool("no such", nil); code != bootstrap.BadRequest {
		t.Errorf("a routine that does not exist: %v", code)
	}
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

func TestTheSecondDaemonIsRefused(t *testing.T) {
	s := serve(t, Options{})
	if err := Serve(s.ctx, Options{Path: s.path}); !errors.Is(err, ErrAlreadyServed) {
		t.Errorf("got %v, want ErrAlreadyServed", err)
	}
}

func TestJobsThatConflict(t *testing.T) {
	a, b := service(t, "a", "echo", nil), service(t, "b", "echo", nil)
	b.MachServices = a.MachServices
	err := Serve(context.Background(), Options{Path: filepath.Join(shortDir(t), "r.sock"), Jobs: []*registry.Job{a, b}})
	if err == nil || !strings.Contains(err.Error(), `job "b": "com.example.a" is in use by job "a"`) {
		t.Errorf("got %v", err)
	}
	s := serve(t, Options{Optional: []*registry.Job{a, b}})
	reply, _ := s.tool(bootstrap.OpList, nil)
	if n := reply.GetArray(bootstrap.KeyJobs).Count(); n != 1 {
		t.Errorf("%d jobs: an optional one that cannot be loaded is left out", n)
	}
}

func TestRunAtLoad(t *testing.T) {
	j := service(t, "echo", "echo", nil)
	j.RunAtLoad = true
	s := serve(t, Options{Jobs: []*registry.Job{j}})
	if e := s.job("echo"); e.Get(bootstrap.KeyPID) == nil {
		t.Errorf("nobody had to ask: %v", e)
	}
}

// TestHostileClients is reliability row 24, on the wire: programs that register,
// give back and vanish at random never have the same name at the same time.
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

// ledger says which client believes to own a name.
type ledger struct {
	mu    sync.Mutex
	owner map[string]int
}

// take writes a name down as a client's own, after the registry said so.
func (l *ledger) take(name string, me int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if other, taken := l.owner[name]; taken && other != me {
		return fmt.Errorf("%q was given to client %d while it was client %d's", name, me, other)
	}
	l.owner[name] = me
	return nil
}

// drop crosses out what is a client's, before the registry can hear of its end.
func (l *ledger) drop(me int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.owner, func(_ string, id int) bool { return id == me })
}

// hostile is one client's life, repeated: it takes what it gets, checks some of
// it out again, which keeps it its own, and vanishes.
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

// TestOutOfDescriptors is reliability row 16.
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

func ExampleServe() {
	dir, _ := os.MkdirTemp("", "xpc")
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithCancel(context.Background())
	job, _ := registry.ParseJob("/etc/xpc/echo.json", []byte(`{"Label": "echo", "Program": "/bin/false", "MachServices": {"com.example.echo": true}}`))
	err := Serve(ctx, Options{
		Path:  filepath.Join(dir, "registry.sock"),
		Jobs:  []*registry.Job{job},
		Ready: cancel, // a real one ends on a signal
	})
	fmt.Println(err)
	// Output: <nil>
}

func ExampleOptions() {
	err := Serve(context.Background(), Options{Path: "/dev/null/registry.sock"})
	fmt.Println(err)
	// Output: registry: the path is not safe: /dev/null is not a folder but a device; choose another path
}
