package daemon

import (
	"cmp"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/openxpc/openxpc/registry/internal/launch"
)

// lookEvery is how often paths are looked at that a job's KeepAlive names. To
// look is the same on every system.
const lookEvery = 2 * time.Second

// consider tells the job's machine whether it is to be kept running (R218, R219).
// What the last run came to is to be known before the machine hears of its end.
func (d *daemon) consider(j *job) {
	k := j.file.KeepAlive
	if k == nil || d.closing {
		return
	}
	if !k.Holds(j.exited, j.status, exists, func(label string) bool { return d.jobs[label] != nil }) {
		d.tell(j, launch.Unwant)
		return
	}
	if j.proc == nil {
		j.because = "keep alive"
	}
	d.tell(j, launch.Want)
}

// considerOthers follows a change in which jobs are loaded.
func (d *daemon) considerOthers() {
	d.considerAll(func(j *job) bool { return j.file.KeepAlive != nil && len(j.file.KeepAlive.OtherJobEnabled) > 0 })
}

func (d *daemon) considerAll(which func(*job) bool) {
	for _, label := range slices.Sorted(maps.Keys(d.jobs)) {
		if j := d.jobs[label]; j != nil && which(j) {
			d.consider(j)
		}
	}
}

// looks says whether the job's start depends on what is in the file system.
func (j *job) looks() bool {
	return j.file.KeepAlive != nil && len(j.file.KeepAlive.PathState) > 0
}

// startLooking looks at paths from now on, for as long as a job wants it.
func (d *daemon) startLooking() {
	looking := slices.ContainsFunc(slices.Collect(maps.Values(d.jobs)), (*job).looks)
	if !looking || d.looking || d.closing {
		return
	}
	d.looking = true
	time.AfterFunc(cmp.Or(d.opts.lookEvery, lookEvery), func() {
		d.queue.Async(func() {
			d.looking = false
			d.considerAll((*job).looks)
			d.startLooking()
		})
	})
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// startClock starts the job again and again (StartInterval). A run that is still
// going on when it is time takes the next one's place.
func (d *daemon) startClock(j *job) {
	every := j.file.StartInterval
	if every == 0 {
		return
	}
	j.clock = time.AfterFunc(every, func() {
		d.queue.Async(func() {
			if d.jobs[j.file.Label] != j {
				return
			}
			if j.proc == nil {
				j.because = "interval"
			}
			d.tell(j, launch.Run)
			d.startClock(j)
		})
	})
}
