package credentials

import (
	"errors"
	"fmt"
	"strconv"
)

// ErrUnsupported says that this system's kernel has no such thing. It is
// wrapped with the name of what was asked for; test with errors.Is.
var ErrUnsupported = errors.New("not supported by this system")

// ErrNotConnected says that a socket has no peer yet, so that there is nobody
// to tell about. It is wrapped; test with errors.Is.
var ErrNotConnected = errors.New("the socket has no peer")

// Credentials is what the kernel says about a process at the other end.
//
// It is a plain value: copy it and compare it with ==, but compare the ids alone
// when one side was told of a message and the other of a connection. The zero value is NOT
// "unknown", it would be root: use [Unknown]. On systems with 32-bit ints an id
// above 2147483647 appears as a negative number other than -1.
type Credentials struct {
	// PID is the process id, 0 when the kernel does not tell (DragonFly, or a
	// process outside this one's pid namespace). Process ids are used again.
	PID int
	// UID is the effective user id, -1 when not known.
	UID int
	// GID is the effective group id, -1 when not known.
	GID int
	// Groups are the supplementary groups, where the kernel tells them with the
	// connection (Linux, FreeBSD, macOS). What it tells of one message has none.
	Groups GroupSet
}

// Unknown is what a connection shows before it knows its peer: pid 0, uid and
// gid -1 (R195). It is a function so that nobody can change it.
func Unknown() Credentials { return Credentials{PID: 0, UID: -1, GID: -1} }

// String gives "pid 12 uid 1000 gid 1000", with "unknown" for what is not known.
func (c Credentials) String() string {
	return "pid " + known(c.PID, 0) + " uid " + known(c.UID, -1) + " gid " + known(c.GID, -1)
}

func known(id, missing int) string {
	if id == missing {
		return "unknown"
	}
	return strconv.Itoa(id)
}

// FromSocket tells who is at the other end of the Unix socket fd, as of its
// connect() or, seen from the client, as of the other side's last listen().
//
// The caller keeps fd. The error wraps [ErrNotConnected] if there is no peer,
// [ErrUnsupported] if the kernel cannot say, or the errno (ENOTSOCK, EBADF).
// Result and error exclude each other: with an error the result is [Unknown].
func FromSocket(fd int) (Credentials, error) {
	c, err := fromSocket(fd)
	if err == nil && (c.UID == -1 || c.GID == -1) {
		err = ErrNotConnected
	}
	if err != nil {
		return Unknown(), fmt.Errorf("credentials: peer of descriptor %d: %w", fd, err)
	}
	return c, nil
}

// PeerPidfd returns a descriptor of the peer's process: it means that process
// for ever, also when its id is used again. The caller owns and must close the
// result, which is close-on-exec; fd stays the caller's.
//
// Linux 6.5 and later; elsewhere the error wraps [ErrUnsupported].
func PeerPidfd(fd int) (int, error) {
	n, err := peerPidfd(fd)
	if err != nil {
		return -1, fmt.Errorf("credentials: process handle of the peer of descriptor %d: %w", fd, err)
	}
	return n, nil
}

// ProcessPidfd returns a descriptor of the process that has the id pid now, as
// [PeerPidfd] does of a peer. The caller must have a reason to believe that the id
// has not been used again.
//
// Linux only; elsewhere the error wraps [ErrUnsupported].
func ProcessPidfd(pid int) (int, error) {
	n, err := processPidfd(pid)
	if err != nil {
		return -1, fmt.Errorf("credentials: handle of process %d: %w", pid, err)
	}
	return n, nil
}

// EnableReceive asks the kernel to attach the sender's credentials to what the
// Unix socket fd receives from now on. On a listening socket it holds for all
// sockets accepted from it. Bytes sent before it was enabled carry pid 0.
//
// Never call it on a socket that is about to connect(): Linux then binds a name
// in the abstract namespace, which any container can reach.
//
// Linux only; elsewhere the error wraps [ErrUnsupported].
func EnableReceive(fd int) error {
	if err := enableReceive(fd); err != nil {
		return fmt.Errorf("credentials: receiving credentials on descriptor %d: %w", fd, err)
	}
	return nil
}

// AuditSession returns the audit session of a process, which Apple calls asid:
// on Linux the session id that pam_loginuid gave the login, or -1 if the process
// belongs to none (Apple's AU_ASSIGN_ASID, R195). The value is read when called
// and pid may have been used again by then: a hint, not a fact to decide by.
//
// Linux only; elsewhere the error wraps [ErrUnsupported]. A kernel without
// auditing gives that too. With an error the result is -1.
func AuditSession(pid int) (int, error) {
	asid, err := auditSession(pid)
	if err != nil {
		return -1, fmt.Errorf("credentials: audit session of pid %d: %w", pid, err)
	}
	return asid, nil
}
