package credentials

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// errImageChanged is why a Pin no longer holds.
var errImageChanged = errors.New("it has executed another program, or ended")

// pin is how Linux does it. The pidfd stands for the process, dir is its folder in
// /proc. What it executes is known by a thread, or if it had no other, or that has ended,
// by two things: memory stands for its memory, which is replaced at exec, and the old one
// ends with its last user. exe is compared besides, because a helper that shares
// the old memory keeps it alive, as a child of vfork does until it executes something.
type pin struct {
	pid                int
	pidfd, dir, memory int
	exe                inode
	run                *Execution // nil if there is none
}

type inode struct {
	major, minor uint32
	ino          uint64
}

// pinner does the steps; before, in tests, makes one fail.
type pinner struct {
	before func(step string) error
}

func (k *pinner) step(name string) error {
	if k.before == nil {
		return nil
	}
	return k.before(name)
}

func (k *pinner) peer(fd int) (pin, error) {
	if err := k.step("SO_PEERPIDFD"); err != nil {
		return pin{}, err
	}
	pidfd, err := peerPidfd(fd)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.16, of a peer that was reaped
		err = unix.ESRCH
	}
	if err != nil {
		return pin{}, err
	}
	return k.finish(pidfd)
}

func (k *pinner) process(fd int) (pin, error) {
	if err := k.step("dup"); err != nil {
		return pin{}, err
	}
	pidfd, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return pin{}, err
	}
	return k.finish(pidfd)
}

// finish makes a pin of a pidfd, which is the pin's from here on.
func (k *pinner) finish(pidfd int) (pin, error) {
	p := pin{pidfd: pidfd, dir: -1, memory: -1}
	if err := k.open(&p); err != nil {
		p.close()
		return pin{}, err
	}
	return p, nil
}

// open fills the pin of a process of which there is a pidfd.
func (k *pinner) open(p *pin) (err error) {
	if err = k.step("PIDFD_GET_INFO"); err != nil {
		return err
	}
	if p.pid, err = pidOf(p.pidfd); err != nil {
		return err
	}
	if err = k.step("open /proc/pid"); err != nil {
		return err
	}
	p.dir, err = unix.Open("/proc/"+strconv.Itoa(p.pid), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		p.dir = -1
		return gone(err)
	}
	p.run, _ = executionIn(p.dir, p.pid)
	if err = k.step("pidfd_send_signal"); err != nil {
		return err
	}
	// Alive now, so the id was its own when the folder was opened. EPERM is alive too.
	if err = unix.PidfdSendSignal(p.pidfd, 0, nil, 0); err != nil && !errors.Is(err, unix.EPERM) {
		return err
	}
	if err = k.step("open pagemap"); err != nil {
		return err
	}
	if p.memory, err = unix.Openat(p.dir, "pagemap", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		p.memory = -1
		return gone(err)
	}
	if err = k.step("stat exe"); err != nil {
		return err
	}
	if p.exe, err = statAt(p.dir, "exe"); err != nil {
		return gone(err)
	}
	return nil
}

// gone turns what /proc says of a process that has ended into ESRCH.
func gone(err error) error {
	if errors.Is(err, unix.ENOENT) {
		return unix.ESRCH
	}
	return err
}

// pidOf asks the kernel, or before Linux 6.13 reads it from /proc.
func pidOf(pidfd int) (int, error) {
	info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_PID}
	err := unix.IoctlPidfdInfo(pidfd, &info)
	pid := int(info.Pid)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTTY) {
		pid, err = pidFromProc(pidfd)
	}
	if err == nil && pid <= 0 {
		err = unix.ESRCH
	}
	return pid, err
}

func (p *pin) groups() (egid, sgid int, err error) {
	info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_CREDS}
	err = unix.IoctlPidfdInfo(p.pidfd, &info)
	switch {
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOTTY), err == nil && info.Mask&unix.PIDFD_INFO_CREDS == 0:
		return -1, -1, fmt.Errorf("PIDFD_GET_INFO needs Linux 6.13: %w", ErrUnsupported)
	case err != nil:
		return -1, -1, err
	}
	return id(info.Egid), id(info.Sgid), nil
}

func pidFromProc(pidfd int) (int, error) {
	f, err := os.Open(fmt.Sprintf("/proc/self/fdinfo/%d", pidfd))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if text, ok := strings.CutPrefix(s.Text(), "Pid:"); ok {
			return strconv.Atoi(strings.TrimSpace(text))
		}
	}
	return 0, unix.ESRCH
}

// pidfsMagic is the type of the file system that pidfds have had since Linux 6.9;
// its inodes are not used again.
const pidfsMagic = 0x50494446

func (p *pin) execution() *Execution { return p.run }

func (p *pin) key() uint64 { return processKey(p.pidfd) }

// pidfsDevice is the number of that file system's device plus one, 0 before one of its
// descriptors was seen.
var pidfsDevice atomic.Uint64

func processKey(pidfd int) uint64 {
	var st unix.Stat_t
	if unsafe.Sizeof(uintptr(0)) < 8 || unix.Fstat(pidfd, &st) != nil {
		return 0
	}
	if device := uint64(st.Dev) + 1; pidfsDevice.Load() != device {
		var fs unix.Statfs_t
		if unix.Fstatfs(pidfd, &fs) != nil || fs.Type != pidfsMagic {
			return 0
		}
		pidfsDevice.Store(device)
	}
	return st.Ino
}

// statAt asks nobody but the kernel: the server of a file system could let it wait.
func statAt(dir int, name string) (inode, error) {
	var st unix.Statx_t
	for {
		err := unix.Statx(dir, name, unix.AT_STATX_DONT_SYNC, unix.STATX_INO, &st)
		if err == unix.EINTR {
			continue
		}
		return inode{st.Dev_major, st.Dev_minor, st.Ino}, err
	}
}

func (p *pin) check() error {
	if p.run.Lasts() {
		return nil
	}
	return p.compare()
}

// compare is the check where no thread tells.
func (p *pin) compare() error {
	if err := inUse(p.memory); err != nil {
		return err
	}
	now, err := statAt(p.dir, "exe")
	if err != nil {
		return gone(err)
	}
	if now != p.exe {
		return errImageChanged
	}
	return nil
}

// inUse asks whether the memory that pagemap was opened for still has users. A read of
// less than an entry is refused, but only of memory that has: of other memory there is
// nothing to read. This is the one question that takes no lock of that memory, which its
// process can hold for as long as it likes.
func inUse(pagemap int) error {
	var b [1]byte
	switch _, err := unix.Pread(pagemap, b[:], 0); err {
	case unix.EINVAL:
		return nil
	case nil:
		return errImageChanged
	default:
		return err
	}
}

func (p *pin) close() {
	if p.run != nil {
		p.run.close()
	}
	for _, fd := range []int{p.memory, p.dir, p.pidfd} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}
