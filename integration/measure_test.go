package integration_test

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"

	"github.com/openxpc/openxpc/integration/leaktest"
	"github.com/openxpc/openxpc/xpc"
)

// overlap counts how often handlers ran, and how many at one time.
type overlap struct {
	inside, most, calls atomic.Int32
}

func (o *overlap) enter() {
	o.calls.Add(1)
	if n := o.inside.Add(1); n > o.most.Load() {
		o.most.Store(n)
	}
	runtime.Gosched() // gives a second call its chance
}

func (o *overlap) leave() { o.inside.Add(-1) }

func (o *overlap) read() (calls, most int32) { return o.calls.Load(), o.most.Load() }

// resources is what a process holds.
type resources struct {
	goroutines, descriptors, objects int
}

// measure lets the collector finish first; finalizers may need another round.
func measure() resources {
	for range 3 {
		runtime.GC()
	}
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	return resources{runtime.NumGoroutine(), leaktest.Descriptors(), int(mem.HeapObjects)}
}

// grewLess says whether r is back to before, with fewer new heap objects than more.
func (r resources) grewLess(before resources, more int) bool {
	return r.goroutines <= before.goroutines && r.descriptors <= before.descriptors && r.objects < before.objects+more
}

func (r resources) String() string {
	return fmt.Sprintf("%d goroutines, %d descriptors, %d heap objects", r.goroutines, r.descriptors, r.objects)
}

// numbered is a plain message that is told by its number.
func numbered(n int) *xpc.Dictionary { return message("", fmt.Sprint(n)) }

// numbers are the texts that a receiver tells of numbered messages.
func numbers(prefix string, n int) (texts []string) {
	for i := range n {
		texts = append(texts, fmt.Sprintf("%sgot %d", prefix, i+1))
	}
	return texts
}

// testContext bounds a helper's waits.
func testContext() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	_ = cancel // the process ends long before
	return ctx
}
