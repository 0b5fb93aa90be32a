package xpc

import (
	"testing"

	"github.com/openxpc/openxpc/xpc/internal/lifecycle"
	"pgregory.net/rapid"
)

// A map is the oracle: the table answers as a map would, whatever is removed in
// whatever order, and the empty table holds no burst's memory.
func TestCallTableIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var table callTable
		oracle := map[lifecycle.ID]*call{}
		last := lifecycle.ID(0)
		for range rapid.IntRange(0, 400).Draw(t, "steps") {
			id := lifecycle.ID(rapid.Uint64Range(0, uint64(last)+1).Draw(t, "id"))
			switch {
			case rapid.Bool().Draw(t, "add"):
				last += lifecycle.ID(rapid.IntRange(1, 3).Draw(t, "gap"))
				x := &call{}
				table.add(last, x)
				oracle[last] = x
			case table.get(id) != oracle[id]:
				t.Fatalf("get %d: %p, want %p", id, table.get(id), oracle[id])
			case table.remove(id) != oracle[id]:
				t.Fatalf("remove %d gave another call", id)
			default:
				delete(oracle, id)
			}
		}
		for id, x := range oracle {
			if table.remove(id) != x {
				t.Fatalf("%d was lost", id)
			}
		}
		if n := cap(table.entries); n > keepEntries {
			t.Errorf("the empty table keeps room for %d entries", n)
		}
	})
}
