package xpc

import (
	"errors"
	"fmt"
)

// Causes that a [ConnectionError] can wrap; match them with errors.Is.
var (
	// ErrNoRegistry: no registry answers; the text says where it was looked for.
	ErrNoRegistry = errors.New("no registry answers")
	// ErrUnknownName: no job declares the name and no program has registered it.
	ErrUnknownName = errors.New("no such name")
	// ErrNotPermitted: the registry does not let this process use the name.
	ErrNotPermitted = errors.New("not permitted")
	// ErrNameActive: another process, or another listener of this one, serves the name.
	ErrNameActive = errors.New("the name is being served already")
	// ErrLaunchFailed: the job's program could not be started.
	ErrLaunchFailed = errors.New("launch failed")
	// ErrCanceled: this side cancelled the connection.
	ErrCanceled = errors.New("the connection was cancelled")
	// ErrPeerGone: the process at the other end exited, crashed or closed the connection.
	ErrPeerGone = errors.New("the peer closed the connection or exited")
	// ErrDropped: the peer let go of the request without a reply (R149).
	ErrDropped = errors.New("the peer dropped the request without a reply")
)

// ConnectionError is what synchronous calls return when no reply is coming.
// Event is the constant that an asynchronous reply handler would have got
// ([ErrConnectionInterrupted]: the connection is still usable;
// [ErrConnectionInvalid]: it is not); Cause says why and may be nil.
// errors.Is sees both.
type ConnectionError struct {
	Event *Error
	Cause error
}

// Error is one line that names the event and the cause.
func (e *ConnectionError) Error() string {
	if e.Cause == nil {
		return fmt.Sprintf("xpc: %s", e.Event.Error())
	}
	return fmt.Sprintf("xpc: %s: %s", e.Event.Error(), e.Cause)
}

// Unwrap gives the event and the cause.
func (e *ConnectionError) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Event}
	}
	return []error{e.Event, e.Cause}
}

// because joins a sentinel to the sentence that explains it.
type because struct {
	kind error
	text string
}

func (b *because) Error() string { return b.text }
func (b *because) Unwrap() error { return b.kind }
