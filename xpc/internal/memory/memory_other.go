//go:build unix && !linux

package memory

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

const populate = 0

func canSeal() bool { return false }

var errNoSeals = errors.New("this system cannot seal memory")

func newMemory() (int, error) { return -1, errNoSeals }

func createSealable(int, Use) (int, error) { return -1, errNoSeals }

// Seal fails where nothing can be sealed.
func Seal(int) error { return errNoSeals }

func reserve(fd, n int) error { return os.NewSyscallError("ftruncate", unix.Ftruncate(fd, int64(n))) }

// Check says whether a file that somebody sent has n bytes, and whether it may be
// mapped for this use; else it can be read with Read. Nothing is sealed here, so
// data is always copied, and shared memory relies on its other users. There is no id.
func Check(fd, n int, u Use) (id ID, mappable bool, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return ID{}, false, os.NewSyscallError("fstat", err)
	}
	if uint32(st.Mode)&unix.S_IFMT != unix.S_IFREG {
		return ID{}, false, errors.New("the descriptor is not shared memory")
	}
	if st.Size < int64(n) {
		return ID{}, false, ErrShort
	}
	return ID{}, u == ToShare, nil
}

// ID is a file's number.
type ID struct{}

// Identify has nothing to tell where nothing is sealed.
func Identify(int) (ID, bool) { return ID{}, false }

// Same is never asked there.
func Same(int, int) bool { return false }

func fill(fd int, b []byte) error { return writeAll(fd, b, 0) }
