package integration_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// transactionHelper is a service that keeps requests open, and once it is told that
// it is to end asks their client first. It is Main's.
var transactionHelper = helper("transactions", func() {
	xpc.Main(func(c *xpc.Connection) {
		p := &keeper{Connection: c}
		c.SetEventHandler(p.handle)
		c.Activate()
	})
})

type keeper struct {
	*xpc.Connection
	kept *xpc.Dictionary // a reply
}

func (k *keeper) handle(o xpc.Object) {
	m, ok := o.(*xpc.Dictionary)
	switch {
	case o == xpc.Object(xpc.ErrTerminationImminent):
		say("is to end")
		// Ends with the process.
		go k.finish()
	case !ok:
		say("%s", eventName(o))
	case m.GetString("do") == "keep":
		k.kept = m.CreateReply()
		say("keeps %s", m.GetString("text"))
	case m.GetString("do") == "never end":
		xpc.TransactionBegin()
		say("never ends")
	default:
		k.answer(m.CreateReply(), m.GetString("text"))
	}
}

func (k *keeper) answer(reply *xpc.Dictionary, text string) {
	if reply == nil {
		say("got %s", text)
		return
	}
	reply.SetString("text", text)
	reply.SetInt64("pid", int64(os.Getpid()))
	k.SendMessage(reply)
}

// finish asks the client whether it may end, and closes the transaction.
func (k *keeper) finish() {
	answer, err := k.SendMessageWithReplySync(testContext(), message("", "may I end?"))
	if err != nil {
		say("%v", err)
		return
	}
	if k.kept != nil {
		k.answer(k.kept, answer.GetString("text"))
	}
}

// transactional is a job of that helper's; command is its command line, or nil, and
// more are keys that are true. A machine that is busy must not make a difference, so
// its time to end is long.
func (w *world) transactional(command []string, exitTimeOut int, more ...string) {
	w.t.Helper()
	self, err := os.Executable()
	must(w.t, err)
	if command == nil {
		command = []string{self}
	}
	file := map[string]any{
		"Label": "transactions", "ProgramArguments": command, "MachServices": map[string]bool{keeperName: true},
		"EnvironmentVariables": map[string]string{raceVariable: raceOptions, helperVariable: use(transactionHelper), "SELF": self},
		"ThrottleInterval":     0, "EnableTransactions": true, "ExitTimeOut": exitTimeOut,
	}
	for _, key := range more {
		file[key] = true
	}
	text, err := json.Marshal(file)
	must(w.t, err)
	path := filepath.Join(w.dir, "transactions.json")
	must(w.t, os.WriteFile(path, text, 0o600))
	w.tool(bootstrap.OpLoad, bootstrap.KeyPath, path)
}

const (
	keeperName = "com.example.keeper"
	longTime   = 600 // seconds, for ExitTimeOut
)

// idle has the service serve somebody, and be done with it: its peer's last event is
// handled after everything else of that peer. It is the service's pid.
func (w *world) idle() int {
	w.t.Helper()
	c := w.to(keeperName)
	pid := c.pid("it serves")
	c.Cancel()
	w.says("and is idle after that", "transactions", invalid)
	return pid
}

// unloading unloads the job; the outcome is there when its process has ended.
func (w *world) unloading() outcome {
	w.t.Helper()
	m := xpc.NewDictionary()
	m.SetString(bootstrap.KeyOp, bootstrap.OpUnload)
	m.SetString(bootstrap.KeyLabel, "transactions")
	o := outcome{w, make(chan xpc.Object, 8)}
	w.tools.SendMessageWithReply(m, nil, func(got xpc.Object) { o.c <- got })
	return o
}

// exited wants the registry's log to tell the status of the job's process.
func (w *world) exited(why string, status int) {
	w.t.Helper()
	w.dies(why, fmt.Sprintf(" status=%d", status))
}

// question is the service's question, to be answered when the test wants.
type question struct {
	asked chan *xpc.Dictionary
}

func (c *client) awaitQuestion() *question {
	q := &question{asked: make(chan *xpc.Dictionary, 8)}
	c.onMessage(func(m *xpc.Dictionary) { q.asked <- m.CreateReply() })
	return q
}

func (q *question) answer(c *client, text string) {
	c.w.t.Helper()
	reply := await(c.w.t, "the service asks", q.asked)
	reply.SetString("text", text)
	c.SendMessage(reply)
}

