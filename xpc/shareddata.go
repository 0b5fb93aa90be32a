package xpc

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"github.com/openxpc/openxpc/transport"
	"github.com/openxpc/openxpc/xpc/internal/memory"
)

// sharedDataFrom is the default of Limits.SharedDataFrom, and the size from which
// on new data is laid where others can map it.
const sharedDataFrom = 128 << 10

// region is data in sealed memory, which other processes may have mapped too. Any
// number of goroutines may use it; it ends when nobody can see it any more.
type region struct {
	d    *transport.Descriptor // an ownership of it, given up by the collector
	size int
	id   memory.ID // zero: not asked for yet

	once   sync.Once
	mem    []byte      // the mapping, or a copy; made when somebody looks
	mapped atomic.Bool // mem is there
	looks  atomic.Int32
}

// regionOf copies b into a region; nil if it had better stay where it is.
func regionOf(b []byte) *region {
	if !memory.Seals() || regions.live.Load() >= mostNewRegions {
		return nil
	}
	fd, err := memory.CreateFrom(b)
	if err != nil {
		return nil
	}
	r := &region{d: transport.NewDescriptor(fd), size: len(b)}
	countRegion(r)
	return r
}

// receivedRegion is the region of a file that can be mapped. It is known if this process
// has it already: it made the file and was sent it back, or was sent it before. Else the
// region has taken over d, and is to be counted. id is the file's.
func receivedRegion(d *transport.Descriptor, size int, id memory.ID) (r *region, known bool) {
	regions.mu.Lock()
	r = regions.byFile[id].Value()
	regions.mu.Unlock()
	if r != nil && r.size == size && memory.Same(r.d.FD(), d.FD()) {
		return r, true
	}
	return &region{d: d, size: size, id: id}, false
}

// bytes maps the region. It is never written to.
func (r *region) bytes() []byte {
	r.once.Do(func() {
		b, err := memory.NewRoom(r.size).Lay(r.d.FD(), memory.ToRead)
		if err != nil {
			b, err = memory.Read(r.d.FD(), r.size)
		}
		if err != nil {
			panic(fmt.Sprintf("xpc: data of %d bytes is there and cannot be read: %v", r.size, err))
		}
		r.lie(b)
	})
	return r.mem
}

func (r *region) lie(b []byte) {
	r.mem = b[:r.size:r.size]
	r.mapped.Store(true)
}

const (
	// mostLooks is how many short pieces are read before a mapping is cheaper.
	mostLooks  = 64
	shortPiece = 4 << 10
)

// read copies what lies from off on, all that dst holds, out of a region that is not
// mapped; false if it is, or had better be.
func (r *region) read(off int, dst []byte) bool {
	if r.mapped.Load() || len(dst) < shortPiece && r.looks.Add(1) > mostLooks {
		return false
	}
	err := memory.ReadInto(dst, r.d.FD(), off)
	runtime.KeepAlive(r) // and with it the descriptor
	return err == nil
}

const (
	// mostNewRegions: with more than that data is made on the heap, where it takes no descriptor.
	mostNewRegions = 256
	// A region that nobody looked at is worth nothing to the collector: so it is
	// told of each so many regions or bytes.
	collectRegions = 512
	collectBytes   = 128 << 20
	collectAfter   = 2 * time.Millisecond // not while the message is handled that was one too many
)

// regions counts what lives, and what was made since the collector was told.
var regions struct {
	live, made, bytes atomic.Int64
	collecting        atomic.Bool // soon

	mu     sync.Mutex
	byFile map[memory.ID]weak.Pointer[region] // guarded by mu
}

// countRegion is called once for each region, when its descriptor is its own.
func countRegion(r *region) {
	id, ok := r.id, true
	if id == (memory.ID{}) {
		id, ok = memory.Identify(r.d.FD())
	}
	if ok {
		regions.mu.Lock()
		if regions.byFile == nil {
			regions.byFile = map[memory.ID]weak.Pointer[region]{}
		}
		regions.byFile[id] = weak.Make(r)
		regions.mu.Unlock()
	}
	runtime.AddCleanup(r, regionEnded, id)
	regions.live.Add(1)
	n, b := regions.made.Add(1), regions.bytes.Add(int64(r.size))
	if n < collectRegions && b < collectBytes {
		return
	}
	regions.made.Add(-n)
	regions.bytes.Add(-b)
	if regions.collecting.CompareAndSwap(false, true) {
		// A goroutine that sleeps first would wake a thread, which that very message waits for.
		time.AfterFunc(collectAfter, func() {
			regions.collecting.Store(false)
			runtime.GC()
		})
	}
}

func regionEnded(id memory.ID) {
	regions.live.Add(-1)
	regions.mu.Lock()
	defer regions.mu.Unlock()
	if regions.byFile[id].Value() == nil { // else another one has come to the number
		delete(regions.byFile, id)
	}
}

// SharedData is data that is built in place, in memory that the receiver of a
// message will map: it is never copied. Write to Bytes, then Freeze. One goroutine
// at a time may use it. There is no zero value: see NewSharedData. (Ours: Apple
// takes a dispatch_data over VM memory, R22.)
type SharedData struct {
	d      *transport.Descriptor // nil where nothing can be sealed
	room   *memory.Room
	bytes  []byte
	frozen *Data
}

// NewSharedData sets size bytes of zeros aside, which must be more than 0. The
// error says why the memory is not to be had; it is had at once, so that writing
// to it cannot fail. Where the system cannot seal memory it is ordinary memory,
// and sending it copies.
func NewSharedData(size int) (*SharedData, error) {
	if size <= 0 {
		return nil, fmt.Errorf("xpc: shared data of %d bytes cannot be made: it needs 1 at least", size)
	}
	if !memory.Seals() {
		return &SharedData{bytes: make([]byte, size)}, nil
	}
	fd, err := memory.Create(size, memory.ToRead)
	if err != nil {
		return nil, fmt.Errorf("xpc: shared data: %w", err)
	}
	s := &SharedData{d: transport.NewDescriptor(fd), room: memory.NewRoom(size)}
	b, err := s.room.Lay(fd, memory.ToShare)
	if err != nil {
		s.d.Close()
		return nil, fmt.Errorf("xpc: shared data: %w", err)
	}
	s.bytes = b[:size:size]
	return s, nil
}

// Bytes is the memory, to be written to until Freeze: a write after it ends the
// program, as to any constant. It may be read for as long as the caller likes.
func (s *SharedData) Bytes() []byte { return s.bytes }

// Freeze makes the memory constant and gives it as data, the same with every call.
// The error says why the system did not seal it; then it can still be written to.
func (s *SharedData) Freeze() (*Data, error) {
	if s.frozen != nil {
		return s.frozen, nil
	}
	if s.d == nil {
		s.frozen = &Data{bytes: textOf(s.bytes), lent: true}
		return s.frozen, nil
	}
	if _, err := s.room.Lay(s.d.FD(), memory.ToRead); err != nil { // nothing that is mapped to be written to can be sealed
		return nil, fmt.Errorf("xpc: shared data: %w", err)
	}
	if err := memory.Seal(s.d.FD()); err != nil {
		return nil, fmt.Errorf("xpc: shared data cannot be sealed: %w", err)
	}
	r := &region{d: s.d, size: len(s.bytes)}
	r.once.Do(func() { r.lie(s.bytes) })
	countRegion(r)
	s.frozen = &Data{shared: r}
	s.room = nil
	return s.frozen, nil
}
