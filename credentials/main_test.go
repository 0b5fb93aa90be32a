package credentials

import (
	"os"
	"testing"

	"github.com/openxpc/openxpc/integration/leaktest"
)

// TestMain is also the other process of the tests that need one. It counts
// goroutines and descriptors: whatever the tests opened, they closed.
func TestMain(m *testing.M) {
	if role := os.Getenv(childRole); role != "" {
		os.Exit(child(role))
	}
	leaktest.Main(m)
}
