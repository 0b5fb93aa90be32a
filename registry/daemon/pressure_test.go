package daemon

import (
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/openxpc/openxpc/registry"
	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// pressed is a registry with a job that may be ended when memory is scarce, and the
// moment when it is.
func pressed(t *testing.T, role string) (s *served, relieve func()) {
	t.Helper()
	j := transactional(t, role)
	j.EnablePressuredExit, j.ThrottleInterval = true, time.Hour
	var d *daemon
	s = serve(t, Options{Jobs: []*registry.Job{j}, started: func(of *daemon) { d = of }})
	return s, func() { d.do(func() error { d.relieve(); return nil }) }
}

func TestMemoryIsScarceAndAJobIdle(t *testing.T) {
	s, relieve := pressed(t, "stubborn") // SIGTERM would not end it
	c := s.connect("com.example.echo", 0)
	first := c.pid("it serves, and is idle again")
	for s.job("echo").Get(bootstrap.KeyPID) != nil {
		relieve() // the answer may be on its way to us before the transaction has ended there
	}
	c.wantEvent("who is connected is told", xpc.ErrConnectionInterrupted)
	if e := s.job("echo"); e.Get(bootstrap.KeyStatus) == nil || e.GetInt64(bootstrap.KeyStatus) != 0 {
		t.Errorf("to be ended while idle is a success (R188): %v", e)
	}
	if second := c.pid("and who needs it next does not wait for the throttle, which is an hour (R188)"); second == first {
		t.Errorf("pid %d again", first)
	}
}

func TestMemoryIsScarceAndAJobBusy(t *testing.T) {
	s, relieve := pressed(t, "busy")
	c := s.connect("com.example.echo", 0)
	first := c.pid("it serves, with a transaction open")
	relieve()
	for range 2 {
		if again := c.pid("a busy job goes on (R185), and takes messages as before"); again != first {
			t.Errorf("pid %d, then %d", first, again)
		}
	}
}

// The kernel takes what it is asked to watch for; that memory really is scarce is
// more than a test may bring about.
func TestTheKernelTellsOfPressure(t *testing.T) {
	if _, err := os.Stat("/proc/pressure/memory"); runtime.GOOS != "linux" || err != nil {
		t.Skip("nothing here tells of pressure")
	}
	cancel, err := onPressure(func() {})
	if os.IsPermission(err) {
		t.Skip(err)
	}
	must(t, err)
	cancel()
}
