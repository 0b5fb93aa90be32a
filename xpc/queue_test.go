package xpc

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

func TestSerialQueueRunsBlocksInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue("serial")
		var got []int // guarded by q: that is what is tested
		for i := range 1000 {
			q.Async(func() { got = append(got, i) })
		}
		synctest.Wait()
		if len(got) != 1000 || !slices.IsSorted(got) {
			t.Errorf("%d blocks ran, in order: %v", len(got), slices.IsSorted(got))
		}
	})
}

func TestSerialQueueExcludes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue("serial")
		var inside, most, ran atomic.Int32
		for range 8 {
			go func() {
				for range 50 {
					q.Async(func() {
						most.Store(max(most.Load(), inside.Add(1)))
						synctestYield()
						inside.Add(-1)
						ran.Add(1)
					})
				}
			}()
		}
		settleAll()
		if ran.Load() != 400 || most.Load() != 1 {
			t.Errorf("%d of 400 blocks ran, up to %d at a time, want one", ran.Load(), most.Load())
		}
	})
}

// settleAll is settle for blocks that take their time one after another.
func settleAll() {
	for range 10 {
		settle()
	}
}

func TestBlockMayQueueMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue("serial")
		var got record
		q.Async(func() {
			q.Async(func() { got.add("inner") })
			got.add("outer")
		})
		synctest.Wait()
		wantLines(t, "blocks", "Async returns at once, also on the queue itself", got.take(), []string{"outer", "inner"})
	})
}

func TestConcurrentQueueRunsBlocksBesideEachOther(t *testing.T) {
	for name, q := range map[string]*Queue{"made": NewConcurrentQueue("c"), "default": DefaultQueue(), "nil": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var all sync.WaitGroup
				all.Add(3)
				var ran atomic.Int32
				for range 3 {
					q.Async(func() {
						all.Done()
						all.Wait() // each needs the others
						ran.Add(1)
					})
				}
				synctest.Wait()
				if ran.Load() != 3 {
					t.Errorf("%d of 3 blocks that wait for each other are done", ran.Load())
				}
			})
		})
	}
}

func TestIdleQueueHoldsNoGoroutine(t *testing.T) {
	// A bubble ends only when every goroutine in it has: that is the test.
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue("serial")
		for range 3 {
			q.Async(func() {})
			synctest.Wait()
		}
	})
}

func TestReaderEntersAnIdleQueueOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue("serial")
		if !q.enter() {
			t.Fatal("an idle queue can be entered")
		}
		var got record
		q.Async(func() { got.add("block") })
		synctest.Wait()
		if len(got.take()) != 0 {
			t.Error("a block ran beside the one that entered")
		}
		if q.enter() {
			t.Error("a busy queue was entered")
		}
		if q.uncontended() {
			t.Error("a block waits: whoever entered must not go on for ever")
		}
		q.exit()
		synctest.Wait()
		wantLines(t, "blocks", "what was queued meanwhile runs after exit", got.take(), []string{"block"})
		if !q.enter() {
			t.Error("the queue is idle again")
		}
		q.exit()
	})
}

func TestReaderDoesNotStarveTheQueue(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		q := NewQueue("shared")
		r.c.SetTargetQueue(q)
		r.c.SetEventHandler(func(o Object) {
			if sayingOf(o) == "3" {
				q.Async(func() { r.events.add("block") })
			}
			r.handle(o)
		})
		r.open()
		r.p().send("hold")
		settle()
		for i := range 10 {
			r.p().send(fmt.Sprint(i))
		}
		settle()
		r.letGo()
		r.want("the block that was queued while 3 ran comes next, not after all that had arrived",
			"events: hold, 0, 1, 2, 3, block, 4, 5, 6, 7, 8, 9")
	})
}

func TestLabels(t *testing.T) {
	if got := NewQueue("a").Label() + NewConcurrentQueue("b").Label() + DefaultQueue().Label(); got != "abdefault" {
		t.Errorf("labels are %q", got)
	}
}
