package xpc

import (
	"testing"

	"github.com/openxpc/openxpc/integration/leaktest"
)

// TestMain counts goroutines and descriptors: the tests leave none behind.
func TestMain(m *testing.M) { leaktest.Main(m) }
