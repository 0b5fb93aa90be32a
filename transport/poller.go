package transport

import (
	"sync"
)

// The process has one poller while it has sockets to watch. It reports each
// direction once per arm, on a goroutine of its own, to functions that do not block;
// see polling for what that goroutine does beside.
var shared struct {
	mu      sync.Mutex // guards the rest and every pollEntry; held across epoll_ctl and kevent, which do not block
	poller  *poller
	entries map[int32]*pollEntry
	serial  int32
}

// pollEntry is a descriptor that the poller watches. The zero value is none.
type pollEntry struct {
	fd      int
	serial  int32 // tells an entry from an earlier one of the same number
	in, out bool  // armed
	added   bool
	target  pollTarget
	end     func() // armed if not nil: called once when the peer has hung up
}

// pollTarget is told what happened, and whose turn it is to poll.
type pollTarget interface{ ready(t *turn, in, out bool) }

type pollFunc func(t *turn)

func (f pollFunc) ready(t *turn, _, _ bool) { f(t) }

// add has the poller watch fd for t. To be called once.
func (e *pollEntry) add(fd int, t pollTarget) error {
	s := &shared
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.poller == nil {
		p, err := newPoller()
		if err != nil {
			return err
		}
		s.poller, s.entries = p, map[int32]*pollEntry{}
		p.begin() // closed with the last entry
	}
	for s.serial++; s.entries[s.serial] != nil; s.serial++ {
	}
	e.fd, e.serial, e.target = fd, s.serial, t
	if err := s.poller.add(e); err != nil {
		closeIfUnusedLocked()
		return err
	}
	s.entries[e.serial], e.added = e, true
	return nil
}

// arm asks for one report of each direction named. An armed direction stays armed.
func (e *pollEntry) arm(in, out bool) {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if !e.added {
		return
	}
	e.in, e.out = e.in || in, e.out || out
	shared.poller.arm(e)
}

// armEnd has end called once when the peer has hung up, whatever is unread.
func (e *pollEntry) armEnd(end func()) {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if !e.added {
		return
	}
	e.end = end
	shared.poller.arm(e)
}

// remove is called before the descriptor is closed, also of one that was never added.
func (e *pollEntry) remove() {
	s := &shared
	s.mu.Lock()
	defer s.mu.Unlock()
	if !e.added {
		return
	}
	e.added = false
	s.poller.remove(e)
	delete(s.entries, e.serial)
	closeIfUnusedLocked()
}

func closeIfUnusedLocked() {
	if len(shared.entries) == 0 && shared.poller != nil {
		shared.poller.close()
		shared.poller, shared.entries = nil, nil
	}
}

// fired takes what was armed of what happened and reports it.
func fired(t *turn, serial int32, in, out, gone bool) {
	shared.mu.Lock()
	e := shared.entries[serial]
	if e == nil {
		shared.mu.Unlock()
		return
	}
	in, out = in && e.in, out && e.out
	e.in, e.out = e.in && !in, e.out && !out
	var end func()
	if gone {
		end, e.end = e.end, nil
	}
	if e.in || e.out || e.end != nil {
		shared.poller.arm(e) // one-shot: what did not happen must be asked for again
	}
	target := e.target
	shared.mu.Unlock()
	if end != nil {
		end()
	}
	if in || out {
		t.ended = gone
		target.ready(t, in, out)
	}
}

// Watch calls ready once, on another goroutine, when fd is readable: a listening
// socket with a client in its queue, a process handle whose process has ended.
// No thread waits. cancel must be called before fd is closed, also after ready
// ran; it does not wait for a ready that is running. To watch again, Watch again.
// fd stays the caller's. ready must not block.
func Watch(fd int, ready func()) (cancel func(), err error) {
	e := new(pollEntry)
	if err := e.add(fd, pollFunc(func(*turn) { ready() })); err != nil {
		return nil, err
	}
	e.arm(true, false)
	return e.remove, nil
}
