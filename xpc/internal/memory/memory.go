// Package memory makes, checks and maps memory that crosses a socket as a
// descriptor. It knows nothing of messages.
//
// Where the system can seal (Linux, memfd) a file is sealed before anybody else
// has it, and what is sealed against shrinking, growing and writing can be
// mapped without fear: nobody can change it or take it away. Elsewhere, or after
// [UseFiles], a file is an unlinked one whose receiver copies it.
//
// A mapping is laid over memory of the collector's own, so that a slice of it is
// as good as any other: it stays as long as somebody can see a byte of it, it may
// be cut and kept, and the collector, who sees its full size, runs as often as the
// memory is worth. All functions may be called from any goroutine.
package memory

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Use is what a received file is to be used for.
type Use uint8

const (
	// ToRead is data that never changes.
	ToRead Use = iota
	// ToShare is memory that both sides write to.
	ToShare
)

var files atomic.Bool

// UseFiles has this process make files that are not sealed, as on systems that
// cannot seal, and map such files when they are to be shared. It is for tests.
func UseFiles(on bool) { files.Store(on) }

// Seals says whether this process seals what it makes.
func Seals() bool { return canSeal() && !files.Load() }

// Create makes a file of n bytes of zeros, whose memory is there: to write to a
// mapping of it can not fail. What is to be shared is fixed in size; the caller
// calls Seal on the rest. The caller owns the descriptor.
func Create(n int, u Use) (fd int, err error) {
	if n <= 0 {
		return -1, fmt.Errorf("%d bytes of shared memory cannot be made", n)
	}
	if Seals() {
		return createSealable(n, u)
	}
	w, r, err := createFile()
	if err != nil {
		return -1, err
	}
	unix.Close(r)
	if err := reserve(w, n); err != nil {
		unix.Close(w)
		return -1, fmt.Errorf("there is no room for %d bytes of shared memory: %w", n, err)
	}
	return w, nil
}

// CreateFrom makes a file of b's bytes, sealed if this process seals; else it is
// open for reading only. The caller owns the descriptor.
func CreateFrom(b []byte) (fd int, err error) {
	if !Seals() {
		return copyToFile(b)
	}
	if fd, err = newMemory(); err != nil {
		return -1, err
	}
	if err = fill(fd, b); err == nil {
		err = Seal(fd)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func copyToFile(b []byte) (int, error) {
	w, r, err := createFile()
	if err != nil {
		return -1, err
	}
	err = writeAll(w, b, 0)
	unix.Close(w)
	if err != nil {
		unix.Close(r)
		return -1, err
	}
	return r, nil
}

// folder is where files are made: one in memory, where there is such a one.
var folder = sync.OnceValue(func() string {
	if s, err := os.Stat("/dev/shm"); err == nil && s.IsDir() {
		return "/dev/shm"
	}
	return os.TempDir()
})

// createFile makes a file without a name, once to write to and once to read from:
// who is given the second cannot change it.
func createFile() (w, r int, err error) {
	f, err := os.CreateTemp(folder(), ".xpc-*")
	if err != nil {
		return -1, -1, err
	}
	defer f.Close()
	defer os.Remove(f.Name())
	if err := f.Chmod(0o400); err != nil {
		return -1, -1, err
	}
	if r, err = unix.Open(f.Name(), unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		return -1, -1, os.NewSyscallError("open", err)
	}
	if w, err = unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3); err != nil {
		unix.Close(r)
		return -1, -1, os.NewSyscallError("fcntl", err)
	}
	return w, r, nil
}

// writeAll writes b into a file, from a place in both on.
func writeAll(fd int, b []byte, at int) error {
	for at < len(b) {
		n, err := unix.Pwrite(fd, b[at:], int64(at))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return os.NewSyscallError("write", err)
		}
		at += n
	}
	return nil
}

// ErrShort says that a file has less than it was said to have.
var ErrShort = errors.New("the memory is shorter than its sender says, or was cut while it was read")

