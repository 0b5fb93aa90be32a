package handover

import (
	"testing"

	"github.com/openxpc/openxpc/integration/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }
