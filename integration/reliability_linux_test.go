package integration_test

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/xpc/wire"
)

// The rows are those of the demands on a service under attack, as docs/design.md
// lists them in section 7.

// full says that the figures are those that are demanded, which take minutes; else
// they are smaller.
func full() bool { return os.Getenv(soakVariable) != "" }

// sized is the full figure or the one for every day.
func sized(demanded, daily int) int {
	if full() {
		return demanded
	}
	return daily
}

// endpointOf is where a hostile client dials the service of that name.
func (w *world) endpointOf(name string) place {
	fd := place{w.t, w.socket}.endpoint(name)
	w.t.Cleanup(func() { unix.Close(fd) })
	return place{w.t, fmt.Sprintf("/proc/self/fd/%d", fd)}
}

// pour writes requests until n are written or the other side takes no more for a
// second, and says how many it took whole.
func (r *raw) pour(n int) int {
	request := frame(kindMessage, 1, 0, 1, wire.AppendMapHeader(nil, 0))
	const batch = 500
	var b []byte
	for range batch {
		b = append(b, request...)
	}
	sent := 0
	for rest := b; sent < n*len(request); {
		m, err := unix.Write(r.fd, rest)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return sent / len(request)
		}
		sent += m
		if rest = rest[m:]; len(rest) == 0 {
			rest = b
		}
	}
	return n
}

// cutOff waits until the other side has closed, without reading.
func (r *raw) cutOff(why string) {
	r.t.Helper()
	fds := []unix.PollFd{{Fd: int32(r.fd)}} // a hang-up is always told
	for deadline := time.Now().Add(patience); ; {
		n, err := unix.Poll(fds, int(time.Until(deadline).Milliseconds()))
		switch {
		case errors.Is(err, unix.EINTR):
		case n == 0:
			r.t.Fatalf("%s: the connection was left open", why)
		default:
			return
		}
	}
}

// Row 19: 16 clients that ask 100,000 times each and never read. What waits for each
// is bounded, so the service stays small; others are served; after the patience of
// the limit, by default 30 s, they are cut off.
func TestRow19_RepliesNeverRead(t *testing.T) {
	j := job{label: "sturdy", helper: sturdyHelper, names: []string{sturdyName}}
	if !full() {
		j.env = map[string]string{patienceVariable: "1s"}
	}
	w := begin(t, j)
	c := w.to(sturdyName)
	pid := c.pid("before")
	p := w.endpointOf(sturdyName)
	v := w.victim(pid)

	const asked = 100_000
	offenders := make([]*raw, 16)
	took := make(chan int)
	for i := range offenders {
		r := p.dial()
		defer r.close()
		offenders[i] = r
		r.send(hello())
		go func() { took <- r.pour(asked) }() // ends within a second of the service's last read
	}
	for range offenders {
		if n := await(t, "an offender is stopped", took); n == asked {
			t.Errorf("all %d requests were read, although no reply was", n)
		}
	}
	if grown := v.resident() - v.memory; grown > mostGrowth && !raceEnabled {
		t.Errorf("the service has grown by %d MiB, the bound is %d", grown>>20, mostGrowth>>20)
	} else {
		t.Logf("the service has grown by %d KiB", grown>>10)
	}
	if c.pid("others are served meanwhile") != pid {
		t.Error("the service has not lived through it")
	}
	for i, r := range offenders {
		r.cutOff(fmt.Sprintf("offender %d", i))
	}
	v.recovers("afterwards")
	c.quiet("the good client never noticed")
}
