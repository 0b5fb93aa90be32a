package credentials

import (
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"
)

// Missing from x/sys/unix; sys/un.h has level 0 and option 3.
const (
	solLocal     = 0
	localPeereid = 3
)

// fromSocket reads struct unpcbid {pid, euid, egid}, 12 bytes, into the 20 bytes
// of an IPv6Mreq, the helper of x/sys/unix with a large enough buffer.
func fromSocket(fd int) (Credentials, error) {
	m, err := unix.GetsockoptIPv6Mreq(fd, solLocal, localPeereid)
	if errors.Is(err, unix.ENOTCONN) {
		return Credentials{}, ErrNotConnected
	}
	if err != nil {
		return Credentials{}, err
	}
	pid := int32(binary.NativeEndian.Uint32(m.Multiaddr[0:]))
	uid := binary.NativeEndian.Uint32(m.Multiaddr[4:])
	gid := binary.NativeEndian.Uint32(m.Multiaddr[8:])
	return Credentials{PID: int(pid), UID: id(uid), GID: id(gid)}, nil
}
