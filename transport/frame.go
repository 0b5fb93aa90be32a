package transport

import (
	"encoding/binary"
	"fmt"

	"github.com/openxpc/openxpc/credentials"
)

// HeaderSize is the length of a frame's header on the wire.
const HeaderSize = 16

// MaxDescriptors is the most descriptors one frame can carry: the kernel's own
// bound for one message on a Unix socket.
const MaxDescriptors = 253

// MaxInlayAt is how much of a frame's body there can be before its inlay.
const MaxInlayAt = 4 << 10

// Frame is one unit of traffic. Kind, Flags and ID mean nothing to this package.
//
// Received: Body is valid until [Receiver.Receive] returns, unless Owned says
// that it is the receiver's to keep; the Files are the receiver's to close.
// Sent: Body and Files belong to the connection from Append on.
type Frame struct {
	Kind  uint8
	Flags uint8
	ID    uint64
	Body  []byte
	Files []*Descriptor

	// Inlay is, of a sent frame, a long part of the body that lies elsewhere and is never
	// written to: it leaves between Body's first InlayAt bytes, at most MaxInlayAt, and the
	// rest, uncopied.
	Inlay   []byte
	InlayAt int
	// Beside is, of a sent frame, how many bytes it counts for in Queued beside its
	// header and Body, until all of it is written.
	Beside int
	// Owned says, of a received frame, that Body is never used again by the connection.
	Owned bool
	// Identify asks, of a sent frame, that the kernel attach this process's credentials.
	Identify bool
	// Sender is, of a received frame, who wrote its first byte; credentials.Unknown
	// (PID 0) where the kernel does not say, and if another process wrote a part of it.
	Sender credentials.Credentials
	// Follows says, of a received frame, that it came whole with the bytes that the one
	// before it ended in: nothing was read of the socket between the two.
	Follows bool
}

// Size is the number of bytes that the frame has on the wire.
func (f *Frame) Size() int { return HeaderSize + f.bodySize() }

func (f *Frame) bodySize() int { return len(f.Body) + len(f.Inlay) }

// Options bound what a peer can make a Conn do. The zero value of a field means its default.
type Options struct {
	// MaxBody is the longest body accepted, in bytes; 0 means 64 MiB.
	MaxBody int
	// MaxFiles is the most descriptors accepted with one frame; 0 means MaxDescriptors.
	MaxFiles int
}

func (o Options) withDefaults() Options {
	if o.MaxBody == 0 {
		o.MaxBody = 64 << 20
	}
	if o.MaxFiles == 0 || o.MaxFiles > MaxDescriptors {
		o.MaxFiles = MaxDescriptors
	}
	return o
}

// ProtocolError says what the peer did wrong. The connection has ended.
type ProtocolError struct{ Problem string }

// Error says what the peer did.
func (e *ProtocolError) Error() string { return "transport: the peer broke the protocol: " + e.Problem }

func protocolError(format string, args ...any) error {
	return &ProtocolError{fmt.Sprintf(format, args...)}
}

type header struct {
	length uint32
	kind   uint8
	flags  uint8
	files  uint16
	id     uint64
}

func appendHeader(b []byte, f *Frame) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(f.bodySize()))
	b = append(b, f.Kind, f.Flags)
	b = binary.BigEndian.AppendUint16(b, uint16(len(f.Files)))
	return binary.BigEndian.AppendUint64(b, f.ID)
}

func parseHeader(b []byte) header {
	_ = b[HeaderSize-1]
	return header{
		length: binary.BigEndian.Uint32(b),
		kind:   b[4],
		flags:  b[5],
		files:  binary.BigEndian.Uint16(b[6:]),
		id:     binary.BigEndian.Uint64(b[8:]),
	}
}

func (h header) check(o *Options) error {
	if uint64(h.length) > uint64(o.MaxBody) {
		return protocolError("a frame of %d bytes, the limit is %d", h.length, o.MaxBody)
	}
	if int(h.files) > o.MaxFiles {
		return protocolError("a frame with %d descriptors, the limit is %d", h.files, o.MaxFiles)
	}
	return nil
}
