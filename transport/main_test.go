package transport_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/openxpc/openxpc/transport/transporttest"
)

// TestMain counts goroutines and descriptors after all tests.
func TestMain(m *testing.M) {
	before := transporttest.OpenDescriptors()
	code := m.Run()
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, "goroutines are left:", err)
		code = 1
	}
	if after := transporttest.OpenDescriptors(); after > before+runtimeDescriptors {
		fmt.Fprintf(os.Stderr, "%d descriptors are open, %d were before the tests\n", after, before)
		code = 1
	}
	os.Exit(code)
}

// runtimeDescriptors: Go's own poller opens an epoll instance and an eventfd when first used, and keeps them.
const runtimeDescriptors = 2
