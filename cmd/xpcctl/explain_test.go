package main

import "testing"

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
