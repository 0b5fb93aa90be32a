//go:build !linux

package credentials

import (
	"errors"
	"os"
	"testing"
)

// What a kernel cannot do must be an error, never a result that looks right.
func TestUnsupportedIsSaid(t *testing.T) {
	a, _ := pair(t)
	_, pidfd := PeerPidfd(a)
	_, asid := AuditSession(os.Getpid())
	_, pinned := PinPeer(a)
	_, label := SecurityLabel(a)
	for name, err := range map[string]error{"PeerPidfd": pidfd, "AuditSession": asid, "SecurityLabel": label, "PinPeer": pinned, "EnableReceive": EnableReceive(a)} {
		if !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: %v, want ErrUnsupported", name, err)
		}
	}
	if got := AppendCredentials(nil); got != nil || ControlSpace() != 0 {
		t.Errorf("AppendCredentials(nil) = %v with room for %d, want nothing", got, ControlSpace())
	}
}

const childRole = "CREDENTIALS_TEST_CHILD"

func child(string) int { return 0 }
