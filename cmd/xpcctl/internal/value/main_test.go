package value

import (
	"testing"

	"github.com/openxpc/openxpc/integration/leaktest"
)

// TestMain counts goroutines and descriptors: whatever the tests opened, they closed.
func TestMain(m *testing.M) { leaktest.Main(m) }
