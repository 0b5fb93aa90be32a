package xpc

import "github.com/openxpc/openxpc/xpc/wire"

// Error is one of XPC's four error objects (XPC_TYPE_ERROR), and a Go error.
// Each exists once in a process: compare with == or errors.Is (R41). They
// cannot be made, and do not change; they survive being sent in a message.
//
// What they mean for a connection is told where it delivers them: after
// ErrConnectionInterrupted it is usable, after ErrConnectionInvalid it is not.
type Error struct {
	code byte // on the wire
	text string
}

// The error objects.
var (
	// ErrConnectionInterrupted (XPC_ERROR_CONNECTION_INTERRUPTED): the peer is
	// gone; the next message is sent to its successor.
	ErrConnectionInterrupted = &Error{wire.ErrorInterrupted, "Connection interrupted"}

	// ErrConnectionInvalid (XPC_ERROR_CONNECTION_INVALID): the connection is of
	// no use any more. It is the last event of every connection.
	ErrConnectionInvalid = &Error{wire.ErrorInvalid, "Connection invalid"}

	// ErrTerminationImminent (XPC_ERROR_TERMINATION_IMMINENT): this process is
	// asked to end when its open transactions have.
	ErrTerminationImminent = &Error{wire.ErrorTermination, "Termination imminent"}

	// ErrPeerCodeSigningRequirement (XPC_ERROR_PEER_CODE_SIGNING_REQUIREMENT):
	// the peer does not meet the connection's requirement.
	ErrPeerCodeSigningRequirement = &Error{wire.ErrorCodeSigning, "Peer code signing requirement not met"}
)

// ErrorKeyDescription is the one key of an error object (XPC_ERROR_KEY_DESCRIPTION).
const ErrorKeyDescription = "XPCErrorDescription"

// Type is TypeError.
func (e *Error) Type() Type { return TypeError }

// Error is the description (R42), without this package's name: errors that say
// more wrap it and put that in front.
func (e *Error) Error() string {
	if e == nil {
		return "no error"
	}
	return e.text
}

// GetString is the description for ErrorKeyDescription and "" for any other
// key: error objects are dictionaries underneath (R41).
func (e *Error) GetString(key string) string {
	if e == nil || key != ErrorKeyDescription {
		return ""
	}
	return e.text
}

// Get is the description as an object for ErrorKeyDescription, nil for any other key.
func (e *Error) Get(key string) Object {
	if s := e.GetString(key); s != "" {
		return String(s)
	}
	return nil
}

// errorFromCode finds the error object that code stands for on the wire. The
// decoder has checked the code; nil for one that stands for none.
func errorFromCode(code uint64) *Error {
	switch code {
	case wire.ErrorInterrupted:
		return ErrConnectionInterrupted
	case wire.ErrorInvalid:
		return ErrConnectionInvalid
	case wire.ErrorTermination:
		return ErrTerminationImminent
	case wire.ErrorCodeSigning:
		return ErrPeerCodeSigningRequirement
	}
	return nil
}
