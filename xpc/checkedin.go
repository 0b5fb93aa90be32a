package xpc

import (
	"context"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// checkedIn is a listening socket that the registry hands to the one who may serve the name.
type checkedIn struct {
	name      string
	home      *listener     // gets another socket when the registry has lost this one
	confirmed chan struct{} // closed when the registry has answered; nil if the socket is its answer

	mu   sync.Mutex // guards the rest
	held bool
	over bool
}

func newCheckedIn(name string, q *Queue) *Connection {
	s := &checkedIn{name: name}
	c := newListener(name, s, q)
	s.home = c.listening
	return c
}

func (s *checkedIn) open() (int, *Endpoint, error) {
	if err := bootstrap.CheckName(s.name); err != nil {
		return -1, nil, failedAt("listener activation", bootstrap.NotPrivileged, err.Error())
	}
	if fd := inherited.take(s.name); fd >= 0 {
		s.confirmed = make(chan struct{})
		registry.attend()
		// Ends with the registry's answer.
		go s.confirm()
		return fd, nil, nil
	}
	return s.checkIn()
}

func (s *checkedIn) checkIn() (int, *Endpoint, error) {
	ctx, cancel := context.WithTimeout(context.Background(), registryPatience)
	defer cancel()
	fd, ep, err := registry.checkIn(ctx, s)
	if err != nil {
		return -1, nil, err
	}
	s.mu.Lock()
	s.held = !s.over
	over := s.over
	s.mu.Unlock()
	if over {
		registry.checkOut(s)
	}
	return fd, ep, nil
}

// confirm checks in while the inherited socket is served already. If the registry
// refuses, that comes to its end as if the name were unloaded.
func (s *checkedIn) confirm() {
	defer registry.done()
	defer close(s.confirmed)
	fd, ep, err := s.checkIn()
	if err == nil {
		if err = s.home.open(); err == nil { // which waits until the inherited one is taken up
			err = s.home.renew(fd, ep)
		} else {
			unix.Close(fd)
		}
	}
	if err != nil {
		s.home.conn.originGone(err)
	}
}

// await returns when the endpoint is known, or never will be.
func (s *checkedIn) await() {
	if s.confirmed != nil {
		<-s.confirmed
	}
}

func (s *checkedIn) close() {
	s.mu.Lock()
	held := s.held
	s.held, s.over = false, true
	s.mu.Unlock()
	if held {
		registry.checkOut(s)
	}
}

func (s *checkedIn) owned() bool { return false }
