package daemon

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/openxpc/openxpc/registry"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// never is so seldom that only the system's word makes the registry look.
const never = time.Hour

func TestTheSystemTellsOfChanges(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "nowhere", "deeper", "watched")
	j, out := script(t, "watcher", "echo run; cat "+path)
	j.WatchPaths = []string{path}
	var d *daemon
	serve(t, Options{Jobs: []*registry.Job{j}, started: func(of *daemon) { d = of }})
	d.do(func() error { d.opts.lookEvery = never; d.look(); return nil })
	must(t, os.MkdirAll(filepath.Dir(path), 0o700))
	for _, text := range []string{"one", "number two"} {
		must(t, os.WriteFile(path+".new", []byte(text), 0o600))
		must(t, os.Rename(path+".new", path))
		readUntil(t, out, text)
	}
	must(t, os.RemoveAll(filepath.Join(dir, "nowhere")))
	readUntil(t, out, "No such file") // it went
	must(t, os.MkdirAll(filepath.Dir(path), 0o700))
	must(t, os.WriteFile(path, []byte("three times"), 0o600))
	readUntil(t, out, "three times")
}

func TestTheSystemTellsOfWork(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "queue")
	j, out := script(t, "worker", "for f in "+dir+"/*; do echo done $(basename $f); rm $f; exit; done")
	j.QueueDirectories = []string{dir + "/"}
	var d *daemon
	s := serve(t, Options{Jobs: []*registry.Job{j}, pace: time.Millisecond, started: func(of *daemon) { d = of }})
	d.do(func() error { d.opts.lookEvery = never; d.look(); return nil })
	must(t, os.Mkdir(dir, 0o700))
	for _, name := range []string{"a", "b"} {
		must(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
		readUntil(t, out, "done "+name)
	}
	s.ended("worker", 2)
}

// Who changes a path again and again starts the job once in its throttle.
func TestABurstOfChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "watched")
	j, out := script(t, "watcher", "echo run")
	j.WatchPaths, j.ThrottleInterval = []string{path}, never
	s := serve(t, Options{Jobs: []*registry.Job{j}, lookEvery: time.Millisecond})
	must(t, os.WriteFile(path, nil, 0o600))
	readUntil(t, out, "run")
	for n := 0; s.job("watcher").GetString(bootstrap.KeyState) != bootstrap.StateWaiting; n++ {
		must(t, os.WriteFile(path, make([]byte, n), 0o600))
	}
	for n := range 50 {
		must(t, os.WriteFile(path, make([]byte, n), 0o600))
	}
	reply, _ := s.tool(bootstrap.OpPrint, map[string]string{bootstrap.KeyLabel: "watcher"})
	if got := reply.GetDictionary(bootstrap.KeyJob).GetInt64("runs"); got != 1 {
		t.Errorf("%d starts within the hour that is the throttle, want 1 (R220)", got)
	}
}

// watching is a watcher, and what it tells.
func watching(t *testing.T) (w *watcher, told chan bool) {
	t.Helper()
	told = make(chan bool, 100)
	w, err := newWatcher(func() { told <- true })
	must(t, err)
	t.Cleanup(w.close)
	return w, told
}

func heard(t *testing.T, told chan bool) {
	t.Helper()
	select {
	case <-told:
	case <-time.After(patience):
		t.Fatal("the system told nothing")
	}
}

func TestWhatIsWatched(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Mkdir(dir+"/queue", 0o700))
	w, _ := watching(t)
	for _, tt := range []struct {
		why  string
		path string
		want []string
	}{
		{"the folder that a file is in", dir + "/file", []string{dir}},
		{"a folder, and the one it is in", dir + "/queue", []string{dir, dir + "/queue"}},
		{"the nearest that is there", dir + "/a/b/c", []string{dir}},
		{"the root has none above", "/", []string{"/"}},
	} {
		if !w.watch([]string{tt.path}) {
			t.Errorf("%s: not everything can be watched", tt.why)
		}
		got := w.system.WatchList()
		slices.Sort(got)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.why, got, tt.want)
		}
	}
}

// What has nothing to do with the paths is not worth a look, though the system tells of it.
func TestWhatMatters(t *testing.T) {
	dir := t.TempDir()
	w, told := watching(t)
	w.watch([]string{dir + "/a/b", dir + "/file"})
	must(t, os.WriteFile(dir+"/other", nil, 0o600))
	must(t, os.WriteFile(dir+"/file", nil, 0o600))
	heard(t, told)
	for name, want := range map[string]bool{"/other": false, "/file": true, "/a": true, "/a/c": false, "": true} {
		m := *w.matters.Load()
		if got := m[dir+name]; got != want {
			t.Errorf("%q: matters %v, want %v", name, got, want)
		}
	}
}

// A folder that another one has taken the place of is watched anew.
func TestAFolderIsExchanged(t *testing.T) {
	dir := t.TempDir()
	must(t, os.MkdirAll(dir+"/above/folder", 0o700))
	w, told := watching(t)
	w.watch([]string{dir + "/above/folder/file"})
	must(t, os.Rename(dir+"/above", dir+"/gone")) // the system does not tell those below
	must(t, os.MkdirAll(dir+"/above/folder", 0o700))
	if !w.watch([]string{dir + "/above/folder/file"}) {
		t.Error("the new folder cannot be watched")
	}
	must(t, os.WriteFile(dir+"/above/folder/file", nil, 0o600))
	heard(t, told)
}
