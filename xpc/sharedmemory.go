package xpc

import (
	"errors"
	"fmt"

	"github.com/openxpc/openxpc/transport"
	"github.com/openxpc/openxpc/xpc/internal/memory"
)

// SharedMemory is memory that several processes write to and read (xpc_shmem_create,
// R28). Whoever gets one in a message maps the same memory. It is sealed against
// shrinking, so that no mapping loses its memory, where the system can seal; see
// docs/portability.md for the others. Nothing orders what the processes do: use
// sync/atomic on it, or messages. Any number of goroutines may use one.
//
// A box that arrived with a message and was never taken out of it, by Get or All,
// is closed when the message ends, as an [FD] is. The zero SharedMemory is closed.
type SharedMemory struct {
	fd   FD
	size int
}

// NewSharedMemory makes shared memory of size bytes, rounded up to whole pages, all
// zero. (Apple's takes a region that was mapped with MAP_SHARED; here the memory
// is made first and then mapped.) The error says why there is none.
func NewSharedMemory(size int) (*SharedMemory, error) {
	n, err := memory.Create(memory.Pages(size), memory.ToShare)
	if err != nil {
		return nil, fmt.Errorf("xpc: shared memory: %w", err)
	}
	return &SharedMemory{FD{d: transport.NewDescriptor(n)}, memory.Pages(size)}, nil
}

// Type is TypeSharedMemory.
func (s *SharedMemory) Type() Type { return TypeSharedMemory }

// Len is the size in bytes, a multiple of the page size of who made it; 0 for nil.
func (s *SharedMemory) Len() int {
	if s == nil {
		return 0
	}
	return s.size
}

// Map maps the memory, anew with every call, to read and to write (xpc_shmem_map,
// R28). The slice has Len bytes; nothing is to be unmapped: the mapping stays as
// long as somebody holds a part of it, also after Close. The error says that s is
// nil or closed, or why the system does not map it.
func (s *SharedMemory) Map() ([]byte, error) {
	if s == nil || !s.fd.retain() {
		return nil, errors.New("xpc: shared memory that is closed cannot be mapped")
	}
	defer s.fd.d.Close()
	b, err := memory.NewRoom(s.size).Lay(s.fd.d.FD(), memory.ToShare)
	if err != nil {
		return nil, fmt.Errorf("xpc: %w", err)
	}
	return b[:s.size:s.size], nil
}

// Close gives up the box's own descriptor; mappings live on. After it Map fails,
// and a message with the box cannot be sent. Further calls do nothing. (Ours:
// Apple's closes with the last release.)
func (s *SharedMemory) Close() error {
	if s == nil {
		return nil
	}
	return s.fd.Close()
}

// String is Description(s).
func (s *SharedMemory) String() string { return Description(s) }

func (s *SharedMemory) copy() *SharedMemory {
	c := &SharedMemory{FD{d: s.fd.d}, s.size}
	c.fd.closed.Store(!s.fd.retain())
	return c
}
