package daemon

import (
	"bytes"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/transport"
)

// start watches the process through its pidfd, so that no thread waits for it,
// and so that it is not reaped, and its id not reused, before finish.
func start(cmd *exec.Cmd, exited func()) (*process, error) {
	pidfd := -1
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, PidFD: &pidfd}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, pid: cmd.Process.Pid, handle: -1, release: func() {}}
	if pidfd >= 0 {
		if p.watch(pidfd, exited) == nil {
			return p, nil
		}
		unix.Close(pidfd)
	}
	var given atomic.Bool
	p.release = func() { given.Store(true) }
	// Ends with the process; nobody waits for it.
	go func() {
		for unix.Waitid(unix.P_PID, p.pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
		}
		if !given.Load() {
			exited()
		}
	}()
	return p, nil
}

// lowerIO has the calling thread, and what it executes, read and write when
// others do not want to: the lowest of the ordinary priorities of ioprio_set(2).
func lowerIO() error {
	const process, bestEffort, lowest = 1, 2 << 13, 7
	if _, _, errno := syscall.Syscall(unix.SYS_IOPRIO_SET, process, 0, bestEffort|lowest); errno != 0 {
		return errno
	}
	return nil
}

// watch has exited called when the process has ended, and takes pidfd over.
func (p *process) watch(pidfd int, exited func()) error {
	cancel, err := transport.Watch(pidfd, exited)
	if err != nil {
		return err
	}
	p.handle = pidfd
	p.release = func() { cancel(); unix.Close(pidfd) }
	return nil
}

// adopt goes on with a process that an earlier daemon started: handle is its pidfd
// or, if that was lost, -1; pid is 0 if the daemon ended before it was written down, and
// then the process is found by its launch, if there is one. nil: it is not there.
func adopt(pid, handle int, launch string, exited func()) *process {
	if pid = findLaunched(pid, launch); pid == 0 {
		unix.Close(handle)
		return nil
	}
	if handle < 0 {
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil || !launched(pid, launch) { // another one has its number by now
			unix.Close(fd)
			return nil
		}
		handle = fd
	}
	p := &process{pid: pid, handle: -1}
	if p.watch(handle, exited) != nil {
		unix.Close(handle)
		return nil
	}
	return p
}

// findLaunched finds the process that was started with launch in its environment.
// Its own children may have that too, but do not lead the session.
func findLaunched(pid int, launch string) int {
	if pid != 0 {
		return pid
	}
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || !launched(pid, launch) {
			continue
		}
		if sid, err := unix.Getsid(pid); err == nil && sid == pid {
			return pid
		}
	}
	return 0
}

func launched(pid int, launch string) bool {
	env, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	return err == nil && launch != "" && bytes.Contains(append([]byte{0}, env...), []byte("\x00"+envLaunch+"="+launch+"\x00"))
}

func (p *process) signalAdopted(s unix.Signal) error {
	return unix.PidfdSendSignal(p.handle, s, nil, 0)
}

// reap takes the status of a process that is a child, as after a re-execution, or
// else what the kernel tells of another's (Linux 6.15), unless that has not reaped it yet.
func (p *process) reap() (syscall.WaitStatus, error) {
	var ws syscall.WaitStatus
	for {
		pid, err := syscall.Wait4(p.pid, &ws, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if err == nil && pid == p.pid {
			return ws, nil
		}
		break
	}
	info := pidfdInfo{mask: unix.PIDFD_INFO_EXIT}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(p.handle), unix.PIDFD_GET_INFO, uintptr(unsafe.Pointer(&info)))
	switch {
	case errno != 0:
		return 0, errno
	case info.mask&unix.PIDFD_INFO_EXIT == 0:
		return 0, errNotReaped
	}
	return syscall.WaitStatus(info.exit), nil
}

// pidfdInfo is struct pidfd_info of linux/pidfd.h, of the size that PIDFD_GET_INFO names.
type pidfdInfo struct {
	mask, cgroup uint64
	ids          [11]uint32
	exit         int32
	_            [24]byte
}
