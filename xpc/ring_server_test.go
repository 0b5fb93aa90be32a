package xpc

import (
	"fmt"
	"sync"

	"github.com/openxpc/openxpc/transport"
)

// server is a real other side: an accepted peer for each socket that a ring's
// origin makes, in place of a scripted one.
type server struct {
	events record // "1 one": what peer 1 was told
	handle func(*Connection, Object)

	mu    sync.Mutex // guards the rest
	peers []*Connection
}

// serve has every socket from now on end at a real connection.
func (r *ring) serve() *server {
	s := &server{}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.server = s
	return s
}

func (s *server) accept(conn *transport.Conn) {
	p := newAccepted(nil, nil)
	s.mu.Lock()
	s.peers = append(s.peers, p)
	n := len(s.peers)
	s.mu.Unlock()
	p.SetEventHandler(func(o Object) {
		s.events.add(fmt.Sprint(n, " ", sayingOf(o)))
		if s.handle != nil {
			s.handle(p, o)
		}
	})
	p.Activate()
	p.attach(conn)
}

func (s *server) latest() *Connection {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.peers[len(s.peers)-1]
}

func (s *server) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.peers)
}
