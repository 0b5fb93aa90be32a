//go:build unix && !linux

package daemon

import (
	"os/exec"
	"syscall"
)

// start leaves a goroutine in wait. The process is reaped there, so between that
// and finish its group's id could in theory be another's.
func start(cmd *exec.Cmd, exited func()) (*process, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, pid: cmd.Process.Pid, release: func() {}}
	// Ends with the process; nobody waits for it.
	go func() {
		cmd.Wait()
		exited()
	}()
	return p, nil
}

// lowerIO does nothing: this system has no priorities of I/O that a program can set.
func lowerIO() error { return nil }
