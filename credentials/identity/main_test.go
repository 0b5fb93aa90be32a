package identity

import (
	"os"
	"testing"

	"github.com/openxpc/openxpc/integration/leaktest"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(childRole); role != "" {
		os.Exit(child(role))
	}
	leaktest.Main(m)
}
