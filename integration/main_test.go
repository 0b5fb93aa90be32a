package integration_test

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain is every process of these tests: this binary runs again as a service
// or a client when a test wants one. It counts goroutines and descriptors, and
// fails a whole run that left a helper unused.
func TestMain(m *testing.M) {
	if name := os.Getenv(helperVariable); name != "" {
		runHelper(name)
		return
	}
	before := settled(0)
	code := m.Run()
	removePrograms()
	if code == 0 {
		code = complain(before)
	}
	os.Exit(code)
}

func complain(before int) (code int) {
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if after := settled(before); after > before {
		fmt.Fprintf(os.Stderr, "%d descriptors before the tests, %d after\n", before, after)
		code = 1
	}
	for _, name := range unusedHelpers() {
		fmt.Fprintf(os.Stderr, "no test uses the helper %q\n", name)
		code = 1
	}
	return code
}

// wholeRun says whether all tests were to run.
func wholeRun() bool {
	for _, name := range []string{"test.run", "test.skip", "test.list"} {
		if flag.Lookup(name).Value.String() != "" {
			return false
		}
	}
	return true
}

// settled counts the open descriptors, once what is being closed has been: it
// lets the collector close what only it can, and waits for the count.
func settled(want int) (n int) {
	for deadline := time.Now().Add(patience); ; runtime.Gosched() {
		runtime.GC()
		n = openDescriptors()
		if n <= want || want == 0 || time.Now().After(deadline) {
			return n
		}
	}
}

// openDescriptors counts this process's, or answers 0 where the system does not
// show them. The pipe makes the runtime open its poller's before the first count.
func openDescriptors() int {
	if r, w, err := os.Pipe(); err == nil {
		r.Close()
		w.Close()
	}
	entries, _ := os.ReadDir("/proc/self/fd")
	return len(entries)
}
