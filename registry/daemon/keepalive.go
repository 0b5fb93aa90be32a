package daemon

import (
	"maps"
	"slices"

	"github.com/openxpc/openxpc/registry/internal/launch"
)

// consider tells the job's machine whether it is to be kept running (R218, R219).
// What the last run came to is to be known before the machine hears of its end.
func (d *daemon) consider(j *job) {
	if d.closing || d.restoring { // then all are considered at the end
		return
	}
	why := d.whyKept(j, j.exited, j.status)
	if why == "" && j.dirty {
		why = "ended with open transactions"
	}
	if why == "" {
		d.tell(j, launch.Unwant)
		return
	}
	j.reason(why)
	d.tell(j, launch.Want)
}

// whyKept is why the job is to run after a run that ended like that, or "".
func (d *daemon) whyKept(j *job, exited bool, status int) string {
	switch k := j.file.KeepAlive; {
	case k != nil && k.Holds(exited, status, exists, func(label string) bool { return d.jobs[label] != nil }):
		return "keep alive"
	case slices.ContainsFunc(j.file.QueueDirectories, filled):
		return "queue directory"
	}
	return ""
}

// reason takes down why the job is going to be started, unless it runs.
func (j *job) reason(why string) {
	if j.proc == nil {
		j.because = why
	}
}

// considerOthers follows a change in which jobs are loaded.
func (d *daemon) considerOthers() { d.dependents.each(d.consider) }

// jobSet is those of the loaded jobs that something concerns, by label, so that
// it need not be asked of thousands that it does not concern.
type jobSet map[string]*job

// each does something to every job of the set; jobs may come and go meanwhile.
func (s jobSet) each(f func(*job)) {
	for _, label := range slices.Sorted(maps.Keys(s)) {
		if j := s[label]; j != nil {
			f(j)
		}
	}
}

// depends says whether the job's start depends on which others are loaded.
func (j *job) depends() bool {
	return j.file.KeepAlive != nil && len(j.file.KeepAlive.OtherJobEnabled) > 0
}

// looks says whether the job's start depends on what is in the file system.
func (j *job) looks() bool {
	return len(j.paths()) > 0
}
