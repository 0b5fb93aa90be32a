package daemon

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/openxpc/openxpc/registry"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

func TestWatchPaths(t *testing.T) {
	path := filepath.Join(t.TempDir(), "watched")
	j, out := script(t, "watcher", "echo run; cat "+path)
	j.WatchPaths = []string{path}
	s := serve(t, Options{Jobs: []*registry.Job{j}, lookEvery: time.Millisecond})
	if e := s.job("watcher"); e.Get(bootstrap.KeyPID) != nil {
		t.Fatalf("nothing has changed yet: %v", e)
	}
	for _, text := range []string{"one", "number two"} {
		// Renamed into place, so that no half of it is seen.
		must(t, os.WriteFile(path+".new", []byte(text), 0o600))
		must(t, os.Rename(path+".new", path))
		readUntil(t, out, text)
	}
}

// A change while the job runs starts it again: it may have read the old state.
func TestAChangeWhileTheJobRuns(t *testing.T) {
	dir := t.TempDir()
	path, gate := filepath.Join(dir, "watched"), filepath.Join(dir, "gate")
	j, out := script(t, "watcher", "echo run $(cat "+path+"); while ! test -e "+gate+"; do sleep 0.01; done")
	j.WatchPaths, j.RunAtLoad = []string{path}, true
	s := serve(t, Options{Jobs: []*registry.Job{j}, lookEvery: time.Millisecond})
	readUntil(t, out, "run")
	must(t, os.WriteFile(path, []byte("news"), 0o600))
	must(t, os.WriteFile(gate, nil, 0o600))
	readUntil(t, out, "run news")
	s.ended("watcher", 2)
}

func TestQueueDirectories(t *testing.T) {
	dir := t.TempDir()
	j, out := script(t, "worker", "for f in "+dir+"/*; do echo done $(basename $f); rm $f; exit; done")
	j.QueueDirectories = []string{filepath.Join(dir, "none"), dir}
	s := serve(t, Options{Jobs: []*registry.Job{j}, lookEvery: time.Millisecond, pace: time.Millisecond})
	if e := s.job("worker"); e.Get(bootstrap.KeyPID) != nil {
		t.Fatalf("there is no work yet: %v", e)
	}
	for _, name := range []string{"a", "b"} {
		must(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
	}
	readUntil(t, out, "done a")
	readUntil(t, out, "done b") // run after run, until the folder is empty
	s.ended("worker", 2)
}
