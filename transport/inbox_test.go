package transport

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"testing"

	"github.com/openxpc/openxpc/credentials"
)

// script is a medium that gives prepared pieces.
type script struct{ pieces []piece }

type piece struct {
	bytes []byte
	pid   int
}

func (s *script) recv(b []byte, in *incoming, wait bool) (int, error) {
	if len(s.pieces) == 0 {
		return 0, io.EOF
	}
	p := &s.pieces[0]
	in.sender = credentials.Credentials{PID: p.pid}
	n := copy(b, p.bytes)
	if p.bytes = p.bytes[n:]; len(p.bytes) == 0 {
		s.pieces = s.pieces[1:]
	}
	return n, nil
}

func (s *script) drained() bool { return true }
func (s *script) send(p parts, files []*Descriptor, identify, wait bool) (int, error) {
	return len(slices.Concat(p[:]...)), nil
}
func (s *script) arm(in, out bool)                       {}
func (s *script) armEnd()                                {}
func (s *script) startTicking()                          {}
func (s *script) shutdown()                              {}
func (s *script) close()                                 {}
func (s *script) peer() (credentials.Credentials, error) { return credentials.Unknown(), nil }
func (s *script) socket(func(int) error) error           { return nil }

// TestSenderWroteAllOfIt: a process that shares the socket can finish another's frame,
// where that found the socket full. Such a frame is nobody's.
func TestSenderWroteAllOfIt(t *testing.T) {
	one := appendHeader(nil, &Frame{ID: 1, Body: []byte("abc")})
	one = append(one, "abc"...)
	two := appendHeader(nil, &Frame{ID: 2})
	long := append(appendHeader(nil, &Frame{ID: 3, Body: make([]byte, 100_000)}), make([]byte, 100_000)...)
	m := &script{pieces: []piece{
		{one[:1], 11}, {one[1:17], 11}, {append(one[17:len(one):len(one)], two...), 11},
		{long[:20_000], 14}, {long[20_000:64_000], 14}, {long[64_000:], 14},
		{two, 17},
		{one[:1], 11}, {one[1:17], 12}, {append(one[17:len(one):len(one)], two...), 13},
		{long[:20_000], 14}, {long[20_000:64_000], 15}, {long[64_000:], 14},
		{two, 17},
	}}
	o := Options{}.withDefaults()
	var in inbox
	var f Frame
	for _, want := range []struct {
		id      uint64
		pid     int
		follows bool // no read of the socket was needed for it
	}{{1, 11, false}, {2, 11, true}, {3, 14, false}, {2, 17, false}, {1, 0, false}, {2, 13, true}, {3, 0, false}, {2, 17, false}} {
		for {
			ok, err := in.next(&f, &o)
			if err != nil {
				t.Fatal(err)
			}
			if ok {
				break
			}
			if err := in.fill(m, true); err != nil {
				t.Fatalf("before frame %d: %v", want.id, err)
			}
		}
		if f.ID != want.id || f.Sender.PID != want.pid || f.Follows != want.follows {
			t.Errorf("frame %d is from %d and follows: %v; want %+v", f.ID, f.Sender.PID, f.Follows, want)
		}
	}
	in.drop()
}

// parked says whether nobody reads c and nobody will without the poller.
func (c *Conn) parked() bool { return holding(c) >= 0 }

// holding is how much memory a parked connection keeps for an unfinished frame:
// -1 while it is not parked, and with a whole buffer more than a drip.
func holding(c *Conn) int {
	c.mu.Lock() // who wants to read a parked connection needs this lock first
	defer c.mu.Unlock()
	if c.role.holder != nobody || !c.role.armed || c.role.ticking {
		return -1
	}
	if c.in == nil {
		return 0
	}
	if c.in.buf != nil {
		return bufferSize
	}
	return cap(c.in.kept) + cap(c.in.long)
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for range 100_000_000 {
		if ok() {
			return
		}
		runtime.Gosched()
	}
	t.Fatalf("never came true: %s", what)
}

// idleLimit is what an idle connection may cost, all in, without the kernel's share.
const idleLimit = 1536

// TestIdleConnectionsAreSmall: parked after use, a connection has no goroutine,
// no thread and hardly any memory; a peer that stopped in mid-frame adds only its bytes.
func TestIdleConnectionsAreSmall(t *testing.T) {
	const pairs = 400
	var conns []*Conn
	body := make([]byte, 100)
	open := func() {
		a, b := connectedSockets(t)
		startEcho(b)
		client := startAsker(a)
		for range 3 {
			if err := client.ask(body); err != nil {
				t.Fatal(err)
			}
		}
		conns = append(conns, a, b)
	}
	settle := func() (bytes uint64) {
		for _, c := range conns {
			eventually(t, "the connection is parked", c.parked)
		}
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	open()
	before, goroutines, threads := settle(), runtime.NumGoroutine(), countThreads()
	for range pairs {
		open()
	}
	each := (int64(settle()) - int64(before)) / (2 * pairs)
	t.Logf("%d bytes for each idle connection, with its receiver", each)
	if each > idleLimit && !raceEnabled {
		t.Errorf("an idle connection costs %d bytes, the limit is %d", each, idleLimit)
	}
	if n := runtime.NumGoroutine(); n > goroutines {
		t.Errorf("%d goroutines more for idle connections", n-goroutines)
	}
	if n := countThreads(); n > threads+maxExtraThreads() {
		t.Errorf("%d threads, %d before", n, threads)
	}

	drip := appendHeader(nil, &Frame{Body: make([]byte, 1<<20)})[:10]
	for _, c := range conns {
		if _, err := c.m.send(parts{drip}, nil, false, false); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range conns {
		eventually(t, "the unfinished frame is put aside", func() bool {
			return holding(c) == len(drip)
		})
	}
	for _, c := range conns {
		c.Close()
	}
}

func countThreads() int {
	names, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return 0
	}
	return len(names)
}

// maxExtraThreads: each blocking reader holds a thread, and the runtime keeps a few.
func maxExtraThreads() int { return 2*int(maxBlockingReaders) + 8 }

// TestManyActiveConnections: 2,000 ends in use at once do not make 2,000 threads.
func TestManyActiveConnections(t *testing.T) {
	const pairs, rounds = 1000, 3
	threads := countThreads()
	ended := make(chan error, pairs)
	conns := make([]*Conn, 0, 2*pairs)
	for range pairs {
		a, b := connectedSockets(t)
		conns = append(conns, a, b)
		startEcho(b)
		client := startAsker(a)
		go func() {
			for range rounds {
				if err := client.ask(make([]byte, 64)); err != nil {
					ended <- fmt.Errorf("call: %w", err)
					return
				}
			}
			ended <- nil
		}()
	}
	most := 0
	for range pairs {
		if err := <-ended; err != nil {
			t.Error(err)
		}
		most = max(most, countThreads())
	}
	t.Logf("%d threads at most, %d before", most, threads)
	if most > threads+maxExtraThreads() {
		t.Errorf("%d threads for %d connections, %d before, at most %d blocking readers", most, len(conns), threads, maxBlockingReaders)
	}
	for _, c := range conns {
		c.Close()
	}
	if err := conns[0].Wait(context.Background(), NewWaiter()); err != ErrClosed {
		t.Errorf("Wait after Close gave %v, want ErrClosed", err)
	}
}
