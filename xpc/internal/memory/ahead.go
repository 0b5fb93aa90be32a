package memory

import (
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// To fetch the memory of a large file takes as long as to fill it, and another thread
// can do it meanwhile: so who makes one such file after the other finds the memory of
// the next one fetched.
const (
	aheadFrom = 16 << 20 // what is shorter is filled when another thread has hardly begun
	aheadUpTo = 64 << 20 // what may be fetched in vain
)

// fetched is a file whose memory is there, or will be when it can be locked.
type fetched struct {
	sync.Mutex

	fd   int // -1: there was no room
	size int
}

// ahead is what was made last, and what may be needed next.
var ahead struct {
	sync.Mutex

	size int // of the last large file
	made time.Time
	next *fetched // nil mostly
}

// aheadFor is how long the next file is waited for; longer in tests, guarded by ahead.
var aheadFor = time.Second

// takeAhead is a file of n bytes whose memory was fetched ahead, -1 if there is none.
// That of the next one is fetched if this is not the first of about its size.
func takeAhead(n int) int {
	if n < aheadFrom || n > aheadUpTo {
		return -1
	}
	ahead.Lock()
	f := ahead.next
	ahead.next = nil
	if fits(n, ahead.size) && time.Since(ahead.made) < aheadFor {
		ahead.next = fetch(n)
	}
	ahead.size, ahead.made = n, time.Now()
	ahead.Unlock()
	if f == nil {
		return -1
	}
	f.Lock()
	defer f.Unlock()
	if f.fd >= 0 && (!fits(n, f.size) || unix.Ftruncate(f.fd, int64(n)) != nil) {
		unix.Close(f.fd)
		return -1
	}
	return f.fd
}

// fits says whether n bytes lie in a file of that size and leave little of it unused.
func fits(n, size int) bool { return n <= size && size-n <= size/8 }

func fetch(n int) *fetched {
	f := &fetched{fd: -1, size: n}
	f.Lock()
	// Ends when the memory is there.
	go func() {
		defer f.Unlock()
		if fd, err := newMemory(); err == nil {
			if f.fd = fd; reserve(fd, n) != nil {
				unix.Close(fd)
				f.fd = -1
			}
		}
	}()
	runtime.SetFinalizer(&watch{f}, (*watch).collected)
	return f
}

// watch belongs to nobody, so that each collection sees to what was fetched in vain.
type watch struct{ f *fetched }

func (w *watch) collected() {
	ahead.Lock()
	defer ahead.Unlock()
	switch {
	case ahead.next != w.f: // taken
	case time.Since(ahead.made) < aheadFor:
		runtime.SetFinalizer(w, (*watch).collected)
	default:
		ahead.next = nil
		w.f.Lock()
		defer w.f.Unlock()
		if w.f.fd >= 0 {
			unix.Close(w.f.fd)
		}
	}
}
