package credentials

import (
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"
)

// fromSocket reads struct sockpeercred {uid, gid, pid}, 12 bytes, into the
// 20 bytes of an IPv6Mreq: x/sys/unix has no helper for it, and OpenBSD allows
// no system calls but those of its libraries.
func fromSocket(fd int) (Credentials, error) {
	m, err := unix.GetsockoptIPv6Mreq(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if errors.Is(err, unix.ENOTCONN) {
		return Credentials{}, ErrNotConnected
	}
	if err != nil {
		return Credentials{}, err
	}
	uid := binary.NativeEndian.Uint32(m.Multiaddr[0:])
	gid := binary.NativeEndian.Uint32(m.Multiaddr[4:])
	pid := int32(binary.NativeEndian.Uint32(m.Multiaddr[8:]))
	return Credentials{PID: int(pid), UID: id(uid), GID: id(gid)}, nil
}
