package integration_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// waysToRestart are what a registry must survive.
var waysToRestart = []struct {
	name string
	do   func(*supervisor)
}{
	{"kill", (*supervisor).restart},
	{"upgrade", (*supervisor).upgrade},
}

func TestRestart_NobodyNotices(t *testing.T) {
	for _, way := range waysToRestart {
		t.Run(way.name, func(t *testing.T) {
			s := supervise(t, theService)
			c := s.to(serviceName)
			pid := c.pid("it runs")
			for range 3 {
				way.do(s)
				if got := c.pid("the connection goes on"); got != pid {
					t.Errorf("the process %d answers, want %d", got, pid)
				}
				if got := s.running(theService); got != pid {
					t.Errorf("the registry knows of process %d, want %d", got, pid)
				}
				fresh := s.to(serviceName)
				if got := fresh.pid("a new client"); got != pid {
					t.Errorf("a new client is answered by %d, want %d: one instance", got, pid)
				}
				fresh.Cancel()
				fresh.wants("cancelled", invalid)
			}
			c.quiet("a connection between programs is none of the registry's business")
			s.kill(pid)
			c.wants("it has ended", interrupted)
			next := c.pid("the registry has seen it, and has taken the name back")
			if next == pid {
				t.Error("who was killed has answered")
			}
			if got := s.running(theService); got != next {
				t.Errorf("the registry knows of process %d, want %d", got, next)
			}
		})
	}
}

// A service that has not spoken yet serves its name in a registry that has not started it.
func TestRestart_BeforeAServiceHasSpoken(t *testing.T) {
	for _, way := range waysToRestart {
		t.Run(way.name, func(t *testing.T) {
			s := supervise(t, lateService)
			reply, pid := s.launchLate()
			way.do(s)
			s.goAhead(pid)
			if got := reply.pid("the client that it was started for"); got != pid {
				t.Errorf("%d answers, want %d", got, pid)
			}
			s.becomesActive(lateService, "the new registry knows who serves the name")
			if got := s.running(lateService); got != pid {
				t.Errorf("the registry knows of process %d, want %d", got, pid)
			}
		})
	}
}

// While no registry is there a client queues at the name's socket, and at the registry's.
func TestRestart_ClientsQueue(t *testing.T) {
	s := supervise(t, theService)
	known := s.to(serviceName)
	s.tool(bootstrap.OpLookUp, bootstrap.KeyName, serviceName)
	pid := known.pid("it runs")
	s.kill(pid)
	known.wants("killed", interrupted)
	s.crash()
	first := known.request(message("", "one"))
	second := s.to(serviceName).request(message("", "two"))
	s.start()
	for _, p := range []outcome{first, second} {
		if m, ok := p.get("it waited").(*xpc.Dictionary); !ok || m.GetInt64("pid") == 0 {
			t.Error("a client that waited for the registry was not answered")
		}
	}
}

// adHoc registers a name, and is ordered to end.
var adHoc = helper("ad-hoc", func() {
	s := &service{}
	s.listen(helperArgument())
	say("listens")
	for range orders() {
	}
})

func TestRestart_AdHocNames(t *testing.T) {
	const name = "com.example.adhoc"
	for _, way := range waysToRestart {
		t.Run(way.name, func(t *testing.T) {
			s := supervise(t)
			p := s.run(adHoc, name)
			s.says("it has asked", adHoc, "listens")
			early := s.registered(name)
			early.pid("registered")
			way.do(s)
			early.pid("known")
			fresh := s.to(name)
			if got := fresh.pid("the name is there at once"); got != p.Process.Pid {
				t.Errorf("%d answers, want %d", got, p.Process.Pid)
			}
			fresh.Cancel()
			fresh.wants("cancelled", invalid)
			for owner := 0; owner != p.Process.Pid; {
				names := s.tool(bootstrap.OpList, bootstrap.KeyName, "").GetArray(bootstrap.KeyNames)
				if names.Count() != 1 {
					t.Fatal("the name is gone")
				}
				owner = int(names.GetDictionary(0).GetInt64(bootstrap.KeyPID)) // 0 until it is back
				if s.ctx.Err() != nil {
					t.Fatal("the program never claimed its name again")
				}
			}
			way.do(s)
			p.end()
			early.wants("the program that had the name is gone", interrupted)
			early.wants("and the name with it", invalid)
		})
	}
}

