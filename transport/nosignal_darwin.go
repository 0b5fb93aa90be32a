package transport

import "golang.org/x/sys/unix"

const (
	noSignalFlag   = 0
	noSignalOption = unix.SO_NOSIGPIPE
)
