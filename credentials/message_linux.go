package credentials

import (
	"encoding/binary"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

func enableReceive(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1) }

// self does not change: a child of fork has no Go runtime to run this.
var self = int32(os.Getpid())

// ControlSpace is the room, in bytes, that one message of credentials takes in
// a control buffer; 0 on systems that have none.
func ControlSpace() int { return unix.CmsgSpace(unix.SizeofUcred) }

// AppendCredentials appends the control message that tells the receiver this
// process's id and EFFECTIVE user and group ids (what the kernel attaches by
// itself are the real ones) and returns the extended slice, which is the
// caller's. It allocates only if oob lacks [ControlSpace] bytes of room.
//
// Where the kernel has no such message oob comes back unchanged.
func AppendCredentials(oob []byte) []byte {
	start := len(oob)
	h := unix.Cmsghdr{Level: unix.SOL_SOCKET, Type: unix.SCM_CREDENTIALS}
	h.SetLen(unix.CmsgLen(unix.SizeofUcred))
	u := unix.Ucred{Pid: self, Uid: uint32(os.Geteuid()), Gid: uint32(os.Getegid())}
	oob = append(oob, unsafe.Slice((*byte)(unsafe.Pointer(&h)), unsafe.Sizeof(h))...)
	oob = append(oob, unsafe.Slice((*byte)(unsafe.Pointer(&u)), unsafe.Sizeof(u))...)
	for len(oob) < start+ControlSpace() {
		oob = append(oob, 0)
	}
	return oob
}

// ParseCredentials reads one control message, as [unix.ParseOneSocketControlMessage]
// splits it; false if it holds no credentials. It does not allocate or keep data.
//
// The kernel vouches for what it says, with one exception: a sender with
// CAP_SETUID, CAP_SETGID or CAP_SYS_ADMIN may claim other ids.
func ParseCredentials(h unix.Cmsghdr, data []byte) (Credentials, bool) {
	if h.Level != unix.SOL_SOCKET || h.Type != unix.SCM_CREDENTIALS || len(data) < unix.SizeofUcred {
		return Unknown(), false
	}
	return Credentials{
		PID: int(int32(binary.NativeEndian.Uint32(data[0:]))),
		UID: id(binary.NativeEndian.Uint32(data[4:])),
		GID: id(binary.NativeEndian.Uint32(data[8:])),
	}, true
}
