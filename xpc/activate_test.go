package xpc

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/openxpc/openxpc/xpc/internal/lifecycle"
)

func TestActivateAtEachMoment(t *testing.T) {
	lifeEvent{does: func(r *ring) { r.c.Activate() }, cells: []cell{
		{"", inactive, "", "",
			"R50, R53, R54: activation looks the name up and dials nothing, so no peer appears yet"},
		{"named endpoint", queued, "frames: hello, message m, request c; barriers: b", "",
			"R55, R63, R78: what was sent before goes out in order"},
		{"accepted", queued, "frames: message m, request c; barriers: b", "",
			"R55, R63, R78: what was sent before goes out in order"},
		{"", looking, "", "frames: hello, request c",
			"R56: nothing; what waits for the registry goes out after its answer"},
		{"", dialing, "", "frames: hello, message m, request c; barriers: b",
			"R56: nothing; what waits for the socket goes out on it"},
		{"", idle, "", "",
			"R56: activate on an active connection does nothing"},
		{"", awaiting, "", "",
			"R56: nothing, the call waits on"},
		{"", handling, "", "events: next",
			"R56, R66: the next event waits for the handler"},
		{"", suspended, "", "",
			"R56, R58: activate is no resume"},
		{"", probing, "", "frames: e2 hello; events: INTERRUPTED; replies: c=INTERRUPTED",
			"R56: nothing; the listener answers, so this was an interruption (R124)"},
		{"", canceled, "", "",
			"R83: an invalid connection stays so"},
	}}.run(t)
}

func TestUnknownNameIsToldByActivationOnly(t *testing.T) {
	bubble(t, fromName, func(t *testing.T, r *ring) {
		r.o.lookUps(errUnknown)
		r.want("R50, T1: making a connection asks nobody", "")
		if reason := r.c.InvalidationReason(); reason != "" {
			t.Errorf("a valid connection has the invalidation reason %q (R91)", reason)
		}
		r.c.Activate()
		r.want("R50, T2: the name is unknown, and that is final", "events: INVALID, finalizer, done")
		if reason := r.c.InvalidationReason(); reason != errUnknown.Error() {
			t.Errorf("the invalidation reason is %q, want the registry's %q (R91)", reason, errUnknown)
		}
		err := r.sync(t.Context(), "x").result()
		if !errors.Is(err, ErrConnectionInvalid) || !errors.Is(err, ErrUnknownName) {
			t.Errorf("got %v, want INVALID at once, and why (R85, R122)", err)
		}
	})
}

func TestActivationLooksUpAndTheFirstSendDials(t *testing.T) {
	bubble(t, fromName, func(t *testing.T, r *ring) {
		wantCount := func(why string, looks, dials int) {
			t.Helper()
			settle()
			if a, b := r.o.count(); a != looks || b != dials {
				t.Errorf("%d look-ups and %d dials, want %d and %d: %s", a, b, looks, dials, why)
			}
		}
		wantCount("R50: nothing before activation", 0, 0)
		r.c.Activate()
		wantCount("R53, R54: activation looks up, and launches nothing", 1, 0)
		r.barrier("b")
		wantCount("a barrier alone is no reason to launch a service", 1, 0)
		r.send("x")
		wantCount("R53, R54: the first send dials", 1, 1)
		r.want("R53: the peer hears of the connection together with its first message",
			"frames: hello, message x; barriers: b")
		r.send("y")
		wantCount("the socket is kept", 1, 1)
	})
}

func TestActivationWithoutHandlerIsMisuse(t *testing.T) {
	for name, activate := range map[string]func(*Connection){"activate": (*Connection).Activate, "resume": (*Connection).Resume} {
		c := newConnection(lifecycle.Endpoint, "", &ringOrigin{}, nil)
		if text := misuseOf(func() { activate(c) }); !strings.Contains(text, "needs an event handler") {
			t.Errorf("%s without an event handler: got %q, want the remedy (R65)", name, text)
		}
		if MisuseInfo() == "" {
			t.Error("MisuseInfo is empty after a misuse (R16)")
		}
		c.SetEventHandler(func(Object) {})
		c.Cancel()
		<-c.Done()
	}
}

func TestCredentialsBeforeAndAfterTheFirstExchange(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		known := func() bool { return r.c.PID() != 0 && r.c.EUID() != -1 && r.c.EGID() != -1 }
		if r.from == fromListener {
			if !known() {
				t.Error("an accepted peer's credentials are known at once (R106)")
			}
			return
		}
		unknown := r.c.PID() == 0 && r.c.EUID() == -1 && r.c.EGID() == -1 && r.c.ASID() == -1
		r.c.Activate()
		r.send("x")
		settle()
		if !unknown || r.c.PID() != 0 {
			t.Error("before the other side said HELLO it is pid 0, and -1 for the others (R195)")
		}
		r.p().hello()
		settle()
		if r.c.PID() != os.Getpid() || r.c.EUID() != os.Geteuid() || r.c.EGID() != os.Getegid() {
			t.Errorf("afterwards they are the service's, got pid %d (R195)", r.c.PID())
		}
		pid := r.c.PID()
		r.c.Cancel()
		settle()
		if r.c.PID() != pid {
			t.Error("the last known ones stay after the end (R199)")
		}
	})
}

func TestNameIsWhatTheConnectionWasMadeWith(t *testing.T) {
	for k, want := range map[from]string{fromName: "com.example.ring", fromEndpoint: "", fromListener: ""} {
		bubble(t, k, func(t *testing.T, r *ring) {
			if got := r.c.Name(); got != want {
				t.Errorf("Name is %q, want %q (R90)", got, want)
			}
		})
	}
}
