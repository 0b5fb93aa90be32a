package credentials

import (
	"encoding/binary"
	"fmt"
)

// MaxGroups is how many groups a GroupSet keeps. Linux lets root give a process
// 65536; who has more than a GroupSet keeps is no member of the others here,
// which errs on the side of refusing.
const MaxGroups = 1024

// GroupSet is a set of group ids, of at most [MaxGroups].
//
// It is a plain value like [Credentials]: copy it, compare it with ==, share it
// between goroutines. The zero GroupSet is empty.
type GroupSet struct{ packed string } // 4 bytes each, in the order given

// NewGroupSet makes a set of ids; the slice stays the caller's. What is above
// MaxGroups is left out.
func NewGroupSet(ids ...int) GroupSet {
	b := make([]byte, 0, 4*min(len(ids), MaxGroups))
	for _, id := range ids[:min(len(ids), MaxGroups)] {
		b = binary.NativeEndian.AppendUint32(b, uint32(id))
	}
	return GroupSet{string(b)}
}

// packedGroups takes what a kernel answered: ids of 4 bytes each.
func packedGroups(b []byte) GroupSet { return GroupSet{string(b[:min(len(b)&^3, 4*MaxGroups)])} }

// Len is the number of groups.
func (s GroupSet) Len() int { return len(s.packed) / 4 }

// Has says whether gid is in the set; -1, which is nobody's, never is.
func (s GroupSet) Has(gid int) bool {
	for i := range s.Len() {
		if s.at(i) == gid && gid != -1 {
			return true
		}
	}
	return false
}

// All lists the groups, in a slice that is the caller's; nil if there are none.
func (s GroupSet) All() []int {
	var all []int
	for i := range s.Len() {
		all = append(all, s.at(i))
	}
	return all
}

func (s GroupSet) at(i int) int { return id(binary.NativeEndian.Uint32([]byte(s.packed[4*i : 4*i+4]))) }

// String lists the ids: "[4 27 100]".
func (s GroupSet) String() string { return fmt.Sprint(s.All()) }

// Groups tells the supplementary groups of who is at the other end of the Unix
// socket fd, as of the same moment as [FromSocket], which has them too. On FreeBSD
// and macOS the effective group is among them, and there are at most 16.
//
// The caller keeps fd and owns the slice; one without groups gives nil. The error
// wraps [ErrNotConnected] if there is no peer, [ErrUnsupported] where the kernel
// cannot say (Linux before 4.13, OpenBSD, NetBSD, DragonFly), or the errno.
func Groups(fd int) ([]int, error) {
	s, err := peerGroups(fd)
	if err != nil {
		return nil, fmt.Errorf("credentials: groups of the peer of descriptor %d: %w", fd, err)
	}
	return s.All(), nil
}

// SecurityLabel tells what the system's security module (SELinux, AppArmor,
// Smack) calls the peer of the Unix socket fd, as of its connect: a context such
// as "system_u:system_r:init_t:s0", or a profile. It is the module's text; what
// it means is the module's business.
//
// The caller keeps fd. Linux with such a module only; elsewhere the error wraps
// [ErrUnsupported], and with an error the text is "".
func SecurityLabel(fd int) (string, error) {
	label, err := securityLabel(fd)
	if err != nil {
		return "", fmt.Errorf("credentials: security label of the peer of descriptor %d: %w", fd, err)
	}
	return label, nil
}
