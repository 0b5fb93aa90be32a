package handover

import (
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// managerPatience is how long the service manager may take to read.
const managerPatience = 5 * time.Second

// Manager is the service manager that the environment names (sd_notify(3)). The
// nil Manager is none: it is told nothing. It is for one goroutine at a time.
type Manager struct {
	fd int
	at unix.SockaddrUnix // each time anew: a manager that starts again makes another socket there
}

// NewManager is for the socket that NOTIFY_SOCKET names: a path, or with an @ in
// front a name in Linux's abstract namespace. "" is no manager.
func NewManager(socket string) (*Manager, error) {
	if socket == "" {
		return nil, nil
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err != nil {
		return nil, fmt.Errorf("handover: service manager: %w", err)
	}
	unix.CloseOnExec(fd)
	patience := unix.NsecToTimeval(int64(managerPatience))
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &patience)
	return &Manager{fd, unix.SockaddrUnix{Name: socket}}, nil
}

// Tell sends assignments, such as READY=1, and with them descriptors, which stay
// the caller's.
func (m *Manager) Tell(fds []int, lines ...string) error {
	if m == nil {
		return nil
	}
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	for {
		err := unix.Sendmsg(m.fd, []byte(strings.Join(lines, "\n")), rights, &m.at, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("handover: service manager at %s: %w", m.at.Name, err)
		}
		return nil
	}
}

// Close ends the conversation.
func (m *Manager) Close() {
	if m != nil {
		unix.Close(m.fd)
	}
}
