package memory

import (
	"errors"
	"fmt"
	"os"
	"sync"

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
