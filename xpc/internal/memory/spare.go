package memory

import (
	"math/bits"
	"sync"
)

const (
	// mostSpare: longer rooms are not kept.
	mostSpare = 4 << 20
	// spareBytes is how much is kept in all. It takes no memory of the machine's.
	spareBytes = 32 << 20
)

// spare are rooms that can be used again: to make one costs the collector a part
// of a cycle, which is more than all the rest of a message.
var spare struct {
	mu    sync.Mutex  // guards the rest
	rooms [32][]*byte // first bytes, by the logarithm of the room's size
	bytes int
}

// roomSize is how large a room of n bytes, whole pages, is made.
func roomSize(n int) int {
	if n > mostSpare {
		return n
	}
	return 1 << bits.Len(uint(n-1))
}

func keepSpare(first *byte, size int) {
	spare.mu.Lock()
	defer spare.mu.Unlock()
	if size <= mostSpare && spare.bytes+size <= spareBytes {
		c := &spare.rooms[bits.Len(uint(size-1))]
		*c = append(*c, first)
		spare.bytes += size
	}
}

// takeSpare returns the first byte of a room that was kept, nil if there is none.
func takeSpare(size int) *byte {
	spare.mu.Lock()
	defer spare.mu.Unlock()
	c := &spare.rooms[bits.Len(uint(min(size, mostSpare)-1))]
	if size > mostSpare || len(*c) == 0 {
		return nil
	}
	first := (*c)[len(*c)-1]
	*c = (*c)[:len(*c)-1]
	spare.bytes -= size
	return first
}
