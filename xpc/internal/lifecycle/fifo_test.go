package lifecycle

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestFifo compares with a plain slice under any sequence of calls; long runs of
// pushes make it pass the places where it moves its items.
func TestFifo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q fifo[int]
		var want []int
		next := 0
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				for range rapid.IntRange(1, 60).Draw(t, "n") {
					q.push(next)
					want = append(want, next)
					next++
				}
			},
			"pop": func(t *rapid.T) {
				for range min(len(want), rapid.IntRange(0, 70).Draw(t, "n")) {
					if got := q.pop(); got != want[0] {
						t.Fatalf("pop gives %d, want %d: first in, first out", got, want[0])
					}
					want = want[1:]
				}
			},
			"removeFunc": func(t *rapid.T) {
				n := rapid.IntRange(1, 5).Draw(t, "of")
				f := func(v int) bool { return v%n == 0 }
				var removed []int
				for _, v := range want {
					if f(v) {
						removed = append(removed, v)
					}
				}
				want = slices.DeleteFunc(slices.Clone(want), f)
				if got := q.removeFunc(f); !slices.Equal(got, removed) {
					t.Fatalf("removed %v, want %v, in order", got, removed)
				}
			},
			"clear": func(*rapid.T) { q.clear(); want = nil },
			"": func(t *rapid.T) {
				if !slices.Equal(q.all(), want) || q.len() != len(want) {
					t.Fatalf("holds %v (%d), want %v", q.all(), q.len(), want)
				}
				if len(want) > 0 && q.first() != want[0] {
					t.Fatalf("first is %d, want %d", q.first(), want[0])
				}
				if len(want) == 0 && cap(q.items) > 1024 {
					t.Fatalf("an empty queue holds room for %d items: what a burst took is given back", cap(q.items))
				}
			},
		})
	})
}

// TestFifoStaysSmall: a queue that never runs empty does not grow with what went through it.
func TestFifoStaysSmall(t *testing.T) {
	var q fifo[int]
	for i := range 100_000 {
		q.push(i)
		if i > 0 {
			q.pop()
		}
	}
	if cap(q.items) > 256 {
		t.Errorf("one item waits, and room for %d is held", cap(q.items))
	}
}
