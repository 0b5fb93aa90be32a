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
	before := baseline()
	code := m.Run()
	if code == 0 {
		code = check(before)
	}
	os.Exit(code)
}

// baseline counts after the runtime has opened its poller, which it never closes.
func baseline() int {
	if r, w, err := os.Pipe(); err == nil {
		r.Close()
		w.Close()
	}
	return descriptors()
}

func check(before int) int {
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		list()
		return 1
	}
	// What a finished goroutine has only just closed may still be counted, and
	// what only the collector closes needs it to run; so look again, for a bounded while.
	after := descriptors()
	for range 500 {
		if after <= before {
			return 0
		}
		runtime.GC()
		time.Sleep(10 * time.Millisecond)
		after = descriptors()
	}
	fmt.Fprintf(os.Stderr, "%d descriptors before the tests, %d after\n", before, after)
	list()
	return 1
}

// descriptors counts this process's, or answers 0 where there is no /proc.
func descriptors() int {
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
