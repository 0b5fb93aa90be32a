package xpc

import (
	"os"
	"testing"

	"github.com/openxpc/openxpc/integration/leaktest"
	"github.com/openxpc/openxpc/xpc/internal/memory"
)

// TestMain counts goroutines and descriptors: the tests leave none behind. With
// XPC_TEST_FILES=1 they run as on a system that cannot seal memory.
func TestMain(m *testing.M) {
	memory.UseFiles(os.Getenv("XPC_TEST_FILES") == "1")
	leaktest.Main(m)
}
