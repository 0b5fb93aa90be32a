package daemon

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/openxpc/openxpc/registry"
	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

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

func TestTools(t *testing.T) {
	s := serve(t, Options{})
	dir := t.TempDir()
	path := filepath.Join(dir, "echo.json")
	must(t, os.WriteFile(path, []byte(`{"Label":"echo","Program":"prog","ServiceIPC":1,"MachServices":{"com.example.echo":true},"EnvironmentVariables":{"A":"b"}}`), 0o600))
	reply, code := s.tool(bootstrap.OpLoad, map[string]string{bootstrap.KeyPath: path})
	if code != 0 || reply.GetString(bootstrap.KeyLabel) != "echo" {
		t.Fatalf("load: %v", reply)
	}
	if w := reply.GetArray(bootstrap.KeyWarnings); w.Count() != 1 || !strings.HasPrefix(w.GetString(0), path+`:1:34: key "ServiceIPC" is not acted on`) {
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
	for _, want := range []string{`path = `, `state = `, path, "not running", dir + "/prog", "(never exited)", "com.example.echo"} {
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

// The files of macOS's programs are loaded into a registry that executes nothing.
func TestLoadingFilesOfMacPrograms(t *testing.T) {
	files, err := filepath.Glob("../testdata/mac/*.plist")
	must(t, err)
	s := serve(t, Options{noPrograms: true})
	for _, path := range files {
		text, err := os.ReadFile(path)
		must(t, err)
		path, err = filepath.Abs(path)
		must(t, err)
		// One of them says that it is not to be loaded.
		reply, code := s.tool(bootstrap.OpLoad, map[string]string{bootstrap.KeyDocument: string(text), bootstrap.KeyPath: path})
		if want := bytes.Contains(text, []byte("<key>Disabled</key>")); code != 0 && (!want || code != bootstrap.Disabled) {
			t.Errorf("%s: %v", path, reply)
		}
	}
	if reply, _ := s.tool(bootstrap.OpList, nil); len(files) < 10 || reply.GetArray(bootstrap.KeyJobs).Count() != len(files)-1 {
		t.Errorf("%d files, loaded are %v", len(files), reply.Get(bootstrap.KeyJobs))
	}
}
