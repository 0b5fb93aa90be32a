package integration_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
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

// Row 20: requests that wait for their reply are bounded, and when the service dies
// each reply handler runs once.
func TestRow20_OutstandingReplies(t *testing.T) {
	conns, each := sized(16, 1), sized(62_500, 65_536) // 1,000,000, or as many as one connection may have
	w := begin(t, theService)
	var handled sync.WaitGroup
	times := make([]atomic.Int32, conns*each)
	clients := make([]*client, conns)
	keep := message("keep", "")
	for i := range clients {
		c := w.to(serviceName)
		clients[i] = c
		c.pid("launched")
		for j := range each {
			handled.Add(1)
			c.SendMessageWithReply(keep, nil, func(o xpc.Object) {
				if o != xpc.Object(xpc.ErrConnectionInterrupted) {
					t.Errorf("got %v, want INTERRUPTED (R127)", o)
				}
				if times[i*each+j].Add(1) == 1 {
					handled.Done()
				}
			})
		}
	}
	if !full() {
		if _, err := clients[0].SendMessageWithReplySync(w.ctx, keep); err == nil || !strings.Contains(err.Error(), "MaxPendingReplies") {
			t.Errorf("one request more than 65,536: got %v, want the limit by name", err)
		}
	}
	killed := time.Now()
	w.kill(w.running(theService))
	all := make(chan struct{})
	go func() { handled.Wait(); close(all) }() // ends when each was called
	await(t, "each reply handler runs", all)
	t.Logf("%d reply handlers ran within %v of the service's death", len(times), time.Since(killed))
	for _, c := range clients {
		c.wants("interrupted, and as usable as before", interrupted)
		c.pid("launched again")
	}
	for i := range times {
		if n := times[i].Load(); n != 1 {
			t.Fatalf("reply handler %d ran %d times, want once", i, n)
		}
	}
}

// Row 21: a client at full speed against a handler that takes a millisecond. It is
// read no further ahead than the limits, and another client has its share.
func TestRow21_OneWaySpamAndFairness(t *testing.T) {
	w := begin(t, theService)
	control := w.to(serviceName)
	v := w.victim(control.pid("launched"))
	ctx, stop := context.WithCancel(w.ctx)
	defer stop()
	var senders sync.WaitGroup
	defer senders.Wait()
	defer stop()
	var peers [2]int64
	for i := range peers {
		c := w.to(serviceName)
		peers[i] = c.ask("they share a serial queue", message("share queue", "")).GetInt64("peer")
		work := message("work", "")
		work.SetString("filler", strings.Repeat("x", 1000))
		for range []int{8, 1}[i] {
			senders.Go(func() {
				for c.Send(ctx, work) == nil {
				}
			})
		}
	}
	handled := func(peer int64) int64 {
		m := message("counted", "")
		m.SetInt64("n", peer)
		return control.ask("count", m).GetInt64("calls")
	}
	until := func(n int64) (a, b int64) {
		for a+b < n || b < 20 {
			a, b = handled(peers[0]), handled(peers[1])
		}
		return a, b
	}
	a0, b0 := until(100)
	a, b := until(a0 + b0 + int64(sized(20_000, 500)))
	a, b = a-a0, b-b0
	if share := float64(b) / float64(a+b); share < 0.4 {
		t.Errorf("of %d messages %.0f %% were the second client's, want 40 at least", a+b, 100*share)
	}
	if grown := v.resident() - v.memory; grown > mostGrowth && !raceEnabled {
		t.Errorf("the service has grown by %d MiB, the bound is %d", grown>>20, mostGrowth>>20)
	}
	t.Logf("%d and %d messages were handled", a, b)
}

// ping asks the registry for its pid by hand, and is its error and how long it took.
func (r *raw) ping() {
	r.send(append(hello(), frame(kindMessage, 1, 0, 1, dictionary(bootstrap.KeyOp, bootstrap.OpPing))...))
	b := make([]byte, 1<<12)
	n, err := unix.Read(r.fd, b)
	if err != nil || n == 0 {
		r.t.Errorf("the registry does not answer: %v", err)
	}
}

// Row 22: what one user's connections take of the registry, whether they ask for
// something or just say HELLO, leaves room for another user.
func TestRow22_OneUsersConnections(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user")
	}
	w := begin(t)
	registry := int(w.tool(bootstrap.OpPing, bootstrap.KeyName, "").GetInt64(bootstrap.KeyPID))
	must(t, os.Chmod(filepath.Dir(w.socket), 0o711))
	must(t, os.Chmod(w.socket, 0o666))
	path, err := unix.Open(w.socket, unix.O_PATH|unix.O_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(path)
	p := place{t, fmt.Sprintf("/proc/self/fd/%d", path)}
	v := w.victim(registry)
	const quota = 1024
	for _, b := range [][]byte{hello(), append(hello(), frame(kindMessage, 1, 0, 1, dictionary(bootstrap.KeyOp, bootstrap.OpPing))...)} {
		for range sized(4, 2) * quota {
			r := p.dial()
			defer r.close()
			r.send(b)
		}
	}
	for deadline := time.Now().Add(patience); v.count()-v.descriptors > 2*quota; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("one user has %d connections, want %d that asked and as many that did not at most", v.count()-v.descriptors, quota)
		}
	}
	for _, when := range []string{"behind those that were not accepted yet", "after them"} {
		asUser(t, otherUser, func() {
			start := time.Now()
			r := p.dial()
			defer r.close()
			r.ping()
			t.Logf("another user was served within %v, %s", time.Since(start), when)
		})
	}
}

