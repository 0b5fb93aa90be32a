package main

import (
	"strings"
	"testing"

	"github.com/openxpc/openxpc/xpc/bootstrap"
)

func TestMeanings(t *testing.T) {
	for _, c := range []struct {
		n    int
		want []meaning
	}{
		{0, []meaning{{"exit code", exitMeanings[0]}}},
		// A number can mean several things; all are told.
		{4, []meaning{{"exit code", exitMeanings[4]}, {"errno", "EINTR: interrupted system call"}}},
		{1102, []meaning{{"registry", registryMeanings[1102]}}},
		{-9, []meaning{{"signal", "SIGKILL"}}},
		{-1000, nil},
		{1 << 30, nil},
	} {
		got := meanings(c.n)
		if len(got) != len(c.want) {
			t.Errorf("meanings(%d) = %v, want %v", c.n, got, c.want)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("meanings(%d) = %v, want %v", c.n, got, c.want)
			}
		}
	}
}

func TestEveryRegistryCodeIsExplained(t *testing.T) {
	for n := range 2000 {
		known := !strings.HasPrefix(bootstrap.Code(n).String(), "error ")
		if _, explained := registryMeanings[n]; explained != known {
			t.Errorf("code %d: the registry knows it: %v, xpcctl error explains it: %v", n, known, explained)
		}
	}
}
