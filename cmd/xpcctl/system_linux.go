package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/xpc"
)

// processFacts adds what /proc tells of a process; what it does not tell is left out.
func processFacts(pid int, to *xpc.Dictionary) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	if program, err := os.Readlink(filepath.Join(dir, "exe")); err == nil {
		to.SetString("program", program)
	}
	if line, err := os.ReadFile(filepath.Join(dir, "cmdline")); err == nil && len(line) > 0 {
		arguments := xpc.NewArray()
		for word := range bytes.SplitSeq(bytes.TrimSuffix(line, []byte{0}), []byte{0}) {
			arguments.AppendString(string(word))
		}
		to.SetArray("arguments", arguments)
	}
	if folder, err := os.Readlink(filepath.Join(dir, "cwd")); err == nil {
		to.SetString("working directory", folder)
	}
	status, _ := os.ReadFile(filepath.Join(dir, "status"))
	for line := range strings.Lines(string(status)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		fields := strings.Fields(value)
		switch {
		case key == "State" && len(fields) > 0:
			to.SetString("state", strings.Join(fields, " "))
		case key == "PPid" && len(fields) == 1:
			setNumber(to, "parent pid", fields[0])
		case key == "Uid" && len(fields) == 4:
			setNumber(to, "uid", fields[1]) // the effective one
		case key == "Gid" && len(fields) == 4:
			setNumber(to, "gid", fields[1])
		case key == "Groups":
			to.SetString("groups", strings.Join(fields, " "))
		}
	}
	if session, err := unix.Getsid(pid); err == nil {
		to.SetInt64("session", int64(session))
	}
	if group, err := os.ReadFile(filepath.Join(dir, "cgroup")); err == nil {
		_, path, _ := strings.Cut(strings.TrimSpace(string(group)), "::")
		to.SetString("control group", path)
	}
}

func setNumber(to *xpc.Dictionary, key, text string) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		to.SetInt64(key, n)
	}
}

// hasSystemd says whether systemd is process 1.
func hasSystemd() bool {
	info, err := os.Stat("/run/systemd/system")
	return err == nil && info.IsDir()
}

// systemChecks are those of the kernel and of systemd.
func systemChecks() []diagnosis {
	found := []diagnosis{peerCheck(), memfdCheck()}
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		found = append(found, diagnosis{failed, "proc", "/proc is not there: no service can be dialled", "mount -t proc proc /proc"})
	}
	if hasSystemd() && os.Geteuid() != 0 {
		found = append(found, lingerCheck())
	}
	return found
}

// peerCheck tries what identities are made of.
func peerCheck() diagnosis {
	d := diagnosis{fine, "peer credentials", "SO_PEERCRED and SO_PEERPIDFD", ""}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return diagnosis{failed, d.about, "no socket can be made: " + err.Error(), ""}
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	if _, err := unix.GetsockoptUcred(fds[0], unix.SOL_SOCKET, unix.SO_PEERCRED); err != nil {
		return diagnosis{failed, d.about, "SO_PEERCRED does not work: " + err.Error(), ""}
	}
	handle, err := unix.GetsockoptInt(fds[0], unix.SOL_SOCKET, unix.SO_PEERPIDFD)
	if err == nil {
		unix.Close(handle)
		return d
	}
	return diagnosis{warned, d.about, "SO_PEERCRED, but no SO_PEERPIDFD (Linux 6.5): a process is known by a number that can be used again", ""}
}

func memfdCheck() diagnosis {
	fd, err := unix.MemfdCreate("xpcctl-doctor", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return diagnosis{warned, "memfd", "memfd_create does not work, large messages are copied: " + err.Error(), ""}
	}
	defer unix.Close(fd)
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK); err != nil {
		return diagnosis{warned, "memfd", "memory cannot be sealed, large messages are copied: " + err.Error(), ""}
	}
	return diagnosis{fine, "memfd", "sealed memory for large messages", ""}
}

// lingerCheck is about what becomes of the user's registry at the end of the last session.
func lingerCheck() diagnosis {
	me, err := user.Current()
	if err != nil {
		return diagnosis{warned, "linger", err.Error(), ""}
	}
	_, err = os.Stat(filepath.Join("/var/lib/systemd/linger", me.Username))
	if errors.Is(err, os.ErrNotExist) {
		return diagnosis{warned, "linger", fmt.Sprintf("services of %s end with the last login session", me.Username), "loginctl enable-linger " + me.Username}
	}
	return diagnosis{fine, "linger", "services stay after the last login session", ""}
}
