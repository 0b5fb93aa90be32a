package integration_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/integration/leaktest"
	"github.com/openxpc/openxpc/xpc"
)

// relays are services that know nothing of what passes through them.
var relays = []job{
	{label: "relay", helper: serviceHelper, names: []string{"com.example.relay"}},
	{label: "relay2", helper: serviceHelper, names: []string{"com.example.relay2"}},
}

// An endpoint in a dictionary of dictionaries, relayed through two processes that
// have ended since, leads where it always did, as long as its listener lives.
func TestR160_NestedEndpointThroughTwoRelays(t *testing.T) {
	w := begin(t, theService, relays[0], relays[1])
	home := w.to(serviceName)
	inner := xpc.NewDictionary()
	inner.Set("endpoint", home.ask("an endpoint", message("endpoint", "")).Get("endpoint"))
	middle := xpc.NewDictionary()
	middle.Set("list", xpc.NewArray(inner, xpc.String("beside it")))
	for _, r := range relays {
		m := message("echo", "")
		m.Set("middle", middle)
		c := w.to(r.names[0])
		middle = c.ask("through "+r.label, m).GetDictionary("middle")
		w.kill(w.running(r))
		c.wants(r.label+" is gone", interrupted)
	}
	inner = middle.GetArray("list").Get(0).(*xpc.Dictionary)
	first := w.toEndpoint(inner.Get("endpoint").(*xpc.Endpoint))
	second := w.inactive(inner.CreateConnection("endpoint"))
	second.Activate()
	for _, c := range []*client{first, second} {
		if pid := c.pid("any number of connections (R108)"); pid != w.running(theService) {
			t.Errorf("pid %d answers, want the listener's", pid)
		}
	}
	home.ask("the listener is cancelled", message("cancel listener", ""))
	first.wants("gone for good (R160)", invalid)
	second.wants("for everybody", invalid)
}

// What can be seen of an anonymous listener from outside, its address in the
// system's own table, does not lead to it: only an endpoint does.
func TestAnonymousListenerCannotBeDialedWithoutEndpoint(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere an endpoint is a path that cannot be guessed")
	}
	before := socketAddresses(t)
	l := xpc.NewConnection("", nil)
	l.SetEventHandler(func(xpc.Object) {})
	l.Activate()
	defer func() { l.Cancel(); <-l.Done() }()
	xpc.NewEndpoint(l)
	tried := 0
	for address := range socketAddresses(t) {
		if before[address] {
			continue
		}
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		must(t, err)
		if err := unix.Connect(fd, &unix.SockaddrUnix{Name: address}); err == nil && strings.Contains(address, "xpc-") {
			t.Errorf("%s can be dialed by who was given nothing", address)
		}
		unix.Close(fd)
		tried++
	}
	if tried == 0 {
		t.Error("the listener's address was not seen, so nothing was tried")
	}
}

func socketAddresses(t *testing.T) map[string]bool {
	b, err := os.ReadFile("/proc/net/unix")
	must(t, err)
	found := map[string]bool{}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 8 {
			found[f[7]] = true
		}
	}
	return found
}

// 10,000 descriptors there and back, and the service killed with others under way:
// neither side keeps one (R159).
func TestTenThousandDescriptorsLeakNowhere(t *testing.T) {
	j := theService
	j.env = map[string]string{"GOGC": "off"} // the collector is not what closes them
	w := begin(t, j)
	c := w.to(serviceName)
	fd, err := xpc.NewFD(0)
	must(t, err)
	defer fd.Close()
	const each = 250
	list := xpc.NewArray()
	for range each {
		list.Append(fd)
	}
	m := message("count", "")
	m.Set("list", list)
	there := func() int64 {
		return c.ask("descriptors", message("descriptors", "")).GetInt64("descriptors")
	}
	theirs := there()
	pid := w.running(j) // the harness keeps a connection for such questions
	ours := leaktest.Descriptors()
	for range 10_000 / each {
		must(t, c.Send(context.Background(), m))
	}
	if n := there(); n != theirs {
		t.Errorf("after 10,000 descriptors the service has %d open, before %d", n, theirs)
	}
	m.SetString("do", "echo")
	for range 2_000 / each {
		closeFDs(c.ask("there and back", m).GetArray("list"))
	}
	for range 10 { // the next are in every state when it dies
		m.SetString("do", "count")
		must(t, c.Send(context.Background(), m))
		c.request(m)
	}
	w.kill(pid)
	c.wants("killed", interrupted)
	if n := there(); n > theirs {
		t.Errorf("its successor has %d descriptors open, want no more than %d", n, theirs)
	}
	for deadline := time.Now().Add(patience); leaktest.Descriptors() > ours; runtime.GC() { // the old socket is closed behind our back
		if time.Now().After(deadline) {
			t.Fatalf("this side has %d open, before %d", leaktest.Descriptors(), ours)
		}
	}
}

func closeFDs(list *xpc.Array) {
	for i := range list.Count() {
		list.Get(i).(*xpc.FD).Close()
	}
}

