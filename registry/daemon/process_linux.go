package daemon

import (
	"os/exec"
	"sync/atomic"
	"syscall"

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
	p := &process{cmd: cmd, pid: cmd.Process.Pid, release: func() {}}
	if pidfd >= 0 {
		cancel, err := transport.Watch(pidfd, exited)
		if err == nil {
			p.release = func() { cancel(); unix.Close(pidfd) }
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
