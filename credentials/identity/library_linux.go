package identity

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/credentials"
	"github.com/openxpc/openxpc/credentials/requirement"
)

// libraries refuses a process whose program asks for library validation, if it executes
// a file that neither the program's team nor the platform has signed: however that was
// loaded, and whatever was done to hide it. What is loaded later is not seen.
func (i *Identifier) libraries(ctx context.Context, code *requirement.Code, exe *os.File, pin *credentials.Pin) error {
	if code.Flags&requirement.LibraryValidation == 0 {
		return nil
	}
	err := i.step("libraries")
	text := ""
	if err == nil {
		text, err = readAt(pin.Directory(), "maps")
	}
	if err != nil {
		return fmt.Errorf("its libraries are not known, and its signature asks for them to be validated: %w", err)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(text) {
		m, err := parseMapping(line)
		if err == nil && (!m.executable || m.inode == 0 || seen[m.file()]) {
			continue
		}
		if err == nil {
			seen[m.file()] = true
			err = i.library(ctx, code, exe, pin, m)
		}
		if err != nil {
			return fmt.Errorf("its signature asks for library validation, and it executes %s: %w", m.path, err)
		}
	}
	return nil
}

// library is nil for the program's own image, and for what its team or the platform signed.
func (i *Identifier) library(ctx context.Context, code *requirement.Code, exe *os.File, pin *credentials.Pin, m mapping) error {
	f, err := m.open(pin.Directory())
	if err != nil {
		return fmt.Errorf("which cannot be opened: %w", err)
	}
	defer f.Close()
	own, err := exe.Stat()
	if err != nil {
		return err
	}
	its, err := f.Stat()
	if err != nil {
		return err
	}
	if os.SameFile(own, its) {
		return nil
	}
	// A library that is executed can be written to, unlike a program.
	st := its.Sys().(*syscall.Stat_t)
	if owner := int(st.Uid); owner != 0 && owner != os.Geteuid() || its.Mode()&0o022 != 0 {
		return fmt.Errorf("which others can write to (user %d, mode %o): chown root, and chmod go-w", owner, its.Mode().Perm())
	}
	p, err := i.Verifier.Verify(ctx, f)
	if err == nil && !p.Code.Platform && (code.Team == "" || p.Code.Team != code.Team) {
		err = fmt.Errorf("which is signed by team %q and not of the platform", p.Code.Team)
	}
	if err != nil {
		return fmt.Errorf("%w (team %q can sign it, or xpcsign trust-package make it part of the platform)", err, code.Team)
	}
	return nil
}

// mapping is a line of /proc/PID/maps.
type mapping struct {
	start, end uint64
	executable bool
	device     uint64
	inode      uint64
	path       string
}

func (m mapping) file() string { return fmt.Sprintf("%d %d", m.device, m.inode) }

func parseMapping(line string) (m mapping, err error) {
	fields := strings.Fields(line)
	if len(fields) < 5 || len(fields[1]) < 3 {
		return m, fmt.Errorf("/proc tells of a mapping %q", line)
	}
	first, last, _ := strings.Cut(fields[0], "-")
	major, minor, _ := strings.Cut(fields[3], ":")
	number := func(s string, base int) uint64 {
		n, e := strconv.ParseUint(s, base, 64)
		err = errors.Join(err, e)
		return n
	}
	m.start, m.end = number(first, 16), number(last, 16)
	m.executable = fields[1][2] == 'x'
	m.device = unix.Mkdev(uint32(number(major, 16)), uint32(number(minor, 16)))
	m.inode = number(fields[4], 10)
	if n := strings.IndexByte(line, '/'); n >= 0 {
		m.path = strings.TrimSuffix(line[n:], "\n")
	}
	return m, err
}

const openFlags = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_CLOEXEC

// open opens the mapped file itself, which takes privilege, or else what is at its path,
// if that is the same file.
func (m mapping) open(process int) (*os.File, error) {
	fd, err := unix.Openat(process, fmt.Sprintf("map_files/%x-%x", m.start, m.end), openFlags, 0)
	if err == nil {
		return os.NewFile(uintptr(fd), m.path), nil
	}
	if err != unix.EPERM && err != unix.EACCES {
		return nil, err
	}
	return m.openPath(process)
}

func (m mapping) openPath(process int) (*os.File, error) {
	fd, err := unix.Openat(process, "root"+m.path, openFlags, 0)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Ino != m.inode || uint64(st.Dev) != m.device {
		unix.Close(fd)
		return nil, errors.Join(err, errors.New("another file has its path now: start the program again"))
	}
	return os.NewFile(uintptr(fd), m.path), nil
}
