package lifecycle

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestIDSet compares with a map, with ids that come nearly in order.
func TestIDSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s idSet
		want := map[ID]struct{}{}
		made := ID(0)
		sorted := func() []ID { return slices.Sorted(maps.Keys(want)) }
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				n := rapid.IntRange(1, 50).Draw(t, "n")
				ids := make([]ID, n)
				for i := range ids {
					made++
					ids[i] = made
				}
				if n > 1 && rapid.Bool().Draw(t, "swapped") { // two senders raced for the lock
					ids[n-1], ids[n-2] = ids[n-2], ids[n-1]
				}
				for _, id := range ids {
					s.add(id)
					want[id] = struct{}{}
				}
			},
			"remove": func(t *rapid.T) {
				id := ID(rapid.Uint64Range(0, uint64(made)+1).Draw(t, "id"))
				_, has := want[id]
				delete(want, id)
				if got := s.remove(id); got != has {
					t.Fatalf("remove(%d) is %v, want %v", id, got, has)
				}
			},
			"remove the oldest": func(t *rapid.T) {
				ids := sorted()
				for _, id := range ids[:min(len(ids), rapid.IntRange(0, 60).Draw(t, "n"))] {
					if !s.remove(id) {
						t.Fatalf("%d is not found", id)
					}
					delete(want, id)
				}
			},
			"drain": func(t *rapid.T) {
				if got := s.drainTo(nil); !slices.Equal(got, sorted()) {
					t.Fatalf("drained %v, want %v, in order", got, sorted())
				}
				clear(want)
			},
			"": func(t *rapid.T) {
				if s.len() != len(want) {
					t.Fatalf("holds %d, want %d", s.len(), len(want))
				}
			},
		})
	})
}

// TestIDSetStaysSmall: one call that is never answered does not keep room for all that were.
func TestIDSetStaysSmall(t *testing.T) {
	var s idSet
	s.add(1)
	for id := ID(2); id < 100_000; id++ {
		s.add(id)
		if !s.remove(id) {
			t.Fatalf("%d is not found", id)
		}
	}
	if cap(s.entries) > 256 || s.len() != 1 {
		t.Errorf("one call waits (%d), and room for %d is held", s.len(), cap(s.entries))
	}
}
