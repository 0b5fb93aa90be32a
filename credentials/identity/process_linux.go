package identity

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/credentials"
	"github.com/openxpc/openxpc/credentials/requirement"
)

func openAt(dir int, name string) (*os.File, error) {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "the image"), nil
}

// maxProcFile bounds what is read of one file of /proc.
const maxProcFile = 4 << 20

// procBuffers are used again: almost every file of /proc has room in one.
var procBuffers = sync.Pool{New: func() any { return new([4096]byte) }}

func readAt(dir int, name string) (string, error) {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	buffer := procBuffers.Get().(*[4096]byte)
	defer procBuffers.Put(buffer)
	b := buffer[:0]
	for {
		n, err := unix.Read(fd, b[len(b):cap(b)])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return "", err
		}
		// The kernel fills the room that there is as long as it has more.
		if b = b[:len(b)+n]; len(b) < cap(b) {
			return string(b), nil
		}
		if len(b) >= maxProcFile {
			return "", unix.EFBIG
		}
		b = slices.Grow(b, len(b))
	}
}

// sameNamespace says whether the process and this one are in the same namespace of a kind.
func sameNamespace(dir int, kind string) (bool, error) {
	own := ownUser
	if kind == "pid" {
		own = ownPID
	}
	ours, err := own()
	if err != nil {
		return false, err
	}
	var theirs unix.Stat_t
	if err := unix.Fstatat(dir, "ns/"+kind, &theirs, 0); err != nil {
		return false, err
	}
	return theirs.Dev == ours.Dev && theirs.Ino == ours.Ino, nil
}

// This process's own namespaces, which it does not leave; whether there is a security
// module that gives processes a label; and which file system /usr is on.
var (
	ownUser = sync.OnceValues(func() (st unix.Stat_t, err error) { err = unix.Stat("/proc/self/ns/user", &st); return st, err })
	ownPID  = sync.OnceValues(func() (st unix.Stat_t, err error) { err = unix.Stat("/proc/self/ns/pid", &st); return st, err })
	labels  = sync.OnceValue(func() bool { _, err := os.ReadFile("/proc/self/attr/current"); return err == nil })
	usr     = sync.OnceValues(func() (x unix.Statx_t, err error) { err = unix.Statx(unix.AT_FDCWD, "/usr", 0, 0, &x); return x, err })
)

// ownNamespace says whether the process is in this one's user namespace.
func (i *Identifier) ownNamespace(pin *credentials.Pin) (own bool, err error) {
	if err = i.step("user namespace"); err == nil {
		own, err = sameNamespace(pin.Directory(), "user")
	}
	if err != nil {
		return false, fmt.Errorf("its user namespace is not known: %w", err)
	}
	return own, nil
}

// preloaded refuses who shows that the linker was told to load a library first. A
// library that means harm wipes its traces: only the group keeps it out.
func (i *Identifier) preloaded(pin *credentials.Pin) error {
	err := i.step("environment")
	text := ""
	if err == nil {
		text, err = readAt(pin.Directory(), "environ")
	}
	if err != nil {
		return fmt.Errorf("its environment cannot be read: %w", err)
	}
	for kv := range strings.SplitSeq(text, "\x00") {
		if name, value, _ := strings.Cut(kv, "="); value != "" && (name == "LD_PRELOAD" || name == "LD_AUDIT") {
			return fmt.Errorf("it was started with %s, which loads other code into it", name)
		}
	}
	return nil
}

// status is what /proc/PID/status tells.
type status struct {
	tracer           int
	rgid, egid, sgid int
}

func (i *Identifier) status(pin *credentials.Pin) (*status, error) {
	if err := i.step("status"); err != nil {
		return nil, err
	}
	text, err := readAt(pin.Directory(), "status")
	if err != nil {
		return nil, err
	}
	return parseStatus(text)
}

func parseStatus(text string) (*status, error) {
	tracer := statusLine(text, "TracerPid:")
	gid := statusLine(text, "Gid:")
	if len(tracer) != 1 || len(gid) != 4 {
		return nil, errors.New("/proc tells no TracerPid or Gid")
	}
	s := &status{}
	for n, to := range []*int{&s.tracer, &s.rgid, &s.egid, &s.sgid} {
		var err error
		if *to, err = strconv.Atoi(append(tracer, gid...)[n]); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// statusLine is what stands behind a label at the beginning of a line. The first line is
// the program's name, in which the kernel escapes what would end it.
func statusLine(text, label string) []string {
	_, rest, _ := strings.Cut(text, "\n"+label)
	line, _, _ := strings.Cut(rest, "\n")
	return strings.Fields(line)
}

// surroundings fills in what no signature says; own and err are ownNamespace's. What
// cannot be read is not known.
func (i *Identifier) surroundings(f *requirement.Facts, pin *credentials.Pin, own bool, err error) {
	if i.step("cgroup") == nil {
		if text, err := readAt(pin.Directory(), "cgroup"); err == nil {
			f.Cgroup = unifiedCgroup(text)
			f.Unit, f.Container = unitOf(f.Cgroup), containerOf(f.Cgroup)
		}
	}
	if err == nil && i.step("host") == nil {
		if pid, err := sameNamespace(pin.Directory(), "pid"); err == nil {
			host := pid && own
			f.Host = &host
		}
	}
	if f.Label == "" && labels() && i.step("label") == nil {
		if text, err := readAt(pin.Directory(), "attr/current"); err == nil {
			f.Label = strings.TrimRight(text, "\x00\n")
		}
	}
	init := pin.PID() == 1 || pin.PID() == os.Getpid()
	f.IsInitProc = &init
}

// place tells where the image lies.
func (i *Identifier) place(f *requirement.Facts, exe *os.File) {
	if i.step("place") != nil {
		return
	}
	raw, err := exe.SyscallConn()
	if err != nil {
		return
	}
	raw.Control(func(fd uintptr) {
		var x unix.Statx_t
		if unix.Statx(int(fd), "", unix.AT_EMPTY_PATH, 0, &x) == nil {
			protected := x.Attributes&unix.STATX_ATTR_VERITY != 0
			f.IsSIPProtected = &protected
			if usr, err := usr(); err == nil {
				on := x.Dev_major == usr.Dev_major && x.Dev_minor == usr.Dev_minor
				f.OnSystemVolume = &on
			}
		}
	})
}
