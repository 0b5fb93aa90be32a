package memory

import (
	"runtime"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// byTwo has work done by this thread and by another one, on two processors if there are
// two. Work calls pause now and then, and returns when nothing is left; the other thread
// may never come to it.
func byTwo(work func(pause func())) {
	const (
		waits int32 = iota
		begun
		over
	)
	var state atomic.Int32
	done, here := make(chan struct{}), processor()
	go func() { // ends with the work
		defer close(done)
		if !state.CompareAndSwap(waits, begun) {
			return
		}
		if here == processor() {
			defer leave(here)()
		}
		work(func() {})
	}()
	back := func() {}
	moved := false
	work(func() {
		if !moved && state.Load() == waits {
			moved, back = true, leave(processor())
		}
	})
	back()
	if !state.CompareAndSwap(waits, over) {
		<-done
	}
}

// leave has this thread go on elsewhere than on one processor, until back. Where
// processors share no cache the kernel wakes a thread on that of who wakes it, and lets
// it wait there while others idle.
func leave(processor int) (back func()) {
	runtime.LockOSThread()
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return runtime.UnlockOSThread
	}
	others := all
	others.Clear(processor)
	if others.Count() == 0 || unix.SchedSetaffinity(0, &others) != nil {
		return runtime.UnlockOSThread
	}
	return func() {
		if unix.SchedSetaffinity(0, &all) == nil {
			runtime.UnlockOSThread()
		} // else the thread ends with its goroutine
	}
}

// processor is the number of that which this thread is on.
func processor() int {
	var n uint32
	unix.RawSyscall(unix.SYS_GETCPU, uintptr(unsafe.Pointer(&n)), 0, 0)
	return int(n)
}
