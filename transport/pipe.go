package transport

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/credentials"
)

// pipeCapacity is what one direction holds before a writer must wait, about a socket's.
const pipeCapacity = 208 << 10

// Pipe returns two connected ends in memory, which follow the same rules as
// sockets and use no descriptors of their own. They work in testing/synctest bubbles.
func Pipe(a, b Options) (*Conn, *Conn) {
	x, y := &stream{sender: credentials.Unknown()}, &stream{sender: credentials.Unknown()}
	return newPipeEnd(x, y, a), newPipeEnd(y, x, b)
}

func newPipeEnd(in, out *stream, o Options) *Conn {
	c := newConn(o)
	c.m = &pipeEnd{conn: c, in: in, out: out}
	return c
}

// stream is one direction: bytes, and descriptors that arrive with a byte.
type stream struct {
	mu       sync.Mutex // guards the rest; never held across a callback
	bytes    []byte
	rights   []rights
	offset   int // bytes taken so far
	closed   bool
	sender   credentials.Credentials
	arrived  func() // wakes a recv that waits
	readable func() // armed: called once when there is something to read, or the end
	writable func() // armed: called once when there is room, or the end
	ended    func() // armed: called once at the end
}

type rights struct {
	at    int // offset of the byte they came with
	files []*Descriptor
}

type pipeEnd struct {
	conn    *Conn
	in, out *stream
}

func (p *pipeEnd) recv(b []byte, in *incoming, wait bool) (int, error) {
	n, err := p.in.read(b, in)
	if err != errAgain || !wait {
		return n, err
	}
	arrived := make(chan struct{}, 1)
	p.in.notify(func(s *stream) { s.arrived = func() { arrived <- struct{}{} } })
	timer := time.NewTimer(time.Millisecond)
	defer timer.Stop()
	select {
	case <-arrived:
	case <-timer.C:
	}
	return p.in.read(b, in)
}

// read takes bytes, but not past the next descriptors once it has taken some: as a socket does.
func (s *stream) read(b []byte, in *incoming) (int, error) {
	s.mu.Lock()
	if len(s.bytes) == 0 {
		defer s.mu.Unlock()
		if s.closed {
			return 0, io.EOF
		}
		return 0, errAgain
	}
	take := min(len(b), len(s.bytes))
	if len(s.rights) > 0 && s.rights[0].at == s.offset {
		in.files = append(in.files, s.rights[0].files...)
		s.rights = s.rights[1:]
	}
	if len(s.rights) > 0 {
		take = min(take, s.rights[0].at-s.offset)
	}
	in.sender = s.sender
	copy(b, s.bytes[:take])
	s.bytes = s.bytes[take:]
	s.offset += take
	room := s.writable
	s.writable = nil
	s.mu.Unlock()
	call(room)
	return take, nil
}

func (p *pipeEnd) send(all parts, files []*Descriptor, identify, _ bool) (int, error) {
	s := p.out
	s.mu.Lock()
	room := pipeCapacity - len(s.bytes)
	if s.closed || room <= 0 {
		defer s.mu.Unlock()
		if s.closed {
			return 0, unix.EPIPE
		}
		return 0, errAgain
	}
	if len(files) > 0 {
		moved := make([]*Descriptor, 0, len(files))
		for _, d := range files {
			if d.Retain() {
				moved = append(moved, d)
			}
		}
		s.rights = append(s.rights, rights{s.offset + len(s.bytes), moved})
	}
	if identify {
		s.sender = ourselves()
	}
	n := 0
	for _, b := range all {
		b = b[:min(len(b), room-n)]
		s.bytes = append(s.bytes, b...)
		n += len(b)
	}
	arrived, readable := s.arrived, s.readable
	s.arrived, s.readable = nil, nil
	s.mu.Unlock()
	call(arrived)
	call(readable)
	return n, nil
}

func (p *pipeEnd) drained() bool {
	p.out.mu.Lock()
	defer p.out.mu.Unlock()
	return len(p.out.bytes) == 0
}

func call(f func()) {
	if f != nil {
		f()
	}
}

func ourselves() credentials.Credentials {
	return credentials.Credentials{PID: os.Getpid(), UID: os.Geteuid(), GID: os.Getegid()}
}

// notify sets a one-shot callback and fires it at once if there is reason to.
func (s *stream) notify(set func(*stream)) {
	s.mu.Lock()
	set(s)
	var arrived, readable, writable, ended func()
	if s.arrived != nil && (len(s.bytes) > 0 || s.closed) {
		arrived, s.arrived = s.arrived, nil
	}
	if s.readable != nil && (len(s.bytes) > 0 || s.closed) {
		readable, s.readable = s.readable, nil
	}
	if s.writable != nil && (len(s.bytes) < pipeCapacity || s.closed) {
		writable, s.writable = s.writable, nil
	}
	if s.ended != nil && s.closed {
		ended, s.ended = s.ended, nil
	}
	s.mu.Unlock()
	call(arrived)
	call(readable)
	call(writable)
	call(ended)
}

func (p *pipeEnd) arm(in, out bool) {
	// Each goroutine ends with one call of ready, which does not block.
	if in {
		p.in.notify(func(s *stream) { s.readable = func() { go p.conn.ready(nil, true, false) } })
	}
	if out {
		p.out.notify(func(s *stream) { s.writable = func() { go p.conn.ready(nil, false, true) } })
	}
}

func (p *pipeEnd) armEnd() {
	// The goroutine ends with one call of hangUp, which does not block.
	p.in.notify(func(s *stream) { s.ended = func() { go p.conn.hangUp() } })
}

func (p *pipeEnd) startTicking() {
	time.AfterFunc(tickEvery, func() {
		if p.conn.tick() {
			p.startTicking()
		}
	})
}

func (p *pipeEnd) shutdown() {
	p.in.end()
	p.out.end()
}

func (s *stream) end() {
	s.notify(func(s *stream) { s.closed = true })
}

// close drops what nobody will read: this end's input. The peer still reads what was sent.
func (p *pipeEnd) close() {
	p.in.mu.Lock()
	unread := p.in.rights
	p.in.bytes, p.in.rights = nil, nil
	p.in.mu.Unlock()
	for _, r := range unread {
		closeAll(r.files)
	}
}

func (p *pipeEnd) peer() (credentials.Credentials, error) { return ourselves(), nil }

func (p *pipeEnd) socket(func(fd int) error) error {
	return fmt.Errorf("a pipe has no socket: %w", credentials.ErrUnsupported)
}
