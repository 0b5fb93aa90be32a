package integration_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// A job that crashes at its first two starts, with a throttle of a second. The
// message that launched it waits in the kernel's queue all the while, and is
// answered when the job comes good; the starts are the throttle apart (R219, R220).
func TestT35_ACrashLoop(t *testing.T) {
	w := begin(t)
	self, err := os.Executable()
	must(t, err)
	counter := filepath.Join(w.dir, "starts")
	text, err := json.Marshal(map[string]any{
		"Label": "unsteady", "MachServices": map[string]bool{serviceName: true}, "ThrottleInterval": 1,
		"ProgramArguments":     []string{"sh", "-c", `echo start >>"$COUNTER"; [ $(wc -l <"$COUNTER") -gt 2 ] || kill -KILL $$; exec "$SELF"`},
		"EnvironmentVariables": map[string]string{raceVariable: raceOptions, helperVariable: use(serviceHelper), "SELF": self, "COUNTER": counter},
	})
	must(t, err)
	path := filepath.Join(w.dir, "unsteady.json")
	must(t, os.WriteFile(path, text, 0o600))
	w.tool(bootstrap.OpLoad, bootstrap.KeyPath, path)

	c := w.to(serviceName)
	if m, ok := c.request(message("", "patience")).get("two crashes later").(*xpc.Dictionary); !ok || m.GetString("text") != "patience" {
		t.Errorf("the message that was queued at the first start is answered by the third: got %v", m)
	}
	c.quiet("nobody was interrupted: the crashed processes had not accepted anybody")
	starts := w.times(regexp.MustCompile(`time=(\S+) .* msg=started job=unsteady`))
	if len(starts) != 3 {
		t.Fatalf("%d starts, want 3", len(starts))
	}
	for i := 1; i < len(starts); i++ {
		// The log's clock may be set, and tells milliseconds.
		if d := starts[i].Sub(starts[i-1]); d < 990*time.Millisecond {
			t.Errorf("start %d came %v after the one before", i+1, d)
		}
	}
}

// times are those of the log's lines that the pattern fits.
func (w *world) times(pattern *regexp.Regexp) (all []time.Time) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.errors {
		if m := pattern.FindStringSubmatch(e); m != nil {
			at, err := time.Parse(time.RFC3339, m[1])
			must(w.t, err)
			all = append(all, at)
		}
	}
	return all
}

// A message that is sent while the job is down: after an orderly exit too.
func TestT36_AMessageWhileTheJobIsDown(t *testing.T) {
	w := begin(t, theService)
	c := w.to(serviceName)
	first := c.pid("it runs")
	w.kill(first)
	c.wants("it is down", interrupted)
	reply := c.ask("the message waits for the next process (R215)", message("", "sent to nobody"))
	if reply.GetString("text") != "sent to nobody" || int(reply.GetInt64("pid")) == first {
		t.Errorf("got %v", reply)
	}
}
