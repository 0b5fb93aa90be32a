package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/openxpc/openxpc/registry"
	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// control asks a routine about the job; more are the request's other keys.
func (s *served) control(op, label string, more map[string]xpc.Object) (*xpc.Dictionary, bootstrap.Code) {
	s.t.Helper()
	m := xpc.NewDictionary()
	m.SetString(bootstrap.KeyOp, op)
	m.SetString(bootstrap.KeyLabel, label)
	for key, o := range more {
		m.Set(key, o)
	}
	c := s.connect(bootstrap.RegistryName, 0)
	reply, err := c.SendMessageWithReplySync(s.ctx, m)
	must(s.t, err)
	return reply, bootstrap.Code(reply.GetInt64(bootstrap.KeyError))
}

func (s *served) mustControl(op, label string, more map[string]xpc.Object) *xpc.Dictionary {
	s.t.Helper()
	reply, code := s.control(op, label, more)
	if code != 0 {
		s.t.Fatalf("%s %s: %v %s", op, label, code, reply.GetString(bootstrap.KeyReason))
	}
	return reply
}

func TestKickstart(t *testing.T) {
	j := service(t, "echo", "echo", nil)
	j.ThrottleInterval = 1000 * registry.DefaultThrottle // no kickstart waits for it
	s := serve(t, Options{Jobs: []*registry.Job{j}})
	first := s.mustControl(bootstrap.OpKickstart, "echo", nil).GetInt64(bootstrap.KeyPID)
	if got := s.job("echo").GetInt64(bootstrap.KeyPID); got != first || first == 0 {
		t.Errorf("the answer has pid %d, the list %d", first, got)
	}
	if again := s.mustControl(bootstrap.OpKickstart, "echo", nil).GetInt64(bootstrap.KeyPID); again != first {
		t.Errorf("what runs goes on: pid %d, then %d", first, again)
	}
	c := s.connect("com.example.echo", 0)
	c.pid("before")
	second := s.mustControl(bootstrap.OpKickstart, "echo", map[string]xpc.Object{bootstrap.KeyRestart: xpc.Bool(true)}).GetInt64(bootstrap.KeyPID)
	if err := syscall.Kill(int(first), 0); second == first || err != syscall.ESRCH {
		t.Errorf("restart answers when a new process (%d) has taken the place of the old one (%d): %v", second, first, err)
	}
	c.wantEvent("its client is told", xpc.ErrConnectionInterrupted)
	if got := c.pid("after"); got != int(second) {
		t.Errorf("the client is served by pid %d, want %d", got, second)
	}
	reply, _ := s.tool(bootstrap.OpPrint, map[string]string{bootstrap.KeyLabel: "echo"})
	if got := reply.GetDictionary(bootstrap.KeyJob).GetString("immediate reason"); !strings.HasPrefix(got, "kickstart (by pid ") {
		t.Errorf("blame says %q", got)
	}
}

func TestKickstartOfWhatCannotStart(t *testing.T) {
	s := serve(t, Options{Jobs: []*registry.Job{{Label: "none", Program: "/nonexistent/program", Arguments: []string{"p"}}}})
	reply, code := s.control(bootstrap.OpKickstart, "none", nil)
	if reason := reply.GetString(bootstrap.KeyReason); code != bootstrap.NotRunning || !strings.Contains(reason, `job "none": cannot execute "/nonexistent/program"`) {
		t.Errorf("got %v %q", code, reason)
	}
}

func TestKill(t *testing.T) {
	s := serve(t, Options{Jobs: []*registry.Job{service(t, "echo", "echo", nil)}})
	if _, code := s.control(bootstrap.OpKill, "echo", map[string]xpc.Object{bootstrap.KeySignal: xpc.Int64(9)}); code != bootstrap.NotRunning {
		t.Errorf("there is nothing to signal yet: %v", code)
	}
	s.mustControl(bootstrap.OpKickstart, "echo", nil)
	for _, bad := range []int64{0, -9, 65, 1 << 40} {
		if _, code := s.control(bootstrap.OpKill, "echo", map[string]xpc.Object{bootstrap.KeySignal: xpc.Int64(bad)}); code != bootstrap.BadRequest {
			t.Errorf("signal %d: %v", bad, code)
		}
	}
	c := s.connect("com.example.echo", 0)
	c.pid("before")
	s.mustControl(bootstrap.OpKill, "echo", map[string]xpc.Object{bootstrap.KeySignal: xpc.Int64(9)})
	c.wantEvent("it is dead", xpc.ErrConnectionInterrupted)
	if got := s.ended("echo", 1).GetString("last exit code"); got != "signal 9" {
		t.Errorf("last exit code %q", got)
	}
}