// Read copies n bytes of a file.
func Read(fd, n int) ([]byte, error) {
	b := room(n)
	if err := ReadInto(b, fd, 0); err != nil {
		return nil, err
	}
	return b, nil
}

// ReadInto copies what a file has from an offset on, as much as b holds and no less.
func ReadInto(b []byte, fd, off int) error {
	for at := 0; at < len(b); {
		n, err := unix.Pread(fd, b[at:], int64(off+at))
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return os.NewSyscallError("read", err)
		case n == 0:
			return ErrShort
		}
		at += n
	}
	return nil
}

// room is memory of the collector's that is not cleared, and takes none of the
// machine's until it is touched.
func room(n int) []byte {
	if n == 0 {
		return []byte{}
	}
	var b strings.Builder
	b.Grow(n)
	b.WriteByte(0) // so that the string has an address
	return unsafe.Slice(unsafe.StringData(b.String()), n)
}

// Room is a place for a mapping, as large to the collector as what it is for.
type Room struct {
	first *byte  // of the collector's memory
	size  int    // how many pages' bytes there are
	pages []byte // those that are used
	laid  bool
}

var pageSize = os.Getpagesize()

// Pages rounds n up to whole pages.
func Pages(n int) int { return (n + pageSize - 1) / pageSize * pageSize }

// NewRoom makes room for n bytes, which must be more than 0.
func NewRoom(n int) *Room {
	whole := Pages(n)
	size := roomSize(whole)
	first := takeSpare(size)
	if first == nil {
		first = &room(size + pageSize)[0]
	}
	return &Room{first: first, size: size, pages: unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(first), toPage(first))), whole)}
}

// populateUpTo: the pages of a mapping as short as that are all there at once.
const populateUpTo = 1 << 20

// Lay lays the start of a file over the room: to be read, or to be read and
// written to by everybody who has it laid so. What was laid before is replaced.
// The slice is of whole pages and keeps the mapping. Calls must not overlap.
func (r *Room) Lay(fd int, u Use) ([]byte, error) {
	prot, flags := unix.PROT_READ, unix.MAP_PRIVATE
	if u == ToShare {
		prot, flags = unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED
	}
	if len(r.pages) <= populateUpTo {
		flags |= populate
	}
	if !r.laid {
		// A finalizer, not a cleanup: it must run before the memory is used again.
		n, size := len(r.pages), r.size
		runtime.SetFinalizer(r.first, func(first *byte) {
			if takeAway(first, n) {
				keepSpare(first, size)
			}
		})
		r.laid = true
	}
	if err := lay(r.pages, prot, flags, fd); err != nil {
		takeAway(r.first, len(r.pages)) // it may have failed with the old mapping gone
		return nil, fmt.Errorf("%d bytes of shared memory cannot be mapped: %w", len(r.pages), err)
	}
	return r.pages, nil
}

// kept is memory from which a mapping could not be taken away: it must never be
// used for anything else.
var kept struct {
	mu  sync.Mutex
	all []*byte
}

// takeAway gives the collector its own memory back: n bytes in the pages that
// begin after first; false if it cannot.
func takeAway(first *byte, n int) bool {
	skip := toPage(first)
	pages := unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(first), skip)), n)
	if err := lay(pages, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON, -1); err != nil {
		kept.mu.Lock()
		defer kept.mu.Unlock()
		kept.all = append(kept.all, first)
		return false
	}
	return true
}

// toPage is how many bytes after p a page begins.
func toPage(p *byte) int {
	over := int(uintptr(unsafe.Pointer(p)) % uintptr(pageSize))
	return Pages(over) - over
}

// lay is left alone by the race detector's checks of pointers: the address that
// mmap returns is the collector's, and no variable's.
//
//go:nocheckptr
func lay(pages []byte, prot, flags, fd int) error {
	_, err := unix.MmapPtr(fd, 0, unsafe.Pointer(&pages[0]), uintptr(len(pages)), prot, flags|unix.MAP_FIXED)
	return os.NewSyscallError("mmap", err)
}