// registered waits until somebody serves the name, and connects.
func (w *world) registered(name string) *client {
	w.t.Helper()
	for {
		m := xpc.NewDictionary()
		m.SetString(bootstrap.KeyOp, bootstrap.OpLookUp)
		m.SetString(bootstrap.KeyName, name)
		w.tool(bootstrap.OpPing, bootstrap.KeyName, "")
		reply, err := w.tools.SendMessageWithReplySync(w.ctx, m)
		must(w.t, err)
		if reply.GetInt64(bootstrap.KeyError) == 0 {
			return w.to(name)
		}
	}
}

// xpcd is killed at each step of a launch: whatever it had told its supervisor by
// then, one instance answers in the end, and every client.
func TestRestart_KilledAtEachStep(t *testing.T) {
	for step := 1; ; step++ {
		done := false
		t.Run(fmt.Sprint("message ", step), func(t *testing.T) {
			s := superviseLater(t, theService)
			s.killAt = step
			s.start()
			clients := []*client{s.to(serviceName), s.to(serviceName)}
			var calls []outcome
			for _, c := range clients {
				calls = append(calls, c.request(message("", "")))
			}
			answered := make(chan struct{})
			var pids []int64
			go func() {
				defer close(answered)
				for _, p := range calls {
					if m, ok := p.get("it is answered in the end").(*xpc.Dictionary); ok {
						pids = append(pids, m.GetInt64("pid"))
					}
				}
			}()
			select {
			case <-s.killed:
				s.gone()
				s.start()
			case <-answered:
				s.mu.Lock()
				done = s.messages < step
				s.killAt = 0
				s.mu.Unlock()
				if !done && s.restarts == 0 {
					<-s.killed
					s.gone()
					s.start()
				}
			}
			await(t, "everybody is answered", answered)
			if len(pids) != 2 || pids[0] != pids[1] {
				t.Errorf("answered by %d, want one instance for both", pids)
			}
			if got := s.running(theService); len(pids) > 0 && got != int(pids[0]) {
				t.Errorf("the registry knows of process %d, want %d", got, pids[0])
			}
		})
		if done || t.Failed() {
			return
		}
	}
}

// The registry is killed while it takes note of the end of a job's process: with each
// of the last records lost that it has written, the next client is served.
func TestRestart_KilledAsAProcessEnds(t *testing.T) {
	for name, end := range map[string]func(s *supervisor, pid int){
		"under its eyes": func(s *supervisor, pid int) {
			s.kill(pid)
			s.dies("it is noticed", "msg=exited")
		},
		"before it is back": func(s *supervisor, pid int) {
			s.stop(pid)
			s.restart()
			s.kill(pid)
			s.dies("it is noticed", "msg=exited")
		},
		"meanwhile": func(s *supervisor, pid int) {
			s.crash()
			s.kill(pid)
			s.start()
		},
	} {
		for lost, written := 0, 0; lost <= written && !t.Failed(); lost++ {
			t.Run(fmt.Sprintf("%s, %d lost", name, lost), func(t *testing.T) {
				s := supervise(t, theService)
				c := s.to(serviceName)
				pid := c.pid("it runs")
				s.becomesActive(theService, "it has checked in, and that is written down")
				before := len(s.records())
				end(s, pid)
				for s.running(theService) != 0 {
				}
				s.crash()
				all := s.records()
				written = len(all) - before
				s.truncate(all[len(all)-1-lost])
				s.start()
				if next := s.to(serviceName).pid("a client comes"); next == pid {
					t.Error("who has ended has answered")
				}
				c.wants("its process has ended", interrupted)
			})
		}
	}
}

