package value

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain counts goroutines and descriptors: whatever the tests opened, they
// must have closed.
func TestMain(m *testing.M) {
	warmPoller()
	before := openDescriptors()
	code := m.Run()
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if after := openDescriptors(); after != before {
		fmt.Fprintf(os.Stderr, "descriptors: %d before the tests, %d after\n", before, after)
		code = 1
	}
	os.Exit(code)
}

// warmPoller makes the runtime open its own descriptors before the count.
func warmPoller() {
	if r, w, err := os.Pipe(); err == nil {
		r.Close()
		w.Close()
	}
}

// openDescriptors is 0 on systems that do not show them.
func openDescriptors() int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(list)
}
