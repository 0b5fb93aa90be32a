package daemon

import (
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRestampFindsADeadSocket(t *testing.T) {
	l, err := listenAt(filepath.Join(shortDir(t), "s"), 0o666)
	must(t, err)
	s := &nameSocket{name: "a", listener: l}
	defer s.close()
	if err := s.restamp(); err != nil {
		t.Errorf("a socket in good health: %v", err)
	}
	must(t, unix.Shutdown(s.fd(), unix.SHUT_RDWR))
	if err := s.restamp(); err == nil {
		t.Error("a socket that was shut down was taken for a good one")
	}
}
