//go:build freebsd || netbsd || openbsd || dragonfly

package transport

import "golang.org/x/sys/unix"

const (
	noSignalFlag   = unix.MSG_NOSIGNAL
	noSignalOption = 0
)
