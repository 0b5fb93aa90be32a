package xpc

import (
	"os"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// inheritedTally takes over, once, the memory in which the registry that launched this
// process reads how many transactions are open (R185); nil if it does not. A number
// that is another file by now, as behind a wrapper that closes what it does not know,
// is left alone.
func inheritedTally() *bootstrap.Tally {
	name := os.Getenv(bootstrap.EnvTally)
	os.Unsetenv(bootstrap.EnvTally) // the number means nothing to this process's children
	number, _, _ := strings.Cut(name, ":")
	fd, err := strconv.Atoi(number)
	var st unix.Stat_t
	if err != nil || unix.Fstat(fd, &st) != nil || st.Size < bootstrap.TallySize || bootstrap.TallyName(fd, uint64(st.Dev), uint64(st.Ino)) != name {
		return nil
	}
	defer unix.Close(fd)
	page, err := unix.Mmap(fd, 0, bootstrap.TallySize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil
	}
	return (*bootstrap.Tally)(unsafe.Pointer(&page[0]))
}
