package integration_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// The watchdog is fed by the queue on which everything is done, at half the time
// that the service manager gives.
func TestManager_Watchdog(t *testing.T) {
	s := superviseLater(t, theService)
	s.env = append(s.env, "WATCHDOG_USEC=200000")
	s.start()
	for range 3 {
		s.awaits("WATCHDOG=1")
	}
	must(t, s.registry.Process.Signal(syscall.SIGSTOP))
	must(t, s.registry.Process.Signal(syscall.SIGCONT))
	s.upgrade()
	s.awaits("WATCHDOG=1")
}

// A watchdog that is another process's is not fed.
func TestManager_SomebodyElsesWatchdog(t *testing.T) {
	s := superviseLater(t)
	s.env = append(s.env, "WATCHDOG_USEC=1000", "WATCHDOG_PID=1")
	s.start()
	s.awaits("READY=1")
	s.tool(bootstrap.OpPing, bootstrap.KeyName, "")
	s.crash()
	for len(s.told) > 0 {
		if text := <-s.told; text == "WATCHDOG=1" {
			t.Error("it is fed")
		}
	}
	s.start()
}

// systemd's tool listens for xpcd and starts it when somebody comes.
func TestManager_SocketActivation(t *testing.T) {
	tool, err := exec.LookPath("systemd-socket-activate")
	if err != nil {
		t.Skip("there is no systemd-socket-activate here")
	}
	w, args := prepare(t, theService)
	dir := filepath.Dir(w.socket)
	must(t, exec.Command("mkdir", "-m", "700", dir).Run())
	ready := make(chan struct{})
	listens := make(chan struct{})
	log := w.registryLog(ready)
	errs := w.pipe(func(text string) {
		if strings.HasPrefix(text, "Listening on ") {
			close(listens)
		}
		log(text)
	})
	out := w.pipe(w.take)
	w.registry = exec.Command(tool, append([]string{"-l", w.socket, xpcd(t)}, args...)...)
	w.registry.Stdout, w.registry.Stderr = out, errs
	must(t, w.registry.Start())
	out.Close()
	errs.Close()
	t.Setenv(bootstrap.EnvRegistry, w.socket)
	t.Cleanup(func() {
		w.registry.Process.Signal(syscall.SIGTERM)
		w.registry.Wait()
		w.close()
	})
	select {
	case <-listens: // its file is there earlier
	case <-w.ctx.Done():
		t.Fatal("the tool never listened")
	}
	select {
	case <-ready:
		t.Error("it was started for nobody")
	default:
	}
	c := w.to(serviceName)
	if pid := c.pid("the first client starts xpcd, and is answered"); w.running(theService) != pid {
		t.Error("another process is the job's")
	}
	hangup := time.Now()
	must(t, w.registry.Process.Signal(syscall.SIGHUP))
	for {
		m := message("", "")
		m.SetString(bootstrap.KeyOp, bootstrap.OpStatus)
		if reply, err := w.tools.SendMessageWithReplySync(w.ctx, m); err != nil {
			continue // it was executed anew meanwhile
		} else if reply.GetDate(bootstrap.KeyStarted) > hangup.UnixNano() {
			break
		}
	}
	c.pid("it goes on")
	if exec.Command("test", "-S", w.socket).Run() != nil {
		t.Error("the socket is the service manager's, and must stay")
	}
}

// A registry that comes back without a memory gets its ad-hoc names back from the
// programs that have them, and clients find them there.
func TestManager_NoMemory(t *testing.T) {
	const name = "com.example.adhoc"
	s := supervise(t)
	p := s.run(adHoc, name)
	s.says("it has asked", adHoc, "listens")
	first := s.registered(name)
	first.pid("registered")
	s.crash()
	s.forget()
	s.tools = nil // what led to a registry that was gone leads nowhere
	s.start()
	again := s.registered(name)
	if got := again.pid("it has registered again, and serves the new socket"); got != p.Process.Pid {
		t.Errorf("%d answers, want %d", got, p.Process.Pid)
	}
	first.pid("and the old connection never noticed")
	first.quiet("nor was told")
	p.end()
	first.wants("the end of the program", interrupted)
	again.wants("likewise", interrupted)
	again.wants("the name is gone", invalid)
	first.wants("for both", invalid)
}

// A service manager that has no room for more is not asked to keep more, if it has
// told how much it takes, and either way the log says what is not kept. Nothing that
// goes on by itself is lost with it: a running service takes its name's new socket.
func TestManager_Full(t *testing.T) {
	const most = 11 // the journals, the lock, the door, and what a running service has
	for _, tt := range []struct {
		what string
		env  []string
	}{{"it tells (systemd 254)", []string{fmt.Sprintf("FDSTORE=%d", most)}}, {"it does not", nil}} {
		t.Run(tt.what, func(t *testing.T) {
			others := job{label: "others", helper: serviceHelper}
			for i := range 5 {
				others.names = append(others.names, fmt.Sprintf("com.example.other%d", i))
			}
			s := superviseLater(t, theService, others)
			s.most, s.env = most, append(s.env, tt.env...)
			s.start()
			c := s.to(serviceName)
			pid := c.pid("it runs")
			for _, name := range others.names {
				s.tool(bootstrap.OpLookUp, bootstrap.KeyName, name)
			}
			if tt.env != nil {
				s.dies("told at once", "keeps no more descriptors")
			}
			s.restart()
			s.dies("told when it is found out", "has not kept all sockets")
			if got := c.pid("the connection goes on"); got != pid {
				t.Errorf("the process %d answers, want %d", got, pid)
			}
			if got := s.to(serviceName).pid("a new client"); got != pid {
				t.Errorf("a new client is answered by %d, want %d", got, pid)
			}
			for _, name := range others.names {
				s.tool(bootstrap.OpLookUp, bootstrap.KeyName, name)
			}
		})
	}
}
