// Package leaktest ends a package's tests with a count: no goroutine and no
// descriptor may be left that was not there before. Only tests import it.
package leaktest

import (
	"fmt"
	"os"
	"runtime"
	"time"

	"go.uber.org/goleak"
)

// Main runs the tests and exits; call it from TestMain.
func Main(m interface{ Run() int }) {
	done := Start()
	code := m.Run()
	if code == 0 && !done() {
		code = 1
	}
	os.Exit(code)
}

// Start counts now. done counts again when the tests are over, and says on
// standard error what is left: for a TestMain that has more to do.
func Start() (done func() bool) {
	before := baseline()
	return func() bool { return check(before) }
}

// baseline counts after the runtime has opened its poller, which it never closes.
func baseline() int {
	if r, w, err := os.Pipe(); err == nil {
		r.Close()
		w.Close()
	}
	return Descriptors()
}

func check(before int) bool {
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return false
	}
	// What a finished goroutine has only just closed may still be counted, and
	// what only the collector closes needs it to run; so look again, for a bounded while.
	after := Descriptors()
	for range 500 {
		if after <= before {
			return true
		}
		runtime.GC()
		time.Sleep(10 * time.Millisecond)
		after = Descriptors()
	}
	fmt.Fprintf(os.Stderr, "%d descriptors before the tests, %d after\n", before, after)
	list()
	return false
}

// Descriptors counts this process's, or answers 0 where there is no /proc.
func Descriptors() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(entries)
}

func list() {
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		target, _ := os.Readlink("/proc/self/fd/" + e.Name())
		fmt.Fprintln(os.Stderr, e.Name(), target)
	}
}
