package daemon

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/registry/internal/launch"
)

// startClocks starts the job again and again, as StartInterval and
// StartCalendarInterval say. A run that is still going on when it is time takes
// the next one's place.
func (d *daemon) startClocks(j *job) {
	d.everyInterval(j)
	if next := j.file.NextStart(d.wall()); !next.IsZero() {
		d.at(j, next)
	}
}

func (d *daemon) everyInterval(j *job) {
	if j.file.StartInterval == 0 {
		return
	}
	if j.intervalEnd == 0 { // else it is that of an earlier daemon
		j.intervalEnd = d.now() + j.file.StartInterval
		d.saveJob(j)
	}
	j.interval = d.after(j, j.intervalEnd-d.now(), func() {
		j.intervalEnd = 0
		j.reason("interval")
		d.tell(j, launch.Run)
		d.everyInterval(j)
	})
}

// at starts the job at a time of the wall clock. That is looked at every minute:
// it may be set, and the machine may sleep. Times that were missed then count once.
func (d *daemon) at(j *job, next time.Time) {
	j.calendar = d.after(j, min(next.Sub(d.wall()), time.Minute), func() {
		if now := d.wall(); !now.Before(next) {
			j.reason("calendar")
			d.tell(j, launch.Run)
			next = j.file.NextStart(now)
		}
		if !next.IsZero() {
			d.at(j, next)
		}
	})
}

// after runs f on the queue, unless the job is unloaded before.
func (d *daemon) after(j *job, wait time.Duration, f func()) *time.Timer {
	return time.AfterFunc(wait, func() {
		d.queue.Async(func() {
			if d.jobs[j.file.Label] == j {
				f()
			}
		})
	})
}

func (j *job) stopClocks() {
	for _, t := range []*time.Timer{j.interval, j.calendar} {
		if t != nil {
			t.Stop()
		}
	}
}

// now is the time of the pure machines: that of the system since it was started,
// which goes on when the daemon is restarted.
func (d *daemon) now() time.Duration {
	var ts unix.Timespec
	unix.ClockGettime(clockMonotonic, &ts)
	return time.Duration(ts.Nano())
}

// wall is the time of day.
func (d *daemon) wall() time.Time {
	if d.opts.wall != nil {
		return d.opts.wall()
	}
	return time.Now()
}
