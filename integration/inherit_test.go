package integration_test

import (
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// lateHelper is the service, which uses the library only when it is told to.
var lateHelper = helper("late", func() {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGUSR1)
	say("waits")
	<-told
	s := &service{}
	s.listen(os.Getenv(serviceNameVariable))
	select {}
})

var lateService = job{label: "late", helper: lateHelper, names: []string{serviceName}}

// launchLate has a client's message start the late service, and returns what will
// be its reply, and the service's pid.
func (w *world) launchLate() (outcome, int) {
	w.t.Helper()
	reply := w.to(serviceName).request(message("", "who"))
	w.says("a message has started it", lateHelper, "waits")
	return reply, w.running(lateService)
}

func (w *world) goAhead(pid int) {
	w.t.Helper()
	must(w.t, syscall.Kill(pid, syscall.SIGUSR1))
}

func (o outcome) pid(why string) int {
	o.w.t.Helper()
	m, ok := o.get(why).(*xpc.Dictionary)
	if !ok {
		o.w.t.Fatalf("%s: it was not answered", why)
	}
	return int(m.GetInt64("pid"))
}

// active says whether the job has checked the service's name in.
func (w *world) active(j job) bool {
	w.t.Helper()
	all := w.tool(bootstrap.OpPrint, bootstrap.KeyLabel, j.label).GetDictionary(bootstrap.KeyJob)
	return all.GetDictionary("endpoints").GetDictionary(serviceName).GetBool("active")
}

func (w *world) becomesActive(j job, why string) {
	w.t.Helper()
	for !w.active(j) {
		if w.ctx.Err() != nil {
			w.t.Fatalf("%s: nobody has checked the name in", why)
		}
	}
}

// A launched service has what it needs: it does not wait for its registry.
func TestTheFirstReplyDoesNotWaitForTheRegistry(t *testing.T) {
	w := begin(t, lateService)
	reply, pid := w.launchLate()
	w.stop(w.registry.Process.Pid)
	w.goAhead(pid)
	if got := reply.pid("while the registry stands still"); got != pid {
		t.Errorf("%d answers, want %d", got, pid)
	}
	w.goOn(w.registry.Process.Pid)
	w.becomesActive(lateService, "it has told the registry")
}
