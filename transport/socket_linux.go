package transport

import (
	"encoding/binary"
	"fmt"
	"io"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/credentials"
)

// socketSys is what the system call to receive needs, so that it allocates nothing.
type socketSys struct {
	in  unix.Msghdr
	iov unix.Iovec
}

// quietly has nothing to do: every write has MSG_NOSIGNAL.
func quietly(int) error { return nil }

// forget lets go of the buffers, which are others' as soon as the call is over.
func (y *socketSys) forget() { y.in.Control, y.iov.Base = nil, nil }

func nativeUint32(b []byte) uint32 { return binary.NativeEndian.Uint32(b) }

// receive uses the bare system call: the library's wrapper allocates for an
// address that a connected socket does not have.
func (s *socket) receive(b []byte, in *incoming, wait bool) (int, error) {
	flags := unix.MSG_CMSG_CLOEXEC
	if wait = wait && s.boundReads(); !wait {
		flags |= unix.MSG_DONTWAIT
	}
	h := &in.sys.in
	in.sys.iov.Base = &b[0]
	in.sys.iov.SetLen(len(b))
	*h = unix.Msghdr{Iov: &in.sys.iov, Control: &in.control[0]}
	h.SetIovlen(1)
	defer in.sys.forget()
	for {
		h.SetControllen(len(in.control))
		var n uintptr
		var errno syscall.Errno
		if wait || len(b) > bufferSize {
			n, _, errno = syscall.Syscall(unix.SYS_RECVMSG, uintptr(s.fd), uintptr(unsafe.Pointer(h)), uintptr(flags))
		} else { // short, and it never waits: the scheduler need not be told
			n, _, errno = syscall.RawSyscall(unix.SYS_RECVMSG, uintptr(s.fd), uintptr(unsafe.Pointer(h)), uintptr(flags))
		}
		switch {
		case errno == unix.EINTR:
			continue
		case errno == unix.EAGAIN:
			return 0, errAgain
		case errno == unix.ECONNRESET, errno == 0 && n == 0:
			return 0, io.EOF
		case errno != 0:
			return 0, fmt.Errorf("transport: receive: %w", errno)
		}
		return int(n), readControl(in.control[:h.Controllen], h.Flags, in)
	}
}

func readControl(control []byte, flags int32, in *incoming) error {
	for len(control) >= unix.CmsgLen(0) {
		h, data, rest, err := unix.ParseOneSocketControlMessage(control)
		if err != nil {
			return protocolError("unreadable control data: %v", err)
		}
		if h.Level == unix.SOL_SOCKET {
			switch h.Type {
			case unix.SCM_RIGHTS:
				claimRights(in, data)
			case unix.SCM_CREDENTIALS:
				if c, ok := credentials.ParseCredentials(h, data); ok {
					in.sender = c
				}
			}
		}
		control = rest
	}
	if flags&unix.MSG_CTRUNC != 0 {
		return protocolError("descriptors were lost on the way: too many at once, or this process has no more room for them")
	}
	return nil
}

func (s *socket) transmit(p parts, files []*Descriptor, identify, wait bool) (int, error) {
	flags := uintptr(unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL)
	if wait && s.boundWrites() {
		flags = unix.MSG_NOSIGNAL
	}
	for {
		n, errno := s.sendOnce(p, files, identify, flags)
		switch errno {
		case 0:
			return n, nil
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return 0, errAgain
		}
		return 0, errno
	}
}

func (s *socket) drained() bool {
	n, err := unix.IoctlGetInt(s.fd, unix.TIOCOUTQ)
	return n == 0 || err != nil
}

// boundWrites says whether a blocking write returns after a while.
func (s *socket) boundWrites() bool {
	s.boundsWrites = s.boundsWrites || s.bound(unix.SO_SNDTIMEO)
	return s.boundsWrites
}

// boundReads is the same of a read.
func (s *socket) boundReads() bool {
	s.boundsReads = s.boundsReads || s.bound(unix.SO_RCVTIMEO)
	return s.boundsReads
}

// bound has one direction wait in system calls, for a while. The reader and the writer may
// call it at the same time.
func (s *socket) bound(option int) bool {
	if !s.blocks && unix.SetNonblock(s.fd, false) != nil {
		return false
	}
	tv := unix.NsecToTimeval(waitMicros * 1000)
	return unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, option, &tv) == nil
}

func (s *socket) sendOnce(p parts, files []*Descriptor, identify bool, flags uintptr) (int, syscall.Errno) {
	if b, alone := p.alone(); alone && len(files) == 0 && !identify {
		if len(b) <= copyBelow && flags&unix.MSG_DONTWAIT != 0 {
			// Short, and it never waits: the scheduler need not be told.
			n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(s.fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), flags, 0, 0)
			return int(n), errno
		}
		n, _, errno := syscall.Syscall6(unix.SYS_SENDTO, uintptr(s.fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), flags, 0, 0)
		return int(n), errno
	}
	return s.sendWithControl(p, files, identify, flags)
}

func (s *socket) sendWithControl(p parts, files []*Descriptor, identify bool, flags uintptr) (int, syscall.Errno) {
	var iov [len(p)]unix.Iovec
	h := unix.Msghdr{Iov: &iov[0]}
	n := 0
	for _, b := range p {
		if len(b) > 0 {
			iov[n].Base = &b[0]
			iov[n].SetLen(len(b))
			n++
		}
	}
	h.SetIovlen(n)
	var control []byte
	if identify {
		control = credentials.AppendCredentials(control)
	}
	if len(files) > 0 {
		control = append(control, unix.UnixRights(numbers(files)...)...)
	}
	if len(control) > 0 {
		h.Control = &control[0]
		h.SetControllen(len(control))
	}
	sent, _, errno := syscall.Syscall(unix.SYS_SENDMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&h)), flags)
	return int(sent), errno
}

func numbers(files []*Descriptor) []int {
	fds := make([]int, len(files))
	for i, d := range files {
		fds[i] = d.FD()
	}
	return fds
}
