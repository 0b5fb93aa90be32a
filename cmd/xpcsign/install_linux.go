package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// canGrant asks whether the kernel honours set-group-id there.
func canGrant(f *os.File) error {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &fs); err != nil {
		return err
	}
	if fs.Flags&unix.ST_NOSUID != 0 {
		return fmt.Errorf("the file system of %s is mounted nosuid: the kernel grants no group there; install it elsewhere, or sign it with --no-marker", f.Name())
	}
	return nil
}
