//go:build unix && !linux

package transport

import (
	"encoding/binary"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

type socketSys struct{}

// quietly keeps a write to a peer that is gone from raising SIGPIPE, which kills
// a C program that uses this as a library.
func quietly(fd int) error {
	if noSignalOption == 0 {
		return nil
	}
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.SOL_SOCKET, noSignalOption, 1))
}

func nativeUint32(b []byte) uint32 { return binary.NativeEndian.Uint32(b) }

// receive holds ForkLock so that no child inherits a descriptor between its
// arrival and close-on-exec; for that reason it does not block while holding it.
func (s *socket) receive(b []byte, in *incoming, wait bool) (int, error) {
	control := in.control
	for {
		if wait {
			poll := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}}
			unix.Poll(poll, 1)
		}
		syscall.ForkLock.RLock()
		n, oobn, flags, _, err := unix.RecvmsgBuffers(s.fd, [][]byte{b}, control, unix.MSG_DONTWAIT)
		before := len(in.files)
		if err == nil {
			err = readControl(control[:oobn], flags, in)
			for _, d := range in.files[before:] {
				unix.CloseOnExec(d.FD())
			}
		}
		syscall.ForkLock.RUnlock()
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return 0, errAgain
		case err == unix.ECONNRESET, err == nil && n == 0:
			return 0, io.EOF
		}
		return n, err
	}
}

func readControl(control []byte, flags int, in *incoming) error {
	for len(control) >= unix.CmsgLen(0) {
		h, data, rest, err := unix.ParseOneSocketControlMessage(control)
		if err != nil {
			return protocolError("unreadable control data: %v", err)
		}
		if h.Level == unix.SOL_SOCKET && h.Type == unix.SCM_RIGHTS {
			claimRights(in, data)
		}
		control = rest
	}
	if flags&unix.MSG_CTRUNC != 0 {
		return protocolError("descriptors were lost on the way: too many at once, or this process has no more room for them")
	}
	return nil
}

func (s *socket) drained() bool { return true } // what was sent lies with the receiver, out of sight

func (s *socket) transmit(p parts, files []*Descriptor, _, wait bool) (int, error) {
	if wait {
		poll := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLOUT}}
		unix.Poll(poll, waitMicros/1000)
	}
	var control []byte
	if len(files) > 0 {
		fds := make([]int, len(files))
		for i, d := range files {
			fds[i] = d.FD()
		}
		control = unix.UnixRights(fds...)
	}
	for {
		n, err := unix.SendmsgBuffers(s.fd, p[:], control, nil, unix.MSG_DONTWAIT|noSignalFlag)
		switch err {
		case nil:
			return n, nil
		case unix.EINTR:
			continue
		case unix.EAGAIN, unix.ENOBUFS:
			return 0, errAgain
		}
		return 0, err
	}
}
