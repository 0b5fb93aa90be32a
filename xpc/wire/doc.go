// Package wire turns XPC values into bytes and back: MessagePack with the
// extension types of OpenXPC's protocol 1 (docs/protocol.md).
//
// It has two halves and no state. The Append functions add one value to a byte
// slice, in the shortest form. A [Cursor] pulls values out of a message that
// came from a peer and trusts nothing in it: every length is checked against
// the bytes that are there, and one budget of depth and values holds for the
// whole message. [Scan] checks a message as a whole.
//
// Types survive: an int64 5 and a uint64 5 are different bytes, and so are data
// and string. MessagePack's fixints and d0 to d3 are int64; cc to cf are uint64.
//
// Programs use package xpc. This one is for tools, bridges and bindings; it
// imports the standard library only, does no I/O, and its functions may be
// called from any number of goroutines. A Cursor belongs to one.
package wire

import "fmt"

// Kind is the type of a value on the wire. The zero Kind is no value.
type Kind uint8

// The kinds, in the order of XPC's own types.
const (
	KindNull         Kind = iota + 1
	KindBool              // Token.Num is 0 or 1
	KindInt64             // Token.Int
	KindUint64            // Token.Num
	KindDouble            // Token.Double
	KindDate              // Token.Int: nanoseconds since 1970, negative before (R19)
	KindData              // Token.Bytes
	KindString            // Token.Bytes, without NUL; UTF-8 is expected and not checked (R24)
	KindUUID              // Token.Bytes, 16 of them
	KindFD                // Token.Num: index among the message's descriptors
	KindArray             // Token.Num: how many values follow
	KindMap               // Token.Num: how many pairs of key and value follow
	KindEndpoint          // Token.Bytes: a socket's path; without one, Token.Num is an index as in FD
	KindError             // Token.Num: one of the Error codes
	KindSharedMemory      // Token.Num: index as in FD; Token.Size
	KindSharedData        // Token.Num: index as in FD; Token.Size
)

var kindNames = [...]string{"invalid", "null", "bool", "int64", "uint64", "double", "date", "data",
	"string", "uuid", "fd", "array", "dictionary", "endpoint", "error", "shared memory", "shared data"}

// String gives the XPC name of k in lower case; KindMap is a "dictionary".
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Error codes: the four error objects of XPC (R41).
const (
	ErrorInterrupted = 1 // XPC_ERROR_CONNECTION_INTERRUPTED
	ErrorInvalid     = 2 // XPC_ERROR_CONNECTION_INVALID
	ErrorTermination = 3 // XPC_ERROR_TERMINATION_IMMINENT
	ErrorCodeSigning = 4 // XPC_ERROR_PEER_CODE_SIGNING_REQUIREMENT
)

// Extension types of protocol 1.
const (
	ExtDate         = 1 // 8 bytes, signed nanoseconds
	ExtUUID         = 2 // 16 bytes
	ExtFD           = 3 // 2 bytes, descriptor index
	ExtEndpoint     = 4 // 2 bytes, descriptor index; or 3 to MaxPath bytes of path
	ExtError        = 5 // 1 byte, an Error code
	ExtSharedMemory = 6 // 10 bytes, descriptor index and size: memory that both sides write to
	ExtSharedData   = 7 // likewise: data that lies in memory of its own
)

// MaxPath is the longest endpoint path in bytes.
const MaxPath = 1024

// MaxDescriptors is how many descriptors one message can carry: what Linux
// allows in one SCM_RIGHTS (SCM_MAX_FD).
const MaxDescriptors = 253

// Error says why bytes are not a message, and at which of them. It is the
// only error of this package; the message is of no use after it.
type Error struct {
	Offset  int    // of the first byte of what is wrong
	Problem string // what is wrong, and where a limit is the reason, its name
}

// Error names the place and the problem.
func (e *Error) Error() string {
	return fmt.Sprintf("wire: malformed message at byte %d: %s", e.Offset, e.Problem)
}
