package integration_test

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"

	"github.com/openxpc/openxpc/xpc"
)

// helperVariable names the helper that a process of this binary is to be.
const helperVariable = "XPC_TEST_HELPER"

// helpers are the programs of the tests' other processes.
var helpers = map[string]func(){}

// used collects the helpers that tests have run.
var used = struct {
	sync.Mutex
	names map[string]bool
}{names: map[string]bool{}}

// helper registers a program. It runs in a process of its own and talks to the
// test by say; its first argument, if any, is os.Args[1].
func helper(name string, run func()) string {
	if helpers[name] != nil {
		panic("two helpers are called " + name)
	}
	helpers[name] = run
	return name
}

// use marks a helper as used.
func use(name string) string {
	used.Lock()
	defer used.Unlock()
	if helpers[name] == nil {
		panic("no helper is called " + name)
	}
	used.names[name] = true
	return name
}

func unusedHelpers() (names []string) {
	if !wholeRun() {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(helpers)) {
		if !used.names[name] {
			names = append(names, name)
		}
	}
	return names
}

// ---- in the helper's process

func runHelper(name string) {
	if helpers[name] == nil {
		fmt.Fprintf(os.Stderr, "no helper is called %q\n", name)
		os.Exit(64)
	}
	helpers[name]()
}

// say puts a line into the test's journal. One write is one line, also when
// several processes share the pipe.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stdout, "%s\t%d\t%s\n", os.Getenv(helperVariable), os.Getpid(), fmt.Sprintf(format, args...))
}

// orders are the lines that the test sends to a helper. The process ends when
// the test's end of the pipe does, so that none outlives the test.
func orders() <-chan string {
	lines := make(chan string)
	// Ends with the process.
	go func() {
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			lines <- in.Text()
		}
		os.Exit(0)
	}()
	return lines
}

// eventName is an event in a word or two, as the journal has it.
func eventName(o xpc.Object) string {
	switch o := o.(type) {
	case *xpc.Dictionary:
		return "got " + o.GetString("text")
	case *xpc.Connection:
		return "peer"
	case *xpc.Error:
		switch o {
		case xpc.ErrConnectionInterrupted:
			return interrupted
		case xpc.ErrConnectionInvalid:
			return invalid
		}
	}
	return xpc.Description(o)
}

// The events of most interest.
const (
	interrupted = "INTERRUPTED"
	invalid     = "INVALID"
)

// helperArgument is what the test gave a helper, "" if nothing.
func helperArgument() string {
	if len(os.Args) < 2 {
		return ""
	}
	return os.Args[1]
}
