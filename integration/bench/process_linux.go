package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// dieWithParent has the kernel end a child with the thread that started it,
// which is the process's first one: see main.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

// processTime reads another process's clock of processor time, which counts
// threads that have ended too (clock_getcpuclockid(3)).
func processTime(pid int) (int64, error) {
	const scheduler = 2
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|scheduler), &t); err != nil {
		return 0, fmt.Errorf("bench: processor time of %d: %w", pid, err)
	}
	return t.Nano(), nil
}

// footprint is a process's resident memory in bytes that it shares with nobody,
// and its threads.
func footprint(pid int) (resident, threads int, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		switch {
		case len(f) < 2:
		case f[0] == "RssAnon:":
			resident, err = strconv.Atoi(f[1])
			resident <<= 10
		case f[0] == "Threads:":
			threads, err = strconv.Atoi(f[1])
		}
		if err != nil {
			return 0, 0, err
		}
	}
	return resident, threads, nil
}

// machine describes processor and kernel.
func machine() string {
	var u unix.Utsname
	unix.Uname(&u) // cannot fail with a good pointer
	text := "Linux " + string(bytes.TrimRight(u.Release[:], "\x00"))
	b, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value) + ", " + text
		}
	}
	return text
}
