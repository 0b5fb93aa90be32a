//go:build !netbsd

package daemon

import "golang.org/x/sys/unix"

const clockMonotonic = unix.CLOCK_MONOTONIC
