package handover

import (
	"os"

	"golang.org/x/sys/unix"
)

// MemoryFile is a file that has no name and lives as long as a descriptor of it.
func MemoryFile() (*os.File, error) {
	fd, err := unix.MemfdCreate("openxpc-state", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	return os.NewFile(uintptr(fd), "openxpc-state"), nil
}
