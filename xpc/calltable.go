package xpc

import (
	"slices"

	"github.com/openxpc/openxpc/xpc/internal/lifecycle"
)

// callTable holds the calls of a connection that wait for their reply, in the
// order of their numbers, which only grow. A map would keep an eight times larger
// table for a connection that has made one call. The zero value is empty.
type callTable struct {
	entries []callEntry
	head    int // entries before it are removed
	removed int // of those from head on
}

type callEntry struct {
	id   lifecycle.ID
	call *call // nil: removed
}

// keepEntries is how many entries an empty table keeps room for.
const keepEntries = 1024

// add puts in a call whose number is higher than any before.
func (t *callTable) add(id lifecycle.ID, x *call) {
	if gone := t.head + t.removed; gone > 32 && gone > len(t.entries)/2 {
		t.entries = slices.DeleteFunc(t.entries, func(e callEntry) bool { return e.call == nil })
		t.head, t.removed = 0, 0
	}
	t.entries = append(t.entries, callEntry{id, x})
}

// get is the call, nil if there is none of that number.
func (t *callTable) get(id lifecycle.ID) *call {
	if i := t.find(id); i >= 0 {
		return t.entries[i].call
	}
	return nil
}

// remove takes the call out, nil if there is none of that number.
func (t *callTable) remove(id lifecycle.ID) *call {
	i := t.find(id)
	if i < 0 || t.entries[i].call == nil {
		return nil
	}
	x := t.entries[i].call
	t.entries[i].call = nil
	t.removed++
	for t.head < len(t.entries) && t.entries[t.head].call == nil {
		t.head++
		t.removed--
	}
	if t.head == len(t.entries) {
		t.clear()
	}
	return x
}

func (t *callTable) clear() {
	t.entries, t.head, t.removed = t.entries[:0], 0, 0
	if cap(t.entries) > keepEntries {
		t.entries = nil
	}
}

// shrink gives up the memory of an empty table.
func (t *callTable) shrink() {
	if len(t.entries) == 0 {
		t.entries = nil
	}
}

// find returns the index of the entry, -1 if there is none.
func (t *callTable) find(id lifecycle.ID) int {
	live := t.entries[t.head:]
	if len(live) > 0 && live[0].id == id {
		return t.head
	}
	i, ok := slices.BinarySearchFunc(live, id, func(e callEntry, id lifecycle.ID) int {
		switch {
		case e.id < id:
			return -1
		case e.id > id:
			return 1
		}
		return 0
	})
	if !ok {
		return -1
	}
	return t.head + i
}