// Large data and shared memory cross between processes, and one piece of data
// reaches many clients without a copy (R22, R28).
func TestR022_LargeDataThroughServices(t *testing.T) {
	w := begin(t, theService, relays[0])
	s, err := xpc.NewSharedData(8 << 20)
	must(t, err)
	for i := range s.Bytes() {
		s.Bytes()[i] = byte(i >> 12)
	}
	d, err := s.Freeze()
	must(t, err)
	shm, err := xpc.NewSharedMemory(1)
	must(t, err)
	defer shm.Close()
	m := message("echo", "")
	m.Set("data", d)
	m.Set("memory", shm)
	c := w.to(serviceName)
	got := c.ask("there and back", m)
	if !bytes.Equal(got.GetData("data"), s.Bytes()) {
		t.Error("the data came back changed")
	}
	mine, err := shm.Map()
	must(t, err)
	theirs, err := got.Get("memory").(*xpc.SharedMemory).Map()
	must(t, err)
	mine[0] = 42
	if theirs[0] != 42 || len(theirs) != shm.Len() {
		t.Error("what came back is other memory (R28)")
	}
	m = message("echo", "")
	m.Set("data", got.Get("data"))
	for i := range 10 {
		if b := w.to("com.example.relay").ask(fmt.Sprint("relay ", i), m).GetData("data"); !bytes.Equal(b, s.Bytes()) {
			t.Error("data that was sent on came changed")
		}
	}
	w.kill(w.running(theService))
	c.wants("killed", interrupted)
	if !bytes.Equal(got.GetData("data"), s.Bytes()) {
		t.Error("data must not end with its sender")
	}
}

// A peer that does not read costs only its sender, and only as much as the limit
// says: others are served, Send waits, and SendMessage ends that one connection
// with the limit's name (R78, R155).
func TestR155_PeerThatDoesNotRead(t *testing.T) {
	w := begin(t, theService, relays[0])
	slow, other := w.to(serviceName), w.to("com.example.relay")
	slow.SetLimits(xpc.Limits{MaxQueuedBytes: 8 << 20})
	pid := slow.pid("running")
	other.pid("running")
	w.stop(pid)

	m := message("count", "")
	m.SetString("filler", strings.Repeat("x", 256<<10))
	ctx, cancel := context.WithCancel(context.Background())
	waits := make(chan error, 1)
	sent := make(chan struct{}, 1000)
	go func() { // ends when Send does
		for {
			if err := slow.Send(ctx, m); err != nil {
				waits <- err
				return
			}
			sent <- struct{}{}
		}
	}()
	await(t, "the first fits", sent)
	for range 20 {
		other.ask("others are served", message("", ""))
	}
	cancel()
	if err := await(t, "Send waits for room until its context ends", waits); err != context.Canceled {
		t.Errorf("Send gave %v", err)
	}
	if n := len(sent); n > 32 {
		t.Errorf("%d messages of 256 KiB were taken for a peer that does not read, the limit is 8 MiB", n)
	}
	barrier := make(chan struct{})
	slow.SendBarrier(func() { close(barrier) })
	select {
	case <-barrier:
		t.Error("the barrier passed what is not written (R153)")
	default:
	}
	w.goOn(pid)
	await(t, "the barrier paces: it comes when there is room", barrier)

	w.stop(pid)
	for range 1000 {
		slow.SendMessage(m)
		if slow.InvalidationReason() != "" {
			break
		}
	}
	if why := slow.InvalidationReason(); !strings.Contains(why, "MaxQueuedBytes") {
		t.Errorf("the reason is %q, want the limit by name", why)
	}
	slow.wants("only this connection ends", invalid)
	other.pid("the other is served")
}

// Memory that a message carries is not in the socket's buffer, so that buffer does
// not bound it: the sender does.
func TestStop_SharedDataIsBounded(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere what was sent cannot be seen to be unread")
	}
	w := begin(t, theService)
	c := w.to(serviceName)
	c.SetLimits(xpc.Limits{MaxQueuedBytes: 32 << 20})
	pid := c.pid("launched")
	w.stop(pid)
	m := message("count", "")
	m.SetData("data", make([]byte, 4<<20))
	done := make(chan error, 1)
	go func() { // ends when the service has read most of it
		var err error
		for range 50 {
			if err == nil {
				err = c.Send(w.ctx, m)
			}
		}
		done <- err
	}()
	w.goOn(pid)
	if err := await(t, "as the service reads, there is room", done); err != nil {
		t.Error(err)
	}
	c.ask("all of it arrives", message("", ""))

	w.stop(pid)
	sent := 0
	for ; sent < 64 && c.InvalidationReason() == ""; sent++ {
		c.SendMessage(m)
	}
	if sent > 16 || !strings.Contains(c.InvalidationReason(), "MaxQueuedBytes") {
		t.Errorf("%d times 4 MiB were taken for a peer that does not read: %q", sent, c.InvalidationReason())
	}
	c.wants("only so much", invalid)
}
