//go:build unix && !linux

package daemon

import (
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// start leaves a goroutine in wait. The process is reaped there, so between that
// and finish its group's id could in theory be another's.
func start(cmd *exec.Cmd, exited func()) (*process, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, pid: cmd.Process.Pid, handle: -1, release: func() {}}
	// Ends with the process; nobody waits for it.
	go func() {
		cmd.Wait()
		exited()
	}()
	return p, nil
}

// lowerIO does nothing: this system has no priorities of I/O that a program can set.
func lowerIO() error { return nil }

// adopt goes on with a process that this one started before it executed itself
// again. nil: it is not there.
func adopt(pid, _ int, _ string, exited func()) *process {
	if pid == 0 {
		return nil
	}
	p := &process{pid: pid, handle: -1, release: func() {}}
	// Ends with the process; nobody waits for it.
	go func() {
		for {
			if _, err := syscall.Wait4(pid, &p.status, 0, nil); err != syscall.EINTR {
				p.lost = err
				break
			}
		}
		exited()
	}()
	return p
}

func (p *process) signalAdopted(s unix.Signal) error { return unix.Kill(p.pid, s) }

func (p *process) reap() (syscall.WaitStatus, error) { return p.status, p.lost }
