package integration_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// soakVariable is how long TestSoak takes, such as 60s; it is larger then.
const soakVariable = "SOAK"

// soak is clients that call services at random while these, and the registry, are killed.
type soak struct {
	*supervisor
	jobs []job
	over atomic.Bool
	pids sync.Map // of services, as they have answered

	replies, interruptions, kills, twice atomic.Int64
}

func TestSoak(t *testing.T) {
	jobs, clients, length := 12, 8, 3*time.Second
	if text := os.Getenv(soakVariable); text != "" {
		var err error
		length, err = time.ParseDuration(text)
		must(t, err)
		jobs, clients = 200, 50
	}
	k := &soak{}
	for i := range jobs {
		k.jobs = append(k.jobs, job{label: fmt.Sprint("soak", i), helper: serviceHelper, names: []string{fmt.Sprintf("com.example.soak.%d", i)},
			env: map[string]string{forgetVariable: "1"}})
	}
	k.supervisor = superviseLater(t, k.jobs...)
	ctx, cancel := context.WithTimeout(context.Background(), length+5*patience)
	defer cancel()
	k.ctx = ctx
	k.start()
	k.everyNameAnswers()
	before := k.weigh()

	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() { k.client(rand.New(rand.NewPCG(1, uint64(i)))) })
	}
	all.Go(k.killServices)
	restarts := 0
	for end := time.Now().Add(length); time.Now().Before(end); restarts++ {
		pause := time.NewTimer(time.Duration(rand.IntN(1000)) * time.Millisecond)
		<-pause.C
		if restarts%4 == 3 {
			k.upgrade()
		} else {
			k.restart()
		}
	}
	k.over.Store(true)
	all.Wait()
	k.everyNameAnswers()
	if n := k.twice.Load(); n > 0 {
		t.Errorf("%d requests were answered twice", n)
	}
	if k.replies.Load() == 0 || k.interruptions.Load() == 0 {
		t.Errorf("%d replies and %d interruptions: this has shown nothing", k.replies.Load(), k.interruptions.Load())
	}
	after := k.weigh()
	for ; after.descriptors > before.descriptors && ctx.Err() == nil; after = k.weigh() {
	}
	if after.descriptors > before.descriptors {
		t.Errorf("xpcd has %d descriptors, before %d", after.descriptors, before.descriptors)
	}
	if after.kept > before.kept+1 { // there may be two journals for a moment
		t.Errorf("the supervisor keeps %d descriptors, before %d", after.kept, before.kept)
	}
	if !raceEnabled && after.memory > before.memory+before.memory/2+16<<20 {
		t.Errorf("xpcd has %d bytes, before %d", after.memory, before.memory)
	}
	t.Logf("%d jobs, %d clients, %v: %d replies, %d interruptions, %d services killed, xpcd restarted %d times; descriptors %d to %d, resident memory %d to %d KiB",
		jobs, clients, length, k.replies.Load(), k.interruptions.Load(), k.kills.Load(), restarts,
		before.descriptors, after.descriptors, before.memory>>10, after.memory>>10)
}

// client calls services, one after another, until it is over.
func (k *soak) client(r *rand.Rand) {
	for !k.over.Load() {
		name := k.jobs[r.IntN(len(k.jobs))].names[0]
		c := xpc.NewMachServiceConnection(name, nil, 0)
		c.SetEventHandler(func(xpc.Object) {})
		c.Activate()
		for n := r.IntN(40); n >= 0; n-- {
			k.call(c, name, strconv.FormatUint(r.Uint64(), 36))
		}
		c.Cancel()
		<-c.Done()
	}
}

// call makes one request, which has to end in one way or the other.
func (k *soak) call(c *xpc.Connection, name, text string) {
	answers := make(chan xpc.Object, 2)
	var count atomic.Int64
	c.SendMessageWithReply(message("", text), nil, func(o xpc.Object) {
		if count.Add(1) > 1 {
			k.twice.Add(1)
			return
		}
		answers <- o
	})
	select {
	case o := <-answers:
		m, ok := o.(*xpc.Dictionary)
		switch {
		case ok && m.GetString("text") == text:
			k.replies.Add(1)
			k.pids.Store(name, int(m.GetInt64("pid")))
		case o == xpc.Object(xpc.ErrConnectionInterrupted):
			k.interruptions.Add(1)
		default:
			k.t.Errorf("%s: the answer is %v: %s", name, o, c.InvalidationReason())
			k.over.Store(true)
		}
	case <-k.ctx.Done():
		k.t.Errorf("%s: a request has no end", name)
		k.over.Store(true)
	}
}

// killServices kills services that have answered.
func (k *soak) killServices() {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !k.over.Load() {
		<-tick.C
		name := k.jobs[rand.IntN(len(k.jobs))].names[0]
		if pid, ok := k.pids.LoadAndDelete(name); ok && isHelper(pid.(int)) && syscall.Kill(pid.(int), syscall.SIGKILL) == nil {
			k.kills.Add(1)
		}
	}
}

// isHelper makes sure that a process is one of this test's: its id may be another's by now.
func isHelper(pid int) bool {
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	return err == nil && strings.Contains(string(env), helperVariable+"="+serviceHelper)
}

func (k *soak) everyNameAnswers() {
	k.t.Helper()
	for _, j := range k.jobs {
		c := xpc.NewMachServiceConnection(j.names[0], nil, 0)
		c.SetEventHandler(func(xpc.Object) {})
		c.Activate()
		for {
			_, err := c.SendMessageWithReplySync(k.ctx, message("", ""))
			if err == nil {
				break
			}
			if !errors.Is(err, xpc.ErrConnectionInterrupted) || k.ctx.Err() != nil {
				k.t.Errorf("%s: %v", j.names[0], err)
				break
			}
		}
		c.Cancel()
		<-c.Done()
	}
}

// weight is what the registry takes.
type weight struct{ descriptors, kept, memory int }

func (k *soak) weigh() (w weight) {
	k.t.Helper()
	k.tool(bootstrap.OpPing, bootstrap.KeyName, "")
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", k.registry.Process.Pid))
	must(k.t, err)
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", k.registry.Process.Pid))
	must(k.t, err)
	var size int
	fmt.Sscan(string(text), &size, &w.memory)
	w.memory *= os.Getpagesize()
	w.descriptors = len(entries)
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, files := range k.kept {
		w.kept += len(files)
	}
	return w
}
