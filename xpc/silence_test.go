package xpc

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/openxpc/openxpc/transport"
)

// door is a listener in a bubble, never activated because that takes a real
// socket, and one client that it has just accepted.
type door struct {
	*ring
	listener *Connection
}

func newDoor(t *testing.T) *door {
	d := &door{ring: &ring{t: t}, listener: newListener("", anonymousSocket(), nil)}
	mine, theirs := transport.Pipe(transport.Options{}, transport.Options{})
	d.listener.listening.accept(mine, time.Time{})
	d.meet(theirs)
	return d
}

// peers counts who is accepted and not invalid.
func (d *door) peers() int {
	d.listener.listening.mu.Lock()
	defer d.listener.listening.mu.Unlock()
	return len(d.listener.listening.peers)
}

func (d *door) close() {
	d.listener.Cancel()
	d.p().close()
	settle()
}

// A client that says nothing holds a descriptor of the listener's; for a while only.
func TestASilentClientIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t)
		defer d.close()
		time.Sleep(helloPatience - time.Second)
		d.p().want("it may still say HELLO")
		time.Sleep(time.Second)
		d.p().want("it had its time", "closed")
		if n := d.peers(); n != 0 {
			t.Errorf("%d peers are kept, want none: nothing may be left of it", n)
		}
	})
}

// Dripping is no HELLO: an unfinished frame does not count.
func TestHelloStopsTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t)
		defer d.close()
		d.p().hello()
		d.p().want("HELLO is answered", "hello")
		time.Sleep(10 * helloPatience)
		d.p().want("who has said HELLO may take as long as it likes for the rest")
		if n := d.peers(); n != 1 {
			t.Errorf("%d peers, want the one", n)
		}
	})
}

// A user's clients that say nothing more than HELLO are bounded where the listener
// says so (row 22): one that speaks, or goes, makes room for another.
func TestSilentPeersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &door{ring: &ring{t: t}, listener: newListener("", anonymousSocket(), nil)}
		d.listener.SetLimits(Limits{MaxSilentPeers: 2})
		client := func() *peer {
			mine, theirs := transport.Pipe(transport.Options{}, transport.Options{})
			d.listener.listening.accept(mine, time.Time{})
			d.meet(theirs)
			d.p().hello()
			return d.p()
		}
		first, second := client(), client()
		d.p().want("two may be silent", "hello", "e2 hello")
		third := client()
		d.p().want("a third is told why not", "e3 refused", "e3 closed")
		first.send("something")
		settle()
		if n := d.listener.listening.silent[first.uid()]; n != 1 {
			t.Errorf("%d are counted as silent, want the one that is", n)
		}
		fourth := client()
		d.p().want("who has spoken has made room", "e4 hello")
		second.close()
		settle()
		fifth := client()
		d.p().want("so has who is gone", "e5 hello")
		for _, p := range []*peer{first, third, fourth, fifth} {
			p.close()
		}
		settle()
		if n := len(d.listener.listening.silent); n != 0 {
			t.Errorf("%d users are counted, want none", n)
		}
		d.close()
	})
}

// uid is whom the listener takes the client for.
func (p *peer) uid() int {
	who, _ := p.conn.Peer()
	return who.UID
}

// There is one clock for all: each client has its own time all the same, and the clock
// stops with the last of them.
func TestEachSilentClientHasItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t)
		defer d.close()
		time.Sleep(time.Second)
		mine, theirs := transport.Pipe(transport.Options{}, transport.Options{})
		d.listener.listening.accept(mine, time.Time{})
		d.meet(theirs)
		time.Sleep(helloPatience - time.Second)
		d.p().want("the first had its time", "closed")
		time.Sleep(time.Second)
		d.p().want("and then the second", "e2 closed")
		if l := d.listener.listening; l.clocked {
			t.Error("the clock runs, though nobody is left")
		}
	})
}

// Whichever way a socket ends, nobody waits for its HELLO any more.
func TestNoClockOutlivesItsSocket(t *testing.T) {
	for why, end := range map[string]func(*door, *link){
		"the client closed":       func(d *door, _ *link) { d.p().close() },
		"the peer was cancelled":  func(_ *door, l *link) { l.c.Cancel() },
		"the client sent garbage": func(d *door, _ *link) { d.p().garbage() },
		"the client said HELLO":   func(d *door, _ *link) { d.p().hello() },
	} {
		synctest.Test(t, func(t *testing.T) {
			d := newDoor(t)
			defer d.close()
			settle()
			end(d, d.onlyLink())
			time.Sleep(helloPatience)
			settle()
			if d.listener.listening.clocked {
				t.Errorf("%s: the clock still runs", why)
			}
		})
	}
}

func (d *door) onlyLink() *link {
	l := d.listener.listening
	l.mu.Lock()
	defer l.mu.Unlock()
	for p := range l.peers {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.link
	}
	return nil
}

// A listener that ends while it accepts must not keep the socket.
func TestAcceptedByAListenerThatEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &ring{t: t}
		c := newAccepted(&listener{}, nil)
		c.SetEventHandler(func(Object) {})
		c.Cancel()
		mine, theirs := transport.Pipe(transport.Options{}, transport.Options{})
		c.attach(mine)
		r.meet(theirs)
		r.p().want("it was cancelled before it had its socket", "closed")
		r.p().close()
		settle()
	})
}
