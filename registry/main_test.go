package registry

import (
	"testing"

	"github.com/openxpc/openxpc/registry/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }
