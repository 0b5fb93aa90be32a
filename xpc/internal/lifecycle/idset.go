package lifecycle

import "slices"

// idSet holds ids in ascending order. Ids are made and removed nearly in that
// order, which a map would not make use of: removing the oldest costs nothing to
// find, and taking all out needs no sorting. The zero value is empty.
type idSet struct {
	entries []idEntry
	head    int // entries before it are removed
	removed int // of those from head on
}

type idEntry struct {
	id      ID
	removed bool
}

func (s *idSet) len() int { return len(s.entries) - s.head - s.removed }

// add puts in an id that was never in it.
func (s *idSet) add(id ID) {
	if s.head+s.removed > 32 && s.head+s.removed > len(s.entries)/2 {
		s.compact()
	}
	s.entries = append(s.entries, idEntry{id: id})
	for i := len(s.entries) - 1; i > s.head && s.entries[i-1].id > id; i-- {
		s.entries[i-1], s.entries[i] = s.entries[i], s.entries[i-1]
	}
}

// remove reports whether id was in it.
func (s *idSet) remove(id ID) bool {
	i := s.find(id)
	if i < 0 || s.entries[i].removed {
		return false
	}
	s.entries[i].removed = true
	s.removed++
	for s.head < len(s.entries) && s.entries[s.head].removed {
		s.head++
		s.removed--
	}
	if s.head == len(s.entries) {
		s.reset()
	}
	return true
}

func (s *idSet) find(id ID) int {
	if s.head < len(s.entries) && s.entries[s.head].id == id {
		return s.head
	}
	i, ok := slices.BinarySearchFunc(s.entries[s.head:], id, func(e idEntry, id ID) int {
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
	return s.head + i
}

// drainTo appends all ids to dst and leaves the set empty.
func (s *idSet) drainTo(dst []ID) []ID {
	dst = slices.Grow(dst, s.len())
	for _, e := range s.entries[s.head:] {
		if !e.removed {
			dst = append(dst, e.id)
		}
	}
	s.reset()
	return dst
}

func (s *idSet) compact() {
	kept := s.entries[:0]
	for _, e := range s.entries[s.head:] {
		if !e.removed {
			kept = append(kept, e)
		}
	}
	s.entries, s.head, s.removed = kept, 0, 0
}

// shrink gives up the memory of an empty set.
func (s *idSet) shrink() {
	if s.len() == 0 {
		*s = idSet{}
	}
}

// reset gives back what a burst took.
func (s *idSet) reset() {
	s.entries, s.head, s.removed = s.entries[:0], 0, 0
	if cap(s.entries) > 1024 {
		s.entries = nil
	}
}
