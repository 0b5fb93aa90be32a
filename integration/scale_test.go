package integration_test

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// The figures are integration/bench's; these tests hold what a change may not lose.

// idleCost is what an idle connection may cost one side, in bytes.
const idleCost = 1536

// connections opens connections that have each made a call.
func (w *world) connections(n int) []*xpc.Connection {
	w.t.Helper()
	conns := make([]*xpc.Connection, n)
	for i := range conns {
		c := xpc.NewMachServiceConnection(serviceName, nil, 0)
		c.SetEventHandler(func(xpc.Object) {})
		c.Activate()
		if _, err := c.SendMessageWithReplySync(w.ctx, message("", "")); err != nil {
			w.t.Fatal(err)
		}
		conns[i] = c
	}
	return conns
}

func endAll(conns []*xpc.Connection) {
	for _, c := range conns {
		c.Cancel()
	}
	for _, c := range conns {
		<-c.Done()
	}
}

// An idle connection is a descriptor and less than idleCost, without a goroutine,
// on either side.
func TestScale_IdleConnections(t *testing.T) {
	const many = 400
	w := begin(t, theService)
	control := w.to(serviceName)
	endAll(w.connections(20)) // what is made once is made now
	var there, now resources
	control.resources(&there)
	before := measure()
	memory := heapBytes()
	conns := w.connections(many)
	// A connection lets go of what only a busy one needs when a tick has passed.
	for cost := idleCost + 1; ; {
		if cost = (heapBytes() - memory) / many; cost <= idleCost || raceEnabled {
			break
		}
		if w.ctx.Err() != nil {
			t.Fatalf("an idle connection takes %d bytes of the client, want at most %d", cost, idleCost)
		}
	}
	for n := measure().goroutines; n > before.goroutines; n = runtime.NumGoroutine() {
		if w.ctx.Err() != nil {
			t.Fatalf("%d goroutines more for idle connections", n-before.goroutines)
		}
	}
	for {
		if control.resources(&now); now.goroutines <= there.goroutines {
			break
		}
		if w.ctx.Err() != nil {
			t.Fatalf("the service holds %v, before %v: idle connections have no goroutine", now, there)
		}
	}
	endAll(conns)
	for after := now; ; control.resources(&after) { // it hears of their end a little later
		switch n := now.descriptors - after.descriptors; {
		case n > many, n < many && w.ctx.Err() != nil:
			t.Fatalf("the service gave up %d descriptors with %d connections, want one each", n, many)
		case n == many:
			return
		}
	}
}

func heapBytes() int {
	for range 3 { // pools outlive two collections
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc + m.StackInuse)
}

// Connections that all call at once share a few threads: each that waited in the
// kernel would hold one for ever.
func TestScale_ActiveConnectionsShareThreads(t *testing.T) {
	const many, calls = 500, 4
	w := begin(t, theService)
	conns := w.connections(many)
	defer endAll(conns)
	service := w.running(theService)
	here, there := threads(os.Getpid()), threads(service)
	var all sync.WaitGroup
	for _, c := range conns {
		all.Go(func() {
			for range calls {
				if _, err := c.SendMessageWithReplySync(w.ctx, message("", "")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	most := 16*runtime.GOMAXPROCS(0) + 16
	if n := threads(os.Getpid()) - here; n > most {
		t.Errorf("%d connections made %d threads here, want at most %d", many, n, most)
	}
	if n := threads(service) - there; n > most {
		t.Errorf("%d connections made %d threads in the service, want at most %d", many, n, most)
	}
}

// threads counts a process's threads, or answers 0 where the system does not show them.
func threads(pid int) int {
	entries, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	return len(entries)
}

// A name that nobody has looked up costs its registry no descriptor (names are cheap).
func TestScale_NamesAreCheap(t *testing.T) {
	const names, used = 2000, 50
	crowd := job{label: "crowd", program: "/bin/true"}
	for i := range names {
		crowd.names = append(crowd.names, fmt.Sprintf("com.example.crowd.%d", i))
	}
	w := begin(t, crowd)
	if n := w.tool(bootstrap.OpStatus, bootstrap.KeyName, "").GetInt64(bootstrap.KeyNameCount); n != names {
		t.Errorf("%d names are known, want %d", n, names)
	}
	open := func() int {
		entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", w.registry.Process.Pid))
		if err != nil {
			t.Skip("this system does not show another process's descriptors")
		}
		return len(entries)
	}
	before := open()
	if before > 100 {
		t.Errorf("the registry has %d descriptors before any name was used", before)
	}
	for _, name := range crowd.names[:used] {
		w.tool(bootstrap.OpLookUp, bootstrap.KeyName, name)
	}
	if n := open() - before; n > 2*used+2 {
		t.Errorf("%d descriptors for %d names that were looked up, want at most two each", n, used)
	}
}

// A client that floods the service does not keep others from it.
func TestScale_AFloodStarvesNobody(t *testing.T) {
	const others, calls, depth = 10, 100, 256
	w := begin(t, theService)
	conns := w.connections(others + 1)
	defer endAll(conns)
	flooder, conns := conns[others], conns[:others]
	var over atomic.Bool
	var answered atomic.Int64
	flood := make(chan struct{})
	// Ends when the others are served.
	go func() {
		defer close(flood)
		room := make(chan struct{}, depth)
		for !over.Load() {
			room <- struct{}{}
			flooder.SendMessageWithReply(message("", ""), nil, func(xpc.Object) {
				answered.Add(1)
				<-room
			})
		}
		for range depth { // all are answered
			room <- struct{}{}
		}
	}()
	for deadline := time.Now().Add(patience); answered.Load() < depth && time.Now().Before(deadline); {
		runtime.Gosched() // the flood has begun
	}
	var all sync.WaitGroup
	for _, c := range conns {
		all.Go(func() {
			for range calls {
				if _, err := c.SendMessageWithReplySync(w.ctx, message("", "")); err != nil {
					t.Errorf("beside a flood: %v", err)
					return
				}
			}
		})
	}
	all.Wait()
	over.Store(true)
	<-flood
}
