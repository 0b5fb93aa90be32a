//go:build !linux

package credentials

import "golang.org/x/sys/unix"

func enableReceive(int) error { return ErrUnsupported }

func peerPidfd(int) (int, error) { return -1, ErrUnsupported }

func securityLabel(int) (string, error) { return "", ErrUnsupported }

func auditSession(int) (int, error) { return -1, ErrUnsupported }

// ControlSpace is the room, in bytes, that one message of credentials takes in
// a control buffer; 0 on systems that have none.
func ControlSpace() int { return 0 }

// AppendCredentials returns oob unchanged: this system sends no credentials
// with messages.
func AppendCredentials(oob []byte) []byte { return oob }

// ParseCredentials finds nothing: this system sends no credentials with messages.
func ParseCredentials(unix.Cmsghdr, []byte) (Credentials, bool) { return Unknown(), false }
