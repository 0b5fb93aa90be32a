package xpc

import (
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain counts goroutines and descriptors: the tests leave none behind.
func TestMain(m *testing.M) {
	before := openDescriptors()
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if after := settledDescriptors(before); after > before && code == 0 {
		fmt.Fprintf(os.Stderr, "%d descriptors are open after the tests, %d were before\n", after, before)
		code = 1
	}
	os.Exit(code)
}

// settledDescriptors lets the collector close what only it can, and waits for
// the count rather than for a time; the deadline only ends a failing run.
func settledDescriptors(want int) (n int) {
	for deadline := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
		runtime.GC()
		if n = openDescriptors(); n <= want || time.Now().After(deadline) {
			return n
		}
	}
}

// openDescriptors counts this process's descriptors, where the system shows
// them. The pipe makes the runtime open its poller's before the first count.
func openDescriptors() int {
	if r, w, err := os.Pipe(); err == nil {
		r.Close()
		w.Close()
	}
	entries, _ := os.ReadDir("/proc/self/fd")
	return len(entries)
}
