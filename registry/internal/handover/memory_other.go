//go:build unix && !linux

package handover

import "os"

// MemoryFile is a file that has no name and lives as long as a descriptor of it.
func MemoryFile() (*os.File, error) {
	f, err := os.CreateTemp("", "openxpc-state-")
	if err != nil {
		return nil, err
	}
	return f, os.Remove(f.Name())
}
