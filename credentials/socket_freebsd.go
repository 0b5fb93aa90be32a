package credentials

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// xucred is struct xucred of sys/ucred.h. It is written out here because
// unix.Xucred declares the last member, which holds the pid, as a pointer, and
// a small number in a pointer stops Go's stack copier.
type xucred struct {
	version uint32
	uid     uint32
	groups  int16
	group   [16]uint32
	tail    uintptr // a union: cr_pid lies at its start
}

func fromSocket(fd int) (Credentials, error) {
	var x xucred
	size := uint32(unsafe.Sizeof(x))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_LOCAL, unix.LOCAL_PEERCRED,
		uintptr(unsafe.Pointer(&x)), uintptr(unsafe.Pointer(&size)), 0)
	switch {
	case errno == unix.ENOTCONN:
		return Credentials{}, ErrNotConnected
	case errno != 0:
		return Credentials{}, errno
	case x.version != 0 || x.groups < 1:
		return Credentials{}, fmt.Errorf("LOCAL_PEERCRED version %d with %d groups: %w", x.version, x.groups, ErrUnsupported)
	}
	pid := *(*int32)(unsafe.Pointer(&x.tail))
	return Credentials{PID: int(pid), UID: id(x.uid), GID: id(x.group[0]), Groups: xucredGroups(x.group[:], x.groups)}, nil
}
