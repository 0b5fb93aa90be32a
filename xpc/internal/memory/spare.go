package memory

import (
	"math/bits"
	"runtime"
	"slices"
	"sync"
	"time"
	"weak"
)

// spares are rooms whose mapping is gone, to be used again: to make one costs the
// collector more than all the rest of a message. They do not count as what is in
// use, and the collector takes those that it finds here after a while.
var spares struct {
	mu    sync.Mutex       // guards the rest
	rooms map[int][]*spare // by the rooms' size
}

// So many bytes of each size wait to be used again, and a few or many rooms: they
// take no memory, but count for a limit that the program has set the collector.
const (
	spareBytes            = 256 << 20
	fewSpares, mostSpares = 4, 64
)

// spareFor is longer in tests; guarded by spares.mu.
var spareFor = 10 * time.Second

type spare struct {
	first weak.Pointer[byte] // nil from a collection on until keep has run
	size  int
	since time.Time
}

// roomSize rounds n up, by an eighth at most: rooms of about the same size are
// used for each other.
func roomSize(n int) int {
	step := max(1<<bits.Len(uint(n))>>4, pageSize)
	return (n + step - 1) / step * step
}

func keepSpare(first *byte, size int) {
	s := &spare{size: size, since: time.Now()}
	s.keep(first)
}

// keep is called by the collector too, which has seen that only the spare knows the room.
func (s *spare) keep(first *byte) {
	spares.mu.Lock()
	defer spares.mu.Unlock()
	if spares.rooms == nil {
		spares.rooms = map[int][]*spare{}
	}
	list := slices.DeleteFunc(spares.rooms[s.size], func(other *spare) bool { return other == s })
	most := min(max(spareBytes/s.size, fewSpares), mostSpares)
	if len(list) < most && time.Since(s.since) < spareFor {
		s.first = weak.Make(first)
		list = append(list, s)
		runtime.SetFinalizer(first, s.keep)
	}
	spares.rooms[s.size] = list
	if len(list) == 0 {
		delete(spares.rooms, s.size)
	}
}

// takeSpare returns the first byte of a room of that size, nil if there is none.
func takeSpare(size int) *byte {
	spares.mu.Lock()
	defer spares.mu.Unlock()
	list := spares.rooms[size]
	for i := len(list) - 1; i >= 0; i-- {
		if first := list[i].first.Value(); first != nil {
			runtime.SetFinalizer(first, nil)
			spares.rooms[size] = slices.Delete(list, i, i+1)
			return first
		}
	}
	return nil
}
