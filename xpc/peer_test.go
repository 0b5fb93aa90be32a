package xpc

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/openxpc/openxpc/transport"
)

// peer is the scripted other end of one socket: it speaks frames. What arrives is
// written down in words, in the ring's record of frames:
//
//	hello, message a, request a, reply 7 a, abandoned 7, refused, closed
//
// where a is what the message says of itself and 7 the id that the peer gave.
// Sockets after the first say so: "e2 hello".
type peer struct {
	r    *ring
	conn *transport.Conn
	tag  string

	mu     sync.Mutex // guards the rest
	ids    map[string]uint64
	lastID uint64
	deaf   bool // reads no more than one frame
	over   bool // the other side closed
	left   bool // this side closed
}

// meet makes the peer of a socket that was just connected.
func (r *ring) meet(conn *transport.Conn) {
	r.mu.Lock()
	if s := r.server; s != nil {
		r.mu.Unlock()
		s.accept(conn)
		return
	}
	p := &peer{r: r, conn: conn, ids: map[string]uint64{}}
	r.peers = append(r.peers, p)
	if n := len(r.peers); n > 1 {
		p.tag = fmt.Sprintf("e%d ", n)
	}
	r.mu.Unlock()
	conn.Start(p)
}

// p is the peer of the latest socket.
func (r *ring) p() *peer {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.peers) == 0 {
		return nil
	}
	return r.peers[len(r.peers)-1]
}

func (p *peer) Receive(f *transport.Frame, _ bool) transport.Outcome {
	closeFiles(f.Files)
	line := p.words(f)
	p.r.frames.add(p.tag + line)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.deaf {
		return transport.Pause
	}
	return 0
}

func (p *peer) Work() {}

func (p *peer) Closed(error) {
	p.mu.Lock()
	p.over = true
	p.mu.Unlock()
	p.r.frames.add(p.tag + "closed")
}

func (p *peer) words(f *transport.Frame) string {
	switch f.Kind {
	case frameHello:
		return "hello"
	case frameAbandoned:
		return fmt.Sprint("abandoned ", f.ID)
	case frameRefused:
		return "refused"
	case frameReply:
		return fmt.Sprint("reply ", f.ID, " ", says(f))
	case frameMessage:
		name := says(f)
		if f.Flags&flagWantsReply == 0 {
			return "message " + name
		}
		p.mu.Lock()
		p.ids[name] = f.ID
		p.mu.Unlock()
		return "request " + name
	}
	return fmt.Sprint("kind ", f.Kind)
}

func says(f *transport.Frame) string {
	var d Dictionary
	if _, err := decodeMessage(&d, append([]byte(nil), f.Body...), nil, &defaultLimits); err != nil {
		return err.Error()
	}
	return d.GetString("says")
}

// saying is a message that says name of itself.
func saying(name string) *Dictionary {
	m := NewDictionary()
	m.SetString("says", name)
	return m
}

func bodyOf(m *Dictionary) []byte {
	body, _, err := encodeMessage(nil, m, &defaultLimits)
	if err != nil {
		panic(err)
	}
	return body
}

// ---- what the peer does

func (p *peer) put(f *transport.Frame) {
	p.conn.Append(f)
	p.conn.Flush()
}

func (p *peer) hello() { p.put(helloFrame(&defaultLimits)) }

func (p *peer) nextID() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lastID++
	return p.lastID
}

// send sends a message that expects nothing.
func (p *peer) send(name string) {
	p.put(&transport.Frame{Kind: frameMessage, ID: p.nextID(), Body: bodyOf(saying(name))})
}

// ask sends a request and returns its id.
func (p *peer) ask(name string) uint64 {
	id := p.nextID()
	p.put(&transport.Frame{Kind: frameMessage, Flags: flagWantsReply, ID: id, Body: bodyOf(saying(name))})
	return id
}

// reply answers the request of that name.
func (p *peer) reply(request, name string) {
	p.put(&transport.Frame{Kind: frameReply, ID: p.idOf(request), Body: bodyOf(saying(name))})
}

func (p *peer) abandon(request string) {
	p.put(&transport.Frame{Kind: frameAbandoned, ID: p.idOf(request)})
}

func (p *peer) idOf(request string) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ids[request]
}

// answerAll replies to every request that came, whether it was answered or not.
func (p *peer) answerAll() {
	p.mu.Lock()
	var names []string
	for name := range p.ids {
		names = append(names, name)
	}
	p.mu.Unlock()
	slices.Sort(names)
	for _, name := range names {
		p.reply(name, "re "+name)
	}
}

func (p *peer) refuse() { p.put(refusalFrame("the program cannot be started")) }

// garbage sends a message whose body is none.
func (p *peer) garbage() {
	p.put(&transport.Frame{Kind: frameMessage, ID: p.nextID(), Body: []byte{0xc1}})
}

// goDeaf has the peer stop reading with the next frame, until it listens again.
func (p *peer) goDeaf() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deaf = true
}

func (p *peer) listen() {
	p.mu.Lock()
	p.deaf = false
	p.mu.Unlock()
	p.conn.Resume()
}

func (p *peer) close() {
	p.mu.Lock()
	p.left = true
	p.mu.Unlock()
	p.conn.Close()
}

// ---- what the peer wants

// want compares what arrived, on this socket and others, since the last want.
func (p *peer) want(why string, frames ...string) {
	p.r.t.Helper()
	settle()
	wantLines(p.r.t, "frames", why, bySocket(p.r.frames.take()), frames)
}

func (p *peer) wantIdle(why string) {
	p.r.t.Helper()
	p.want(why)
}

func wantLines(t *testing.T, what, why string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got [%s], want [%s]: %s", what, strings.Join(got, ", "), strings.Join(want, ", "), why)
	}
}
