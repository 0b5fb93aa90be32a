package transport

import (
	"testing"

	"golang.org/x/sys/unix"
)

// watched is a descriptor that can be made readable, and counts how often Watch said so.
type watched struct {
	t      *testing.T
	r, w   int
	told   chan struct{}
	cancel func()
}

func watchPipe(t *testing.T) *watched {
	t.Helper()
	var p [2]int
	if err := unix.Pipe(p[:]); err != nil {
		t.Fatal(err)
	}
	x := &watched{t: t, r: p[0], w: p[1], told: make(chan struct{}, 10)}
	x.watch()
	return x
}

func (x *watched) watch() {
	x.t.Helper()
	cancel, err := Watch(x.r, func() { x.told <- struct{}{} })
	if err != nil {
		x.t.Fatal(err)
	}
	x.cancel = cancel
}

func (x *watched) write() { unix.Write(x.w, []byte{1}) }

func (x *watched) close() {
	x.cancel()
	unix.Close(x.r)
	unix.Close(x.w)
}

// pass waits until the poller has reported something newer than all before.
func pass(t *testing.T) {
	t.Helper()
	for range 2 { // one batch of events may have been under way
		x := watchPipe(t)
		x.write()
		<-x.told
		x.close()
	}
}

func TestWatch(t *testing.T) {
	x := watchPipe(t)
	defer x.close()
	x.write()
	<-x.told
	x.write()
	pass(t)
	if len(x.told) != 0 {
		t.Error("told twice: Watch reports once")
	}
	x.cancel()
	x.watch()
	<-x.told // there are bytes still
	x.cancel()
	x.cancel()
	x.watch()
	<-x.told
}

func TestWatchCancelled(t *testing.T) {
	x := watchPipe(t)
	defer x.close()
	x.cancel()
	x.write()
	pass(t)
	if len(x.told) != 0 {
		t.Error("told after cancel, with no call under way")
	}
}

func TestWatchRefusesAClosedDescriptor(t *testing.T) {
	x := watchPipe(t)
	x.close()
	if cancel, err := Watch(x.r, func() {}); err == nil {
		cancel()
		t.Error("Watch of a closed descriptor must fail")
	}
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.poller != nil {
		t.Error("the poller is open with nothing to watch")
	}
}

func TestFileOfPollerIsPrivate(t *testing.T) {
	x := watchPipe(t)
	defer x.close()
	shared.mu.Lock()
	fd := shared.poller.fd
	shared.mu.Unlock()
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	if err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("flags %x, %v: children must not inherit the poller", flags, err)
	}
}

// TestPollerIsNotToldOfOnesOwnClose: shut down while others are inside, a socket would
// have the poller woken for a connection that has ended.
func TestPollerIsNotToldOfOnesOwnClose(t *testing.T) {
	a, b := connectedSockets(t)
	defer b.Close()
	if !a.enter() {
		t.Fatal("a new connection has ended")
	}
	defer a.release()
	a.Close()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if a.m.(*socket).entry.added {
		t.Error("the poller watches a socket that this side has closed")
	}
}
