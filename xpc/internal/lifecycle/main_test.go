package lifecycle

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain counts goroutines and descriptors: pure code leaves none behind.
func TestMain(m *testing.M) {
	before := openDescriptors()
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if after := openDescriptors(); after > before && code == 0 {
		fmt.Fprintf(os.Stderr, "%d descriptors are open after the tests, %d were before\n", after, before)
		code = 1
	}
	os.Exit(code)
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
