package xpc

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// The environment of a job with sockets, which is systemd's.
const (
	listenPID   = "LISTEN_PID"
	listenFDs   = "LISTEN_FDS"
	listenNames = "LISTEN_FDNAMES"
)

// launched are the sockets that this process was started with.
var launched struct {
	sync.Mutex
	read    bool
	any     bool
	sockets map[string][]*os.File // nil for a name whose sockets were taken
}

// ActivateSocket returns the sockets that the job file's Sockets has under name, which
// listen already (launch_activate_socket). They are the caller's. Use net.FileListener
// or net.FilePacketConn, or NewConnectionFromListener if the clients speak XPC. The
// registry goes on holding them, so clients queue while the process does not run.
//
// The error is ESRCH (errors.Is with unix.ESRCH) in a process that was started with no
// sockets, ENOENT for a name that the job does not have, EALREADY the second time. The
// variables LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES, by which systemd passes sockets
// too, are taken out of the environment at the first call. Any goroutine may call it.
func ActivateSocket(name string) ([]*os.File, error) {
	l := &launched
	l.Lock()
	defer l.Unlock()
	if !l.read {
		l.read, l.sockets = true, inheritedSockets()
		l.any = len(l.sockets) > 0
	}
	files, known := l.sockets[name]
	switch {
	case !l.any:
		return nil, fmt.Errorf("xpc: socket %q: this process was started with no sockets: %w", name, unix.ESRCH)
	case !known:
		return nil, fmt.Errorf("xpc: socket %q: the job file has no such socket: %w", name, unix.ENOENT)
	case files == nil:
		return nil, fmt.Errorf("xpc: socket %q: it was activated before: %w", name, unix.EALREADY)
	}
	l.sockets[name] = nil
	return files, nil
}

func inheritedSockets() map[string][]*os.File {
	pid, count, names := os.Getenv(listenPID), os.Getenv(listenFDs), strings.Split(os.Getenv(listenNames), ":")
	n, err := strconv.Atoi(count)
	if err != nil || pid != strconv.Itoa(os.Getpid()) {
		return nil
	}
	for _, v := range []string{listenPID, listenFDs, listenNames} {
		os.Unsetenv(v) // they are meant for this process alone
	}
	sockets := map[string][]*os.File{}
	for i := range n {
		name := "unknown"
		if i < len(names) && names[i] != "" {
			name = names[i]
		}
		unix.CloseOnExec(3 + i)
		sockets[name] = append(sockets[name], os.NewFile(uintptr(3+i), name))
	}
	return sockets
}
