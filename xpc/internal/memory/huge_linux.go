package memory

import (
	"math"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A long file is fetched in huge pages where there are any: to fetch, write, seal and
// free them takes half the time of small ones. They are the kernel's to split and swap
// like others, unlike those of hugetlbfs.
const (
	hugePage = 2 << 20
	hugeFrom = 4 << 20 // what is shorter is filled sooner without
)

// hugeAgain is when huge pages are asked for again, after sinceStart: never where the
// kernel makes none on demand, as before Linux 6.1, and soon where it had no more.
var (
	hugeAgain  atomic.Int64
	sinceStart = time.Now()
)

const hugePause = 100 * time.Millisecond

// collapse has the kernel make huge pages of what small ones a mapping has.
var collapse = func(b []byte) error { return unix.Madvise(b, unix.MADV_COLLAPSE) }

// longFile is a file that two threads make, a huge page at a time: who is faster makes more.
type longFile struct {
	fd    int
	whole []byte       // a mapping of it, up to its last whole huge page
	next  atomic.Int64 // page, by its first byte
	small atomic.Bool  // the kernel has no more huge pages
	err   atomic.Pointer[error]
}

// inHugePages makes a file n bytes long, and calls do for each part of it that a huge page
// can hold, from two threads. The part's memory is one, or next to nothing yet if huge is
// false. It returns where the rest begins; the mappings are gone then.
func inHugePages(fd, n, prot int, do func(at int, part []byte, huge bool) error) (rest int, err error) {
	size := uintptr(n / hugePage * hugePage)
	if n < hugeFrom || int64(time.Since(sinceStart)) < hugeAgain.Load() || unix.Ftruncate(fd, int64(n)) != nil {
		return 0, nil
	}
	place, err := unix.MmapPtr(-1, 0, nil, size+hugePage, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return 0, nil
	}
	defer unix.MunmapPtr(place, size+hugePage)
	aligned := unsafe.Add(place, -uintptr(place)%hugePage)
	if _, err := unix.MmapPtr(fd, 0, aligned, size, prot, unix.MAP_SHARED|unix.MAP_FIXED); err != nil {
		return 0, nil
	}
	f := &longFile{fd: fd, whole: unsafe.Slice((*byte)(aligned), size)}
	byTwo(func(pause func()) {
		for f.err.Load() == nil {
			at := int(f.next.Add(hugePage)) - hugePage
			if at >= len(f.whole) {
				return
			}
			if err := do(at, f.whole[at:at+hugePage], f.fetch(at)); err != nil {
				f.err.Store(&err)
			}
			pause()
		}
	})
	if err := f.err.Load(); err != nil {
		return 0, *err
	}
	return len(f.whole), nil
}

func (f *longFile) fetch(at int) bool {
	if f.small.Load() {
		return false
	}
	unix.Fallocate(f.fd, 0, int64(at), 1) // the kernel passes over a range that has no page at all
	err := collapse(f.whole[at : at+hugePage])
	if err == nil {
		return true
	}
	f.small.Store(true)
	again := time.Since(sinceStart) + hugePause
	if err == unix.EINVAL {
		again = math.MaxInt64
	}
	hugeAgain.Store(int64(again))
	return false
}

// reserve gives a file n bytes of memory.
func reserve(fd, n int) error {
	rest, err := inHugePages(fd, n, unix.PROT_READ, func(at int, part []byte, huge bool) error {
		if huge {
			return nil
		}
		return fallocate(fd, at, len(part))
	})
	if err != nil || rest == n {
		return err
	}
	return fallocate(fd, rest, n-rest)
}

func fallocate(fd, at, n int) error {
	for {
		err := unix.Fallocate(fd, 0, int64(at), int64(n))
		if err != unix.EINTR {
			return os.NewSyscallError("fallocate", err)
		}
	}
}

// fill writes b into a new file.
func fill(fd int, b []byte) error {
	rest, err := inHugePages(fd, len(b), unix.PROT_READ|unix.PROT_WRITE, func(at int, part []byte, huge bool) error {
		if !huge {
			return writeAll(fd, b[:at+len(part)], at)
		}
		copyStep(part[:hugePage/2], b[at:])
		copyStep(part[hugePage/2:], b[at+hugePage/2:])
		return nil
	})
	if err != nil {
		return err
	}
	return writeAll(fd, b, rest)
}

// copyStep copies as much as the collector and others of this process may have to wait
// for: they stop a goroutine where it calls a function that is not inlined.
//
//go:noinline
func copyStep(to, from []byte) { copy(to, from) }
