package daemon

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/fsnotify/fsnotify"
)

// gather is how long changes are gathered before the paths are looked at.
const gather = 50 * time.Millisecond

// mostEntries is how many entries a folder may have to be watched with kqueue, where
// each of them takes a descriptor.
const mostEntries = 64

// watcher has the system tell when there may be something new at the paths that
// somebody looks at. It is a hint to look at once, no more: what is there decides.
type watcher struct {
	system  *fsnotify.Watcher
	folders map[string]fs.FileInfo // watched
	matters atomic.Pointer[map[string]bool]
}

// newWatcher calls changed, on a goroutine of its own, soon after a change that matters.
func newWatcher(changed func()) (*watcher, error) {
	system, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	w := &watcher{system: system, folders: map[string]fs.FileInfo{}}
	w.matters.Store(&map[string]bool{})
	// Ends with close.
	go w.listen(changed)
	return w, nil
}

func (w *watcher) close() { w.system.Close() }

func (w *watcher) listen(changed func()) {
	var soon <-chan time.Time
	for {
		news := false
		select {
		case <-soon:
			soon = nil
			changed()
		case e, ok := <-w.system.Events:
			if !ok {
				return
			}
			m := *w.matters.Load()
			news = m[e.Name] || m[filepath.Dir(e.Name)+"/"]
		case _, ok := <-w.system.Errors: // some events were lost
			if !ok {
				return
			}
			news = true
		}
		if news && soon == nil {
			soon = time.After(gather)
		}
	}
}

// watch watches these paths and no others. It is false if the system will not tell of
// every change of one of them.
func (w *watcher) watch(paths []string) (all bool) {
	want, matters := map[string]bool{}, map[string]bool{}
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			want[path], matters[path+"/"] = true, true
		}
		folder, next := nearest(path)
		want[folder], matters[folder], matters[next] = true, true, true
	}
	w.matters.Store(&matters)
	before := w.folders
	w.folders = map[string]fs.FileInfo{}
	for _, folder := range w.system.WatchList() {
		info, err := os.Stat(folder)
		if err == nil && want[folder] && os.SameFile(info, before[folder]) {
			w.folders[folder] = info
		} else { // or another one has taken its place
			w.system.Remove(folder)
		}
	}
	all = true
	for folder := range want {
		if w.folders[folder] != nil {
			continue
		}
		info, err := os.Stat(folder)
		if err != nil || !canWatch(folder) || w.system.Add(folder) != nil {
			all = false
			continue
		}
		w.folders[folder] = info
	}
	return all
}

// nearest is the nearest folder above a path that is there, and the entry of it that
// leads to the path.
func nearest(path string) (folder, next string) {
	for {
		folder = filepath.Dir(path)
		if info, err := os.Stat(folder); err == nil && info.IsDir() || folder == path {
			return folder, path
		}
		path = folder
	}
}

func canWatch(folder string) bool {
	if runtime.GOOS == "linux" {
		return true
	}
	f, err := os.Open(folder)
	if err != nil {
		return false
	}
	defer f.Close()
	names, _ := f.Readdirnames(mostEntries + 1)
	return len(names) <= mostEntries
}
