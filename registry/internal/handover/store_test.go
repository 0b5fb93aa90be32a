package handover

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeManager is a service manager that is only heard.
type fakeManager struct {
	t    *testing.T
	conn *net.UnixConn
}

func newFakeManager(t *testing.T) (*fakeManager, *Manager) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	must(t, err)
	m, err := NewManager(path)
	must(t, err)
	t.Cleanup(func() { m.Close(); conn.Close() })
	return &fakeManager{t, conn}, m
}

// hears wants the next messages to be these: + and an id was stored, - and an id removed.
func (f *fakeManager) hears(why string, want ...string) {
	f.t.Helper()
	b := make([]byte, 4096)
	for _, w := range want {
		n, err := f.conn.Read(b) // what was told is there already
		must(f.t, err)
		got, id, _ := strings.Cut(string(b[:n]), "\nFDNAME=")
		id, _, _ = strings.Cut(id, "\n")
		got = map[string]string{"FDSTORE=1": "+", "FDSTOREREMOVE=1": "-"}[got] + id
		if got != w {
			f.t.Fatalf("%s: the manager hears %q, want %q", why, got, w)
		}
	}
}

// silent wants nothing to have been said: the next thing that it hears is said now.
func (f *fakeManager) silent(why string, m *Manager) {
	f.t.Helper()
	must(f.t, m.Tell(nil, "FDSTOREREMOVE=1", "FDNAME=nothing"))
	f.hears(why, "-nothing")
}

// What the manager has no room for waits for it; that is told once, with the remedy.
func TestStoreIsFull(t *testing.T) {
	f, m := newFakeManager(t)
	t.Setenv(storeSize, "5") // two are for journals
	s, _, err := Open(m)
	must(t, err)
	f.hears("its journal", "+.state-1")
	s.Keep("a", 0, 1)
	s.Keep("b", 0)
	f.hears("there is room for three", "+a", "+b")
	must(t, s.Err())
	s.Keep("c", 0)
	if err := s.Err(); !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "has 3, set FileDescriptorStoreMax") {
		t.Errorf("got %v, want ErrFull with the remedy", err)
	}
	s.Keep("b", 1)
	if err := s.Err(); err != nil {
		t.Errorf("it is told once, and not again with %v", err)
	}
	f.silent("and nothing is offered that would be dropped without a word", m)

	s.Drop("c")
	f.silent("what it never had need not be removed", m)
	s.Drop("a")
	f.hears("the rest of b has waited", "-a", "+b")
	s.Drop("b")
	f.hears("both of b", "-b")
	s.Keep("d", 0, 0, 0)
	f.hears("all room is there again", "+d")
	must(t, s.Err())
	s.Close()
	f.hears("the end", "-d", "-.state-1")
}

// All ids go into one variable: what would make it too long is not offered, because
// nothing could be started with it.
func TestIDsFillTheVariable(t *testing.T) {
	f, m := newFakeManager(t)
	s, _, err := Open(m)
	must(t, err)
	f.hears("its journal", "+.state-1")
	var all []string
	for i := 0; s.Err() == nil; i++ {
		id := fmt.Sprintf("%0255d", i)
		if s.Keep(id, 0); len(s.waiting) == 0 {
			f.hears("there is room", "+"+id)
			all = append(all, id)
		}
	}
	text := listenNames + "=" + strings.Join(all, ":")
	if got := len(text) + 1; got > 128<<10 || got < 127<<10 {
		t.Errorf("the variable has %d bytes, want a little less than 128 KiB", got)
	}
	clear(s.waiting)
	clear(s.fds)
	s.Close()
}

// What waits for room goes to the process that executes itself, and waits there.
func TestWaitingOutlivesExec(t *testing.T) {
	f, m := newFakeManager(t)
	t.Setenv(storeSize, "3")
	s, _, err := Open(m)
	must(t, err)
	s.Keep("a", 0)
	s.Keep("b", 0)
	f.hears("the first", "+.state-1", "+a")
	// Exec without the executing.
	s.Put(inherited, s.fds)
	s.Put(waiting, s.waiting)
	fd, err := dupCloexec(int(s.journal.file.Fd()))
	must(t, err)
	s.journal.file.Close()
	os.Setenv(inherited, fmt.Sprint(fd))

	next, held, err := Open(m)
	must(t, err)
	if len(held.FDs) != 2 || len(held.Records) != 0 {
		t.Fatalf("it finds %v and %v, want both descriptors and no record", held.FDs, held.Records)
	}
	next.Drop("a")
	f.hears("now there is room", "-a", "+b")
	next.Close()
}
