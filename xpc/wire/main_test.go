package wire_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain counts descriptors and goroutines: this package opens and starts none.
func TestMain(m *testing.M) {
	before := descriptors()
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if after := descriptors(); after != before && code == 0 {
		fmt.Fprintf(os.Stderr, "%d descriptors are open after the tests, %d were before\n", after, before)
		code = 1
	}
	os.Exit(code)
}

// descriptors counts this process's descriptors, where the system shows them.
// The pipe makes the runtime open its poller's before the first count.
func descriptors() int {
	if r, w, err := os.Pipe(); err == nil {
		r.Close()
		w.Close()
	}
	entries, _ := os.ReadDir("/proc/self/fd")
	return len(entries)
}