// Only the next run is another one, and an empty request takes the wish back.
func TestDebug(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	s := serve(t, Options{Jobs: []*registry.Job{{Label: "sh", Program: "/bin/sh", Arguments: []string{"sh", "-c", "exit 3"}}}})
	arguments := xpc.NewArray()
	arguments.AppendString("sh")
	arguments.AppendString("-c")
	arguments.AppendString("echo $GREETING; exit 7")
	environment := xpc.NewDictionary()
	environment.SetString("GREETING", "hello")
	wish := map[string]xpc.Object{bootstrap.KeyArguments: arguments, bootstrap.KeyEnvironment: environment, bootstrap.KeyStandardOut: xpc.String(out)}
	runs := int64(0)
	end := func(why string, want string) {
		t.Helper()
		s.mustControl(bootstrap.OpKickstart, "sh", nil)
		runs++
		if got := s.ended("sh", runs).GetString("last exit code"); got != want {
			t.Errorf("%s: exit code %s, want %s", why, got, want)
		}
	}
	s.mustControl(bootstrap.OpDebug, "sh", wish)
	end("the run after debug", "7")
	if text, err := os.ReadFile(out); err != nil || string(text) != "hello\n" {
		t.Errorf("output file: %q, %v", text, err)
	}
	end("the run after that", "3")
	s.mustControl(bootstrap.OpDebug, "sh", wish)
	s.mustControl(bootstrap.OpDebug, "sh", nil)
	end("a run whose changes were taken back", "3")
	for key, o := range map[string]xpc.Object{bootstrap.KeyProgram: xpc.String("./relative"), bootstrap.KeyArguments: arrayOf(xpc.Int64(5))} {
		if _, code := s.control(bootstrap.OpDebug, "sh", map[string]xpc.Object{key: o}); code != bootstrap.BadRequest {
			t.Errorf("%s = %v: %v", key, o, code)
		}
	}
}

func arrayOf(o xpc.Object) *xpc.Array {
	a := xpc.NewArray()
	a.Append(o)
	return a
}

// What enable and disable say outlives the registry, and is not in the job file.
func TestDisabled(t *testing.T) {
	state := filepath.Join(t.TempDir(), "xpc")
	s := serve(t, Options{StateDir: state})
	load := func(s *served, document string) bootstrap.Code {
		_, code := s.tool(bootstrap.OpLoad, map[string]string{bootstrap.KeyDocument: document})
		return code
	}
	const plain, off = `{"Label":"a","Program":"/p"}`, `{"Label":"b","Program":"/p","Disabled":true}`
	want := func(why string, got, want bootstrap.Code) {
		t.Helper()
		if got != want {
			t.Errorf("%s: got %v, want %v", why, got, want)
		}
	}
	want("a file may say Disabled", load(s, off), bootstrap.Disabled)
	s.mustControl(bootstrap.OpDisable, "a", nil)
	s.mustControl(bootstrap.OpEnable, "b", nil)
	want("disabled by name", load(s, plain), bootstrap.Disabled)
	want("enabled against its file", load(s, off), 0)
	if e := s.job("b"); e == nil {
		t.Error("it is not loaded")
	}
	s.mustControl(bootstrap.OpDisable, "b", nil)
	if e := s.job("b"); e == nil {
		t.Error("what is loaded stays when it is disabled")
	}
	reply := s.mustControl(bootstrap.OpPrintDisabled, "", nil)
	if got, want := xpc.Description(reply.GetDictionary(bootstrap.KeyDisabled)), "dictionary { a = bool true, b = bool true }"; got != want {
		t.Errorf("print-disabled: got %s, want %s", got, want)
	}
	next := serve(t, Options{StateDir: state, Jobs: []*registry.Job{{Label: "a", Program: "/p", Arguments: []string{"p"}}}})
	if e := next.job("a"); e != nil {
		t.Error("a job that is disabled was loaded by the next registry")
	}
	next.mustControl(bootstrap.OpEnable, "a", nil)
	want("enabled again", load(next, plain), 0)
	if text, err := os.ReadFile(filepath.Join(state, disabledFile)); err != nil || string(text) != "{\n\t\"a\": false,\n\t\"b\": true\n}\n" {
		t.Errorf("the file has %q, %v", text, err)
	}
}

// A file that cannot be read is not overwritten: what was in it may be mended.
func TestDisabledFileBroken(t *testing.T) {
	for _, content := range []string{"{", "null", `{"a": 5}`} {
		dir := t.TempDir()
		path := filepath.Join(dir, disabledFile)
		must(t, os.WriteFile(path, []byte(content), 0o600))
		s := serve(t, Options{StateDir: dir})
		reply, code := s.control(bootstrap.OpDisable, "a", nil)
		if reason := reply.GetString(bootstrap.KeyReason); code == 0 || !strings.Contains(reason, path+": mend the file or remove it") {
			t.Errorf("%s: got %v %q", content, code, reason)
		}
		if text, _ := os.ReadFile(path); string(text) != content {
			t.Errorf("%s has become %s", content, text)
		}
	}
}

func TestDisabledWithoutStateFolder(t *testing.T) {
	s := serve(t, Options{})
	reply := s.mustControl(bootstrap.OpDisable, "a", nil)
	if w := reply.GetArray(bootstrap.KeyWarnings); w.Count() != 1 || !strings.Contains(w.GetString(0), "forgotten when the registry ends") {
		t.Errorf("it is said that this is not for long: %v", w)
	}
	for _, label := range []string{"", strings.Repeat("l", 256)} {
		if _, code := s.control(bootstrap.OpDisable, label, nil); code != bootstrap.BadRequest {
			t.Errorf("label %q: %v", label, code)
		}
	}
}
