package credentials

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// fromSocket has the ids as of connect, but the pid of whoever used the socket
// last: a hint only.
func fromSocket(fd int) (Credentials, error) {
	x, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	switch {
	case errors.Is(err, unix.ENOTCONN):
		return Credentials{}, ErrNotConnected
	case err != nil:
		return Credentials{}, err
	case x.Version != 0 || x.Ngroups < 1:
		return Credentials{}, fmt.Errorf("LOCAL_PEERCRED version %d with %d groups: %w", x.Version, x.Ngroups, ErrUnsupported)
	}
	pid, err := unix.GetsockoptInt(fd, unix.SOL_LOCAL, unix.LOCAL_PEERPID)
	if err != nil {
		pid = 0
	}
	return Credentials{PID: pid, UID: id(x.Uid), GID: id(x.Groups[0]), Groups: xucredGroups(x.Groups[:], x.Ngroups)}, nil
}
