package soak

import "testing"

func TestTimes(t *testing.T) {
	for _, tt := range []struct {
		part string
		want int
	}{{"", 10}, {"1", 1000}, {"0.1", 100}, {"0.001", 10}, {"x", 10}} {
		t.Setenv(Variable, tt.part)
		if n := Times(10, 1000); n != tt.want {
			t.Errorf("%q: %d times, want %d", tt.part, n, tt.want)
		}
	}
}
