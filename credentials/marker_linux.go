package credentials

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// putMarkerAside leaves other groups alone: a program may have been made set-group-id
// for its own purposes. groups is the system's file of groups.
func putMarkerAside(groups string) error {
	real, effective, saved := unix.Getresgid()
	if effective == real || effective != saved {
		return nil
	}
	marker, err := isMarker(groups, effective)
	if err != nil || !marker {
		return err
	}
	return syscall.Setresgid(-1, real, -1) // of all threads
}

func isMarker(groups string, gid int) (bool, error) {
	f, err := os.Open(groups)
	if err != nil {
		return false, err
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		if f := strings.Split(s.Text(), ":"); len(f) >= 4 && f[2] == strconv.Itoa(gid) {
			return strings.HasPrefix(f[0], MarkerPrefix), nil
		}
	}
	return false, s.Err()
}
