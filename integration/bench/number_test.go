package main

import (
	"math"
	"testing"
)

func TestQuantile(t *testing.T) {
	sorted := []float64{1, 2, 3, 4}
	for _, c := range []struct{ q, want float64 }{
		{0, 1},     // the least
		{1, 4},     // the greatest, and no index beyond it
		{0.5, 2.5}, // between two, half of each
	} {
		if got := quantile(sorted, c.q); got != c.want {
			t.Errorf("quantile %v: got %v, want %v", c.q, got, c.want)
		}
	}
	if got := quantile(nil, 0.5); !math.IsNaN(got) {
		t.Errorf("the quantile of nothing: got %v, want NaN", got)
	}
}

// A system that failed in a round must not shift the rounds of the other.
func TestRatiosPairRounds(t *testing.T) {
	got := ratios([]float64{2, 0, 9}, []float64{1, 5, 3})
	if len(got) != 2 || got[0] != 2 || got[1] != 3 {
		t.Errorf("got %v, want [2 3]: the second round has only one side", got)
	}
}

func TestSpreadLeavesItsInputAlone(t *testing.T) {
	v := []float64{3, 1, 2}
	if s := spreadOf(v); s.Median != 2 || s.N != 3 {
		t.Errorf("got %+v, want median 2 of 3", s)
	}
	if v[0] != 3 {
		t.Error("the input was sorted: rounds must stay in their order for ratios")
	}
}
