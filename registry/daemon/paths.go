package daemon

import (
	"cmp"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/registry/internal/launch"
)

// stamp is how a path looked. What differs has changed.
type stamp struct {
	There   bool
	Changed int64 // in nanoseconds since 1970
	Size    int64
	Mode    os.FileMode
}

// stampOf follows no symbolic link at the path's end: one that is replaced is a change.
func stampOf(path string) stamp {
	info, err := os.Lstat(path)
	if err != nil {
		return stamp{}
	}
	return stamp{true, info.ModTime().UnixNano(), info.Size(), info.Mode()}
}

func stampsOf(paths []string) []stamp {
	var all []stamp
	for _, path := range paths {
		all = append(all, stampOf(path))
	}
	return all
}

// How often the paths that jobs depend on are looked at: when the system tells of
// changes, in case it does not tell of all, as with what other machines change and
// behind symbolic links; and when it does not.
const (
	lookSeldom = 30 * time.Second
	lookOften  = 2 * time.Second
)

// startLooking looks at paths soon, and from then on for as long as a job wants it.
func (d *daemon) startLooking() {
	if len(d.lookers) > 0 && !d.closing && !d.lookSoon {
		d.lookSoon = true
		d.lookIn(gather)
	}
}

func (d *daemon) lookIn(wait time.Duration) {
	if d.looking != nil {
		d.looking.Stop()
	}
	d.looking = time.AfterFunc(cmp.Or(d.opts.lookEvery, wait), func() { d.queue.Async(d.look) })
}

// look looks at the paths. They are watched before: what changes meanwhile is told.
func (d *daemon) look() {
	d.lookSoon = false
	if len(d.lookers) == 0 || d.closing {
		d.stopLooking()
		return
	}
	wait := lookOften
	if d.watchFolders() {
		wait = lookSeldom
	}
	d.lookers.each(d.consider)
	d.lookForChanges()
	d.lookIn(wait)
}

// watchFolders has the system tell of changes of all that is looked at; false if it does not.
func (d *daemon) watchFolders() bool {
	if d.watcher == nil {
		var err error
		if d.watcher, err = newWatcher(func() { d.queue.Async(d.look) }); err != nil {
			d.log.Debug("nothing tells of changed paths", "error", err)
			return false
		}
	}
	var paths []string
	for _, j := range d.lookers {
		paths = append(paths, j.paths()...)
	}
	return d.watcher.watch(paths)
}

func (d *daemon) stopLooking() {
	if d.looking != nil {
		d.looking.Stop()
	}
	if d.watcher != nil {
		d.watcher.close()
	}
	d.looking, d.watcher = nil, nil
}

// paths are those that the job's start depends on.
func (j *job) paths() []string {
	paths := append(slices.Clone(j.file.WatchPaths), j.file.QueueDirectories...)
	if j.file.KeepAlive != nil {
		paths = slices.AppendSeq(paths, maps.Keys(j.file.KeepAlive.PathState))
	}
	for i, path := range paths {
		paths[i] = filepath.Clean(path)
	}
	return paths
}

// lookForChanges starts the jobs whose WatchPaths have changed. One that runs is
// started again when it has ended: it may have read the old state (R219).
func (d *daemon) lookForChanges() {
	d.lookers.each(func(j *job) {
		changed := false
		for i, path := range j.file.WatchPaths {
			if now := stampOf(path); now != j.stamps[i] {
				j.stamps[i], changed = now, true
			}
		}
		if !changed {
			return
		}
		if j.proc != nil {
			j.again = true
			d.saveJob(j)
			return
		}
		j.reason("path changed")
		d.tell(j, launch.Run)
	})
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// filled says whether a folder has something in it.
func filled(dir string) bool {
	// A FIFO in the folder's place must not hold the daemon up.
	f, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	names, _ := f.Readdirnames(1)
	return len(names) > 0
}
