package credentials

import (
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// pidfdThread has pidfd_open take a thread that is not the first (PIDFD_THREAD, Linux 6.9).
const pidfdThread = unix.O_EXCL

func executionOf(pidfd int) (*Execution, error) {
	pid, err := pidOf(pidfd)
	if err != nil {
		return nil, err
	}
	dir, err := unix.Open("/proc/"+strconv.Itoa(pid), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, gone(err)
	}
	defer unix.Close(dir)
	e, err := executionIn(dir, pid)
	if err != nil {
		return nil, err
	}
	// Alive now, so the id was its own when the thread was asked whose it is.
	if err := unix.PidfdSendSignal(pidfd, 0, nil, 0); err != nil && !errors.Is(err, unix.EPERM) {
		e.close()
		return nil, err
	}
	return e, nil
}

// executionIn finds the oldest thread beside the first: in most programs that lasts. dir is
// the process's folder in /proc. The thread is the process's if that is alive afterwards.
func executionIn(dir, pid int) (*Execution, error) {
	tasks, err := unix.Openat(dir, "task", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("its threads: %w", err)
	}
	defer unix.Close(tasks)
	var b [256]byte
	n, err := unix.ReadDirent(tasks, b[:])
	if err != nil {
		return nil, fmt.Errorf("its threads: %w", err)
	}
	_, _, names := unix.ParseDirent(b[:n], -1, nil)
	for _, name := range names {
		tid, err := strconv.Atoi(name)
		if err != nil || tid == pid {
			continue
		}
		fd, err := unix.PidfdOpen(tid, pidfdThread)
		if err != nil {
			return nil, fmt.Errorf("its thread %d: %w", tid, err)
		}
		info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_PID}
		if err := unix.IoctlPidfdInfo(fd, &info); err != nil || int(info.Tgid) != pid {
			unix.Close(fd)
			return nil, fmt.Errorf("thread %d is not its own: %w", tid, ErrUnsupported)
		}
		return &Execution{fd}, nil
	}
	return nil, fmt.Errorf("it has one thread: %w", ErrUnsupported)
}

func (e *Execution) lasts() bool {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(e.thread), Events: unix.POLLIN}}, 0)
		if err != unix.EINTR {
			return err == nil && n == 0
		}
	}
}

func (e *Execution) close() { unix.Close(e.thread) }
