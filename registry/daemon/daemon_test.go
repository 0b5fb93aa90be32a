package daemon

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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
	o.Helper = self(t)
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

// testClient is a connection whose events can be waited for.

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

// waitForName asks until somebody has registered name.

func TestTheSecondDaemonIsRefused(t *testing.T) {
	s := serve(t, Options{})
	if err := Serve(s.ctx, Options{Path: s.path}); !errors.Is(err, ErrAlreadyServed) {
		t.Errorf("got %v, want ErrAlreadyServed", err)
	}
}

// TestHostileClients is reliability row 24, on the wire: programs that register,

// give back and vanish at random never have the same name at the same time.

// ledger says which client believes to own a name.

// take writes a name down as a client's own, after the registry said so.

// drop crosses out what is a client's, before the registry can hear of its end.

// hostile is one client's life, repeated: it takes what it gets, checks some of

// it out again, which keeps it its own, and vanishes.

// TestOutOfDescriptors is reliability row 16.
