package credentials

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Missing from x/sys/unix; sys/un.h has level 0 and option 1.
const (
	solLocal      = 0
	localPeercred = 1
)

// fromSocket reads the head of struct xucred: version, uid, ngroups (2 bytes
// and 2 of padding), groups. The kernel cuts the answer to the buffer, and
// IPv6Mreq is simply the largest buffer that x/sys/unix offers: 20 bytes.
func fromSocket(fd int) (Credentials, error) {
	m, err := unix.GetsockoptIPv6Mreq(fd, solLocal, localPeercred)
	if errors.Is(err, unix.ENOTCONN) {
		return Credentials{}, ErrNotConnected
	}
	if err != nil {
		return Credentials{}, err
	}
	version := binary.NativeEndian.Uint32(m.Multiaddr[0:])
	groups := int16(binary.NativeEndian.Uint16(m.Multiaddr[8:]))
	if version != 0 || groups < 1 {
		return Credentials{}, fmt.Errorf("LOCAL_PEERCRED version %d with %d groups: %w", version, groups, ErrUnsupported)
	}
	uid := binary.NativeEndian.Uint32(m.Multiaddr[4:])
	gid := binary.NativeEndian.Uint32(m.Multiaddr[12:])
	return Credentials{PID: 0, UID: id(uid), GID: id(gid)}, nil
}
