package lifecycle

import (
	"testing"

	"github.com/openxpc/openxpc/integration/leaktest"
)

// TestMain counts goroutines and descriptors: pure code leaves none behind.
func TestMain(m *testing.M) { leaktest.Main(m) }