func TestT34_StoppingAnIdleJob(t *testing.T) {
	for name, command := range map[string][]string{"itself": nil, "behind a wrapper": {"sh", "-c", `"$SELF"; exit $?`}} {
		t.Run(name, func(t *testing.T) {
			w := begin(t)
			w.transactional(command, longTime)
			w.idle()
			w.unloading().get("it is stopped at once")
			w.exited("an idle job is killed without SIGTERM (R184)", -int(syscall.SIGKILL))
		})
	}
}

func TestT34_StoppingABusyJob(t *testing.T) {
	for name, command := range map[string][]string{"itself": nil, "behind a wrapper": {"sh", "-c", `"$SELF"; exit $?`}} {
		t.Run(name, func(t *testing.T) {
			w := begin(t)
			w.transactional(command, longTime)
			c := w.to(keeperName)
			q := c.awaitQuestion()
			kept := c.request(message("keep", "a request"))
			w.says("the transaction is open", "transactions", "keeps a request")
			unloaded := w.unloading()
			w.says("its peer is told (R125)", "transactions", "is to end")
			c.wants("what it sends still leaves (R125)", "got may I end?")
			c.SendMessage(message("", "too late"))
			late := c.request(message("", "too late as well"))
			kept.open("nobody ends a busy job before its time")
			unloaded.open("so the registry waits")
			q.answer(c, "yes")
			if m, ok := kept.get("its last reply").(*xpc.Dictionary); !ok || m.GetString("text") != "yes" {
				t.Errorf("the reply that was sent last arrives: got %v", m)
			}
			unloaded.get("the end of the last transaction is the end of the process (R186)")
			w.exited("and an orderly one", 0)
			late.wants("what came after the notice was never delivered (R186)", xpc.ErrConnectionInterrupted)
			c.wants("the name is gone", interrupted, invalid)
			w.silent("no message was delivered after the notice", "transactions")
		})
	}
}

func TestR184_StoppingAJobThatIgnoresIt(t *testing.T) {
	w := begin(t)
	w.transactional(nil, 1)
	c := w.to(keeperName)
	q := c.awaitQuestion()
	c.SendMessage(message("never end", ""))
	w.says("a transaction that nobody ends", "transactions", "never ends")
	unloaded := w.unloading()
	w.says("", "transactions", "is to end")
	c.wants("", "got may I end?")
	q.answer(c, "yes")
	unloaded.get("it had its time")
	w.dies("the registry says so", "did not end in time")
	w.exited("and killed it (R186)", -int(syscall.SIGKILL))
	c.wants("the name is gone", interrupted, invalid)
}

func TestR184_StoppingAJobThatStandsStill(t *testing.T) {
	w := begin(t)
	w.transactional(nil, 10)
	pid := w.idle()
	w.stop(pid)
	unloaded := w.unloading()
	w.dies("a process that stands still answers nothing", "does not say whether it is idle")
	unloaded.open("SIGTERM waits for it")
	w.goOn(pid)
	unloaded.get("and is as good: it is idle, and ends")
	w.exited("by itself", 0)
}

// SIGTERM from somebody else means the same; the job stays loaded.
func TestR186_SIGTERMFromElsewhere(t *testing.T) {
	w := begin(t)
	w.transactional(nil, longTime)
	first := w.idle()
	must(t, syscall.Kill(first, syscall.SIGTERM))
	w.exited("it is idle, and ends in order (R190)", 0)

	c := w.to(keeperName)
	q := c.awaitQuestion()
	kept := c.request(message("keep", "a request"))
	w.says("the next message launches it again", "transactions", "keeps a request")
	second := c.pid("its number")
	must(t, syscall.Kill(second, syscall.SIGTERM))
	w.says("it is busy, and its peer is told", "transactions", "is to end")
	c.wants("", "got may I end?")
	next := w.to(keeperName)
	waiting := next.request(message("", "for the next"))
	q.answer(c, "yes")
	if _, ok := kept.get("the last reply").(*xpc.Dictionary); !ok {
		t.Error("it did not come")
	}
	c.wants("then it ends", interrupted)
	w.exited("in order", 0)
	m, ok := waiting.get("a client that it did not accept").(*xpc.Dictionary)
	if !ok || m.GetInt64("pid") == int64(second) || m.GetInt64("pid") == int64(first) {
		t.Errorf("is served by the next process, not interrupted: got %v", m)
	}
	next.Cancel()
	w.says("which is idle when the registry ends", "transactions", invalid)
}
