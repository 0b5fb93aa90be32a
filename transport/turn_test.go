package transport

import (
	"path/filepath"
	"sync"
	"testing"
)

// stuck is a Receiver whose Work waits to be let go.
type stuck struct {
	begun chan struct{}
	letGo chan struct{}
	once  sync.Once
	ended chan error
}

func newStuck() *stuck {
	return &stuck{begun: make(chan struct{}), letGo: make(chan struct{}), ended: make(chan error, 1)}
}

func (h *stuck) Receive(*Frame, bool) Outcome { return Work }
func (h *stuck) Work()                        { h.once.Do(func() { close(h.begun) }); <-h.letGo }
func (h *stuck) Closed(err error)             { h.ended <- err }

// TestWorkDoesNotKeepThePoller: the goroutine that polls runs the work of a client that
// it has accepted, or of a connection that rested, or that has ended. However long that
// takes, others are accepted, read and told of their end.
func TestWorkDoesNotKeepThePoller(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l := listenAt(t, path)
	defer l.Close()
	const clients = 20 // more than the tries that are skipped after one that lasted
	var receivers [clients]*stuck
	var accepted [clients]*Conn
	n := 0
	err := l.Start(func(c *Conn) {
		receivers[n], accepted[n] = newStuck(), c
		c.Start(receivers[n])
		n++
	})
	if err != nil {
		t.Fatal(err)
	}
	var dialed [clients]*Conn
	for i := range clients {
		c, err := Dial(path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		c.Append(&Frame{Body: []byte("x")})
		c.Flush()
		dialed[i] = c
	}
	for i := range clients {
		eventually(t, "the client is accepted beside those whose work goes on", func() bool {
			l.mu.Lock() // accept runs without it, but not while it is not busy
			defer l.mu.Unlock()
			return !l.busy && receivers[i] != nil
		})
		<-receivers[i].begun
	}
	for i, c := range dialed {
		c.Close()
		if i%2 == 0 { // the end is told while the first work goes on
			<-receivers[i].ended
		}
	}
	for i := range clients {
		close(receivers[i].letGo)
	}
	for i := range clients {
		if i%2 == 1 {
			<-receivers[i].ended
		}
		accepted[i].Close()
	}
}

// TestPollingPassesOn: whoever is late with what polling was lent to finds that another
// polls, and after that it is not lent for a while.
func TestPollingPassesOn(t *testing.T) {
	turns := make(chan *turn, 3)
	p := &polling{run: func(t *turn) { turns <- t }}
	p.begin()
	first := <-turns
	first.lend()
	first.takeBack()
	if p.tick(); first.over || len(turns) != 0 {
		t.Error("polling passed on though what it was lent to had returned")
	}
	p.lend = spin{} // whatever the time that took
	first.lend()
	p.tick()
	second := <-turns
	if first.takeBack(); !first.over || second.over {
		t.Error("two goroutines poll, or none")
	}
	second.lend()
	third := <-turns
	if !second.over || third.over {
		t.Error("polling was lent though the last time it lasted")
	}
	first.lend() // who does not poll has nothing to lend
	first.takeBack()
	if p.tick(); len(turns) != 0 || third.over {
		t.Error("polling passed on by whom it is not with")
	}
}