// asUser runs f on a thread that is another user's, and ends with it.
func asUser(t *testing.T, uid int, f func()) {
	done := make(chan struct{})
	go func() { // ends with f, and its thread with it, as it is never unlocked
		defer close(done)
		runtime.LockOSThread()
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0)); errno != 0 {
			t.Errorf("cannot become user %d: %v", uid, errno)
			return
		}
		f()
	}()
	await(t, "another user's turn", done)
}

// Row 23: clients that say nothing, or a byte at a time, cost little and are gone
// soon after the 5 s that they have.
func TestRow23_SilentAndDripping(t *testing.T) {
	if !full() {
		t.Skip("TestHostileBytes has a few of them")
	}
	w := begin(t, job{label: "sturdy", helper: sturdyHelper, names: []string{sturdyName}})
	c := w.to(sturdyName)
	pid := c.pid("before")
	registry := int(w.tool(bootstrap.OpPing, bootstrap.KeyName, "").GetInt64(bootstrap.KeyPID))
	const many = 10_000
	for _, at := range []struct {
		what string
		p    place
		v    *victim
	}{
		{"the service", w.endpointOf(sturdyName), w.victim(pid)},
		{"the registry", place{t, w.socket}, w.victim(registry)},
	} {
		open := make([]*raw, many)
		start := time.Now()
		grown := 0
		for i := range open {
			open[i] = at.p.dial()
			if i%2 == 0 {
				open[i].send(hello()[:3])
			}
			grown = max(grown, at.v.resident()-at.v.memory)
		}
		dialed := time.Now()
		if each := grown / many; each > 8<<10 {
			t.Errorf("%s: one of them takes %d bytes, want 8 KiB at most", at.what, each)
		}
		c.pid("others are served meanwhile")
		at.v.recovers(at.what)
		t.Logf("%s: %d came within %v, took %d KiB at most and were gone %v after the last", at.what, many, dialed.Sub(start), grown>>10, time.Since(dialed))
		for _, r := range open {
			r.close()
		}
	}
}

// Data that came and is sent on to 100 clients is neither copied nor mapped by its
// sender: all of them are given the one file, and whoever looks maps it for himself.
func TestR022_FanOutToHundredClients(t *testing.T) {
	if !sealed {
		t.Skip("what is not sealed is copied")
	}
	w := begin(t, theService)
	const many, size = 100, 8 << 20
	came := make(chan *xpc.Data, many)
	clients := make([]*client, many)
	for i := range clients {
		c := w.to(serviceName)
		clients[i] = c
		c.onMessage(func(m *xpc.Dictionary) { came <- m.Get("data").(*xpc.Data) })
		c.pid("a client that the service knows")
	}
	v := w.victim(w.running(theService))
	text := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	m := message("fan out", "")
	m.SetData("data", text)
	publisher := w.to(serviceName)
	publisher.pid("both sides have said HELLO: what is long is shared from here on")
	publisher.ask("sent to all who spoke before", m)
	data := make([]*xpc.Data, many)
	for i, c := range clients {
		data[i] = await(t, "each client gets it", came)
		c.wants("once", "got ")
	}
	// Under one descriptor where the kernel says that it is the same file, or one of each client.
	if files, open := memoryFiles(t, os.Getpid()); files != 1 || open != 1 && open < many {
		t.Errorf("the clients, all of this process, hold %d files under %d descriptors, want the one that each was given", files, open)
	}
	if files, open := memoryFiles(t, v.pid); files != 1 || open != 1 {
		t.Errorf("the service holds %d files under %d descriptors, want the one that came", files, open)
	}
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", v.pid))
	must(t, err)
	if n := strings.Count(string(maps), "memfd:"); n != 0 {
		t.Errorf("the service has mapped it %d times, although it looked at nothing", n)
	}
	if grown := v.resident() - v.memory; grown > size/2 && !raceEnabled {
		t.Errorf("the service has grown by %d KiB", grown>>10)
	}
	for _, d := range data {
		if !bytes.Equal(d.Bytes(), text) {
			t.Fatal("it came changed")
		}
	}
}

// memoryFiles counts the files in memory that a process holds, and its descriptors of them.
func memoryFiles(t *testing.T, pid int) (files, open int) {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	must(t, err)
	inodes := map[uint64]bool{}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if to, err := os.Readlink(path); err != nil || !strings.HasPrefix(to, "/memfd:xpc") {
			continue
		}
		if st, err := os.Stat(path); err == nil {
			open++
			inodes[st.Sys().(*syscall.Stat_t).Ino] = true
		}
	}
	return len(inodes), open
}
