package daemon

import (
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/registry/internal/launch"
)

// stamp is how a path looked. What differs has changed.
type stamp struct {
	there   bool
	changed time.Time
	size    int64
	mode    os.FileMode
}

// stampOf follows no symbolic link at the path's end: one that is replaced is a change.
func stampOf(path string) stamp {
	info, err := os.Lstat(path)
	if err != nil {
		return stamp{}
	}
	return stamp{true, info.ModTime(), info.Size(), info.Mode()}
}

func stampsOf(paths []string) []stamp {
	var all []stamp
	for _, path := range paths {
		all = append(all, stampOf(path))
	}
	return all
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
