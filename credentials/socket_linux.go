package credentials

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

func fromSocket(fd int) (Credentials, error) {
	u, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return Credentials{}, err
	}
	// Without groups (Linux before 4.13) the peer is a member of none.
	groups, _ := peerGroups(fd)
	return Credentials{PID: int(u.Pid), UID: id(u.Uid), GID: id(u.Gid), Groups: groups}, nil
}

func peerPidfd(fd int) (int, error) {
	n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PEERPIDFD)
	switch {
	case errors.Is(err, unix.ENOPROTOOPT):
		return -1, fmt.Errorf("SO_PEERPIDFD needs Linux 6.5: %w", ErrUnsupported)
	case errors.Is(err, unix.ENODATA):
		return -1, ErrNotConnected
	case err != nil:
		return -1, err
	}
	return n, nil
}
