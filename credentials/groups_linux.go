package credentials

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// peerGroups reads SO_PEERGROUPS, for which x/sys/unix has no function. The kernel
// gives all groups or ERANGE with the room that they need.
func peerGroups(fd int) (GroupSet, error) {
	var few [32]uint32
	ids := few[:]
	for {
		size := uint32(4 * len(ids))
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&ids[0])), uintptr(unsafe.Pointer(&size)), 0)
		switch {
		case errno == unix.ERANGE && int(size) > 4*len(ids):
			ids = make([]uint32, size/4)
			continue
		case errno == unix.ENODATA:
			return GroupSet{}, ErrNotConnected
		case errno == unix.ENOPROTOOPT:
			return GroupSet{}, fmt.Errorf("SO_PEERGROUPS needs Linux 4.13: %w", ErrUnsupported)
		case errno != 0:
			return GroupSet{}, errno
		}
		return packedGroups(unsafe.Slice((*byte)(unsafe.Pointer(&ids[0])), size)), nil
	}
}

var errNoLabel = fmt.Errorf("no security module labels sockets: %w", ErrUnsupported)

// noModule: no security module labels anything, sockets neither.
var noModule = sync.OnceValue(func() bool {
	_, err := os.ReadFile("/proc/self/attr/current")
	return errors.Is(err, unix.EINVAL)
})

func securityLabel(fd int) (string, error) {
	if noModule() {
		return "", errNoLabel
	}
	label, err := unix.GetsockoptString(fd, unix.SOL_SOCKET, unix.SO_PEERSEC)
	switch {
	case errors.Is(err, unix.ENOPROTOOPT):
		return "", errNoLabel
	case err != nil:
		return "", err
	}
	return label, nil
}
