package credentials

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

func auditSession(pid int) (int, error) {
	if pid <= 0 {
		return -1, errors.New("no such process: process ids start at 1")
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/sessionid", pid))
	if errors.Is(err, fs.ErrNotExist) {
		if _, alive := os.Stat(fmt.Sprintf("/proc/%d", pid)); alive == nil {
			return -1, fmt.Errorf("this kernel was built without auditing: %w", ErrUnsupported)
		}
	}
	if err != nil {
		return -1, err
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 32)
	if err != nil {
		return -1, err
	}
	return id(uint32(n)), nil
}
