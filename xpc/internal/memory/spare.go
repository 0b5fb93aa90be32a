package memory

import (
	"math/bits"
	"sync"
	"weak"
)

// spares are rooms whose mapping is gone, to be used again until the collector
// takes them: to make one costs it more than all the rest of a message.
var spares struct {
	mu    sync.Mutex                   // guards the rest
	rooms map[int][]weak.Pointer[byte] // first bytes, by the rooms' size
}

// mostSpares bounds the list of one size, most of which the collector has had.
const mostSpares = 64

// roomSize rounds n up, by an eighth at most: rooms of about the same size are
// used for each other.
func roomSize(n int) int {
	step := max(1<<bits.Len(uint(n))>>4, pageSize)
	return (n + step - 1) / step * step
}

func keepSpare(first *byte, size int) {
	spares.mu.Lock()
	defer spares.mu.Unlock()
	if spares.rooms == nil {
		spares.rooms = map[int][]weak.Pointer[byte]{}
	}
	list := spares.rooms[size]
	if len(list) >= mostSpares {
		list = list[:0]
	}
	spares.rooms[size] = append(list, weak.Make(first))
}

// takeSpare returns the first byte of a room of that size, nil if there is none.
func takeSpare(size int) *byte {
	spares.mu.Lock()
	defer spares.mu.Unlock()
	list := spares.rooms[size]
	for len(list) > 0 {
		first := list[len(list)-1].Value()
		list = list[:len(list)-1]
		if first != nil {
			spares.rooms[size] = list
			return first
		}
	}
	delete(spares.rooms, size)
	return nil
}
