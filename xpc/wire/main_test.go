package wire_test

import (
	"testing"

	"github.com/openxpc/openxpc/integration/leaktest"
)

// TestMain counts goroutines and descriptors: this package opens and starts none.
func TestMain(m *testing.M) { leaktest.Main(m) }
