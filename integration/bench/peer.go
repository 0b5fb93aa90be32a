package main

import (
	"errors"
	"fmt"
	"slices"
)

// caller is a client's connection to an echo server.
type caller interface {
	// Call sends p and returns the reply. Many goroutines may call at once.
	Call(p []byte) ([]byte, error)
	Close() error
}

// asyncCaller can wait for a reply without a goroutine.
type asyncCaller interface {
	// CallAsync sends p; done is called once, from any goroutine.
	CallAsync(p []byte, done func(error)) error
}

// sender can send what is not answered.
type sender interface {
	// Send may wait for room. What it sent is counted by the server's echo.Sink.
	Send(p []byte) error
}

// peer is one system under test.
type peer struct {
	key  string
	name string // in the table
	note string // what a reader must know to compare it fairly

	// prepare starts what must run before the server does, and returns the
	// address of the server. Nil: a socket in the site's folder.
	prepare func(s *site, r *running) (addr string, err error)
	// program is the executable of server and client; nil: this one.
	program func(s *site) (string, error)
	// serve serves echo at addr until the process ends; ready is called when it
	// does. Nil: prepare has seen to it, or program is C.
	serve func(addr string, ready func()) error
	// dial connects to addr.
	dial func(addr string) (caller, error)
}

// errSkipped marks what cannot be run here; its text is the reason.
type errSkipped struct{ reason string }

func (e *errSkipped) Error() string { return e.reason }

func skip(format string, a ...any) error { return &errSkipped{fmt.Sprintf(format, a...)} }

func skipped(err error) bool {
	var s *errSkipped
	return errors.As(err, &s)
}

// peers are all systems, in the order of the table. The first two are those
// that ratios are formed of.
var peers = []*peer{xpcPeer, transportPeer, rawC, rawGo, netGo, netRPC, ttrpcPeer, grpcPeer, godbusPeer, sdBusPeer, natsPeer}

// limit and ours: what the first line compares.
const (
	ours  = "xpc"
	limit = "c"
)

func findPeer(key string) (*peer, error) {
	for _, p := range slices.Concat(peers, demanding, []*peer{natsBroker}) {
		if p.key == key {
			return p, nil
		}
	}
	return nil, fmt.Errorf("bench: no system is called %q", key)
}
