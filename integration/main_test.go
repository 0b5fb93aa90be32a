package integration_test

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/openxpc/openxpc/integration/leaktest"
)

// TestMain is every process of these tests: this binary runs again as a service
// or a client when a test wants one. It counts goroutines and descriptors, and
// fails a whole run that left a helper unused.
func TestMain(m *testing.M) {
	if name := os.Getenv(helperVariable); name != "" {
		runHelper(name)
		return
	}
	done := leaktest.Start()
	code := m.Run()
	removePrograms()
	if code == 0 && !(done() && allHelpersUsed()) {
		code = 1
	}
	os.Exit(code)
}

func allHelpersUsed() bool {
	unused := unusedHelpers()
	for _, name := range unused {
		fmt.Fprintf(os.Stderr, "no test uses the helper %q\n", name)
	}
	return len(unused) == 0
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
