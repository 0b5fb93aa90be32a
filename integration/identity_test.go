package integration_test

import (
	"os"
	"testing"

	"github.com/openxpc/openxpc/credentials"
	"github.com/openxpc/openxpc/xpc"
)

func TestT31_R195_Credentials(t *testing.T) {
	w := begin(t, theService)
	c := w.to(serviceName)
	if c.PID() != 0 || c.EUID() != -1 || c.EGID() != -1 || c.ASID() != -1 {
		t.Errorf("before the first exchange: pid %d, euid %d, egid %d, asid %d", c.PID(), c.EUID(), c.EGID(), c.ASID())
	}
	reply := c.ask("the service is asked whom it sees", message("who am I", ""))
	if got, want := c.PID(), int(reply.GetInt64("pid")); got != want {
		t.Errorf("afterwards the peer is pid %d, not %d", want, got)
	}
	if c.EUID() != os.Geteuid() || c.EGID() != os.Getegid() {
		t.Errorf("of the same user: euid %d, egid %d", c.EUID(), c.EGID())
	}
	if want, err := credentials.AuditSession(c.PID()); err == nil && c.ASID() != want {
		t.Errorf("in audit session %d, not %d", want, c.ASID())
	}
	for key, want := range map[string]int{"your pid": os.Getpid(), "your uid": os.Geteuid(), "your gid": os.Getegid()} {
		if got := int(reply.GetInt64(key)); got != want {
			t.Errorf("an accepted peer knows at once (R106): %s %d, want %d", key, got, want)
		}
	}
	if got := int(reply.GetInt64("sender")); got != os.Getpid() && got != 0 {
		t.Errorf("the message's own sender is pid %d", got)
	}
}

// The listening socket is xpcd's until the service has checked in, and who
// connected before sees xpcd in it: HELLO says better.
func TestR195_QueuedClientLearnsTheService(t *testing.T) {
	j := theService
	if os.Geteuid() == 0 {
		j.env = map[string]string{userVariable: "yes"}
	}
	w := begin(t, j)
	queued := w.to(serviceName)
	pid := queued.pid("it was queued before the service ran")
	late := w.to(serviceName)
	late.pid("it came when the service listened")
	for what, c := range map[string]*client{"queued": queued, "late": late} {
		if c.PID() != pid || c.PID() == w.registry.Process.Pid {
			t.Errorf("%s: the peer is pid %d, want the service %d; xpcd is %d", what, c.PID(), pid, w.registry.Process.Pid)
		}
		if os.Geteuid() == 0 && c.EUID() != otherUser {
			t.Errorf("%s: the service runs as user %d, not %d", what, otherUser, c.EUID())
		}
	}
}

func TestR195_NoDeadProcessIsSeen(t *testing.T) {
	w := begin(t, theService)
	first := w.to(serviceName)
	dead := first.pid("launched")
	w.kill(dead)
	first.wants("it is gone", interrupted)
	c := w.to(serviceName)
	if c.PID() != 0 {
		t.Errorf("before an exchange nobody is known: pid %d", c.PID())
	}
	pid := c.pid("a new client after the service's death")
	if pid == dead || c.PID() != pid {
		t.Errorf("the peer is pid %d, the service %d, the dead one %d", c.PID(), pid, dead)
	}
	if again := first.pid("the old client"); again != pid || first.PID() != pid {
		t.Errorf("the old client's peer is pid %d, the service %d", first.PID(), again)
	}
}

// Whoever answers in place of a program that cannot run is not taken for the service.
func TestR195_RefusalTellsNobody(t *testing.T) {
	w := begin(t, missing(t))
	c := w.to(missingName)
	c.fails("nothing runs", message("", ""), xpc.ErrLaunchFailed)
	c.wants("told", interrupted)
	if c.PID() == w.registry.Process.Pid {
		t.Errorf("xpcd is taken for the service")
	}
}
