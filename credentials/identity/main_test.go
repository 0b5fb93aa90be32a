package identity

import (
	"testing"

	"github.com/openxpc/openxpc/integration/leaktest"
)

// cleanUp removes what the tests share.
var cleanUp = func() {}

type cleaned struct{ *testing.M }

func (m cleaned) Run() int {
	defer func() { cleanUp() }()
	return m.M.Run()
}

func TestMain(m *testing.M) { leaktest.Main(cleaned{m}) }