// The same while a job is unloaded: the registry that comes next goes on with that, or has
// the job as it was.
func TestRestart_KilledAsAJobIsUnloaded(t *testing.T) {
	for lost, written := 0, 0; lost <= written && !t.Failed(); lost++ {
		t.Run(fmt.Sprintf("%d lost", lost), func(t *testing.T) {
			s := supervise(t, theService)
			c := s.to(serviceName)
			pid := c.pid("it runs")
			c.Cancel()
			c.wants("cancelled", invalid)
			s.becomesActive(theService, "it has checked in, and that is written down")
			before := len(s.records())
			s.unload(theService)
			s.crash()
			all := s.records()
			written = len(all) - before
			s.truncate(all[len(all)-1-lost])
			s.start()
			loaded := s.tool(bootstrap.OpList, bootstrap.KeyLabel, theService.label).GetArray(bootstrap.KeyJobs).Count() > 0
			if loaded != (lost >= written) {
				t.Errorf("loaded is %v, with %d of %d records lost", loaded, lost, written)
			}
			if loaded && s.to(serviceName).pid("a client comes") == pid {
				t.Error("who has ended has answered")
			}
		})
	}
}

// A job that has become somebody else cannot reach the registry's folder. It is the
// job all the same when it comes back: it gives its name up, and has it again.
func TestRestart_AsSomebodyElse(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become somebody else")
	}
	other := theService
	other.env = map[string]string{userVariable: "1"}
	for _, way := range waysToRestart {
		t.Run(way.name, func(t *testing.T) {
			s := supervise(t, other)
			c := s.to(serviceName)
			pid := c.pid("it runs")
			for range 2 {
				way.do(s)
				c.ask("it gives the name up", message("cancel listener", ""))
				s.says("the listener's own end", "service", "listener "+invalid)
				waits := s.to(serviceName).request(message("", "queued"))
				c.ask("it listens again, which only the job may", message("listen again", ""))
				if m, ok := waits.get("it is served").(*xpc.Dictionary); !ok || m.GetInt64("pid") != int64(pid) {
					t.Errorf("got %v, want an answer of %d", m, pid)
				}
			}
		})
	}
}

// What a process had open when it ended is known to the registry that comes next, too (R185).
func TestRestart_AJobThatDiesBusy(t *testing.T) {
	for name, then := range map[string]func(s *supervisor, pid int){
		"after an upgrade": func(s *supervisor, pid int) { s.upgrade(); s.kill(pid) },
		"after a crash":    func(s *supervisor, pid int) { s.restart(); s.kill(pid) },
		"during a crash":   func(s *supervisor, pid int) { s.crash(); s.kill(pid); s.start() },
	} {
		t.Run(name, func(t *testing.T) {
			s := supervise(t)
			s.transactional(nil, 1, "EnablePressuredExit")
			c := s.to(keeperName)
			c.SendMessage(message("never end", ""))
			s.says("a transaction that nobody ends", "transactions", "never ends")
			then(s, s.running(job{label: "transactions"}))
			s.dies("nobody waits for it, and it runs again", `because="ended with open transactions"`)
			c.wants("its client has sent nothing since", interrupted)
		})
	}
}

// What changes while no registry runs is a change all the same: the next one knows how it was.
func TestRestart_APathThatChangesMeanwhile(t *testing.T) {
	for _, way := range []struct {
		name string
		do   func(s *supervisor, change func())
	}{
		{"crash", func(s *supervisor, change func()) { s.crash(); change(); s.start() }},
		{"upgrade", func(s *supervisor, change func()) { s.upgrade(); change() }},
	} {
		t.Run(way.name, func(t *testing.T) {
			s := supervise(t)
			watched, file := filepath.Join(s.dir, "watched"), filepath.Join(s.dir, "watcher.json")
			text := fmt.Sprintf(`{"Label": "watcher", "ProgramArguments": ["true"], "WatchPaths": [%q]}`, watched)
			must(t, os.WriteFile(file, []byte(text), 0o600))
			s.tool(bootstrap.OpLoad, bootstrap.KeyPath, file)
			way.do(s, func() { must(t, os.WriteFile(watched, nil, 0o600)) })
			s.dies("it is noticed", `because="path changed"`)
		})
	}
}
