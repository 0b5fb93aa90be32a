package transport

import (
	"errors"

	"github.com/openxpc/openxpc/credentials"
)

// errAgain: nothing to read, or no room to write, at this moment.
var errAgain = errors.New("transport: would block")

// medium is what a Conn runs over: a socket, or memory. One goroutine at a time
// receives, one at a time sends; the others may be called from anywhere.
type medium interface {
	// recv reads into b. With wait it may block for about a millisecond. It
	// returns errAgain when nothing came and io.EOF at the end.
	recv(b []byte, in *incoming, wait bool) (int, error)
	// send writes some of what the parts are, with the files on the first byte.
	// With wait it may block for some milliseconds. It returns errAgain when
	// nothing was taken.
	send(p parts, files []*Descriptor, identify, wait bool) (int, error)
	// drained says whether the peer has read all that was sent, or that it cannot be told.
	drained() bool
	// arm asks for one call of Conn.ready each.
	arm(in, out bool)
	// armEnd asks for one call of Conn.hangUp when the peer will send no more,
	// whatever is still unread. It may be called once.
	armEnd()
	// startTicking has Conn.tick called about every millisecond until it returns false.
	startTicking()
	// shutdown wakes whoever receives and tells the peer; it may be called again.
	// close frees, once, when nobody is inside any more.
	shutdown()
	close()
	// peer says who is at the other end, as of connect.
	peer() (credentials.Credentials, error)
	// socket lends the descriptor; the error wraps credentials.ErrUnsupported if there is none.
	socket(use func(fd int) error) error
}

// parts are pieces of memory that are written one behind the other; each may be empty.
type parts [3][]byte

// alone says whether there is one piece only, and which.
func (p *parts) alone() (b []byte, is bool) {
	for _, part := range p {
		if len(part) > 0 {
			if b != nil {
				return nil, false
			}
			b = part
		}
	}
	return b, b != nil
}

// incoming gathers what arrives beside the bytes. Only the reading role touches it.
type incoming struct {
	files   []*Descriptor
	sender  credentials.Credentials // of the last bytes that came
	control []byte                  // room for what recv gets beside the bytes
	sys     socketSys
	lively  bool // much goes both ways
}

func (in *incoming) takeFiles(n int) []*Descriptor {
	if n == 0 {
		return nil
	}
	taken := append([]*Descriptor(nil), in.files[:n]...)
	rest := copy(in.files, in.files[n:])
	clear(in.files[rest:])
	in.files = in.files[:rest]
	return taken
}

func closeAll(files []*Descriptor) {
	for _, d := range files {
		d.Close()
	}
}
