package memory

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

const populate = unix.MAP_POPULATE

// constant are the seals of what can be mapped: nobody can ever change it again.
const constant = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE

// fixed are the seals of what is shared: it keeps its size, so that no mapping of
// it loses its memory.
const fixed = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW

const (
	sealable = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	noExec   = 8 // MFD_NOEXEC_SEAL, since Linux 6.3; where it exists it may be demanded
)

// memfdFlags are those that this kernel takes, 0 if it makes no such files.
var memfdFlags = sync.OnceValue(func() int {
	for _, flags := range []int{sealable | noExec, sealable} {
		if fd, err := unix.MemfdCreate("xpc", flags); err == nil {
			unix.Close(fd)
			return flags
		}
	}
	return 0
})

func canSeal() bool { return memfdFlags() != 0 }

func newMemory() (int, error) {
	fd, err := unix.MemfdCreate("xpc", memfdFlags())
	return fd, os.NewSyscallError("memfd_create", err)
}

// createSealable is Create.
func createSealable(n int, u Use) (int, error) {
	fd, err := newMemory()
	if err != nil {
		return -1, err
	}
	if err = reserve(fd, n); err == nil && u == ToShare {
		err = addSeals(fd, fixed)
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("there is no room for %d bytes of shared memory: %w", n, err)
	}
	return fd, nil
}

// Seal makes a file constant. Nothing may be mapped to write to it.
func Seal(fd int) error { return addSeals(fd, constant) }

func addSeals(fd, seals int) error {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals|unix.F_SEAL_SEAL)
	return os.NewSyscallError("fcntl", err)
}

func reserve(fd, n int) error {
	fetchHuge(fd, n, unix.PROT_READ, nil)
	for {
		err := unix.Fallocate(fd, 0, 0, int64(n))
		if err != unix.EINTR {
			return os.NewSyscallError("fallocate", err)
		}
	}
}

const (
	hugePage = 2 << 20
	hugeFrom = 16 << 20 // what is shorter is filled sooner without
)

// noHugePages is set where the kernel makes none on demand, as before Linux 6.1.
var noHugePages atomic.Bool

// fetchHuge makes a file n bytes long and fetches as much of it as can be had in huge
// pages: to fetch, write, seal and free them takes half the time of small ones. They are
// the kernel's to split and swap like others, unlike those of hugetlbfs. If all that
// huge pages can hold lies in such, it is lent to use, which may be nil.
func fetchHuge(fd, n, prot int, use func([]byte)) {
	size := uintptr(n / hugePage * hugePage)
	if n < hugeFrom || noHugePages.Load() || unix.Ftruncate(fd, int64(n)) != nil {
		return
	}
	place, err := unix.MmapPtr(-1, 0, nil, size+hugePage, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return
	}
	defer unix.MunmapPtr(place, size+hugePage)
	aligned := unsafe.Add(place, -uintptr(place)%hugePage)
	if _, err := unix.MmapPtr(fd, 0, aligned, size, prot, unix.MAP_SHARED|unix.MAP_FIXED); err != nil {
		return
	}
	for at := uintptr(0); at < size; at += hugePage { // the kernel passes over a huge page's range that has no page at all
		unix.Fallocate(fd, 0, int64(at), 1)
	}
	whole := unsafe.Slice((*byte)(aligned), size)
	switch err := unix.Madvise(whole, unix.MADV_COLLAPSE); {
	case err == unix.EINVAL:
		noHugePages.Store(true)
	case err == nil && use != nil:
		use(whole)
	}
}

// fill writes b into a new file: where that lies in huge pages two processors at once,
// which the kernel would have wait for each other.
func fill(fd int, b []byte) error {
	done := 0
	fetchHuge(fd, len(b), unix.PROT_READ|unix.PROT_WRITE, func(whole []byte) {
		done = len(whole)
		half := done / 2
		other := make(chan struct{})
		go func() { // ends with its half
			copyBySteps(whole[half:], b[half:done])
			close(other)
		}()
		copyBySteps(whole[:half], b)
		<-other
	})
	return writeAll(fd, b, done)
}

// copyBySteps fills to, and lets others of this process stop it now and then.
func copyBySteps(to, from []byte) {
	const step = 1 << 20
	for at := 0; at < len(to); at += step {
		copy(to[at:min(at+step, len(to))], from[at:])
	}
}

// Check says whether a file that somebody sent has n bytes of memory, and whether
// it may be mapped for this use; else it can be read with Read. It never waits
// for whoever may be behind the file: seals are asked for first, which only
// memory has. id is the file's number.
func Check(fd, n int, u Use) (id ID, mappable bool, err error) {
	seals, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	if err != nil {
		return ID{}, false, errors.New("the descriptor is not shared memory")
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return ID{}, false, os.NewSyscallError("fstat", err)
	}
	id = ID{uint64(st.Dev), st.Ino}
	switch {
	case !onTmpfs(fd, id.device):
		return id, false, errors.New("the memory is of a kind that cannot be relied on, such as huge pages")
	case st.Size < int64(n):
		return id, false, ErrShort
	case st.Blocks*512 < int64(n):
		return id, false, errors.New("the memory has holes: to read it would take memory of the reader's")
	}
	want := constant
	if u == ToShare {
		want = unix.F_SEAL_SHRINK
	}
	return id, seals&want == want || u == ToShare && !Seals(), nil
}

// memfds is the device of what memfd_create makes, which is there as long as the kernel;
// false where it makes nothing.
var memfds = sync.OnceValues(func() (device uint64, ok bool) {
	fd, err := newMemory()
	if err != nil {
		return 0, false
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	err = unix.Fstat(fd, &st)
	return uint64(st.Dev), err == nil
})

func onTmpfs(fd int, device uint64) bool {
	if own, ok := memfds(); ok && own == device {
		return true
	}
	var fs unix.Statfs_t
	err := unix.Fstatfs(fd, &fs)
	return err == nil && int64(fs.Type) == unix.TMPFS_MAGIC
}

// ID is a file's number, which another file may have one day.
type ID struct{ device, inode uint64 }

// Identify tells the number of a file that can be mapped: of another one it may wait
// for whoever is behind it.
func Identify(fd int) (ID, bool) {
	var st unix.Stat_t
	err := unix.Fstat(fd, &st)
	return ID{uint64(st.Dev), st.Ino}, err == nil
}

// Same says whether two descriptors are of one file and its same opening, for
// certain: false where the kernel cannot tell, before Linux 6.10.
func Same(a, b int) bool {
	same, err := unix.FcntlInt(uintptr(a), unix.F_DUPFD_QUERY, b)
	return err == nil && same == 1
}
