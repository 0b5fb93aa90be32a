package daemon

import (
	"testing"
	"time"

	"github.com/openxpc/openxpc/registry"
)

func TestStartInterval(t *testing.T) {
	j, out := script(t, "often", "echo run")
	j.StartInterval = time.Millisecond
	serve(t, Options{Jobs: []*registry.Job{j}})
	readUntil(t, out, "run")
	readUntil(t, out, "run")
}

// The first time that the daemon asks for is right before the job's.
func TestStartCalendarInterval(t *testing.T) {
	const any = registry.Any
	j, out := script(t, "daily", "echo run")
	j.StartCalendar = []registry.Calendar{{Minute: 0, Hour: 3, Day: any, Weekday: any, Month: any}}
	var begun time.Time
	wall := func() time.Time { // called on the daemon's queue only
		if begun.IsZero() {
			begun = time.Now()
		}
		return time.Date(2024, 1, 1, 2, 59, 59, 999e6, time.UTC).Add(time.Since(begun))
	}
	serve(t, Options{Jobs: []*registry.Job{j}, wall: wall})
	readUntil(t, out, "run")
}
