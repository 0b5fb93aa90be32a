// Package bootstrap is the vocabulary that programs and the registry daemon
// share: how a name is looked up and checked in, and how jobs are managed.
//
// The registry is an ordinary XPC service. Every request is a dictionary with
// KeyOp; every reply carries the routine's own keys or, when it failed, an
// int64 under KeyError and a sentence under KeyReason. This package holds names
// and rules only; it imports nothing of the project, reads the environment for
// [Paths] and does no other I/O.
package bootstrap

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// Name under which every registry can be reached by the ordinary API. It is
// answered by the client library itself: the connection goes to the registry socket.
const RegistryName = "org.openxpc.registry"

// Environment variables. EnvRegistry is the path of the registry's socket;
// EnvBootstrapFD is the number of the connected socket that a launched job
// inherits; EnvBootstrapReturn is where such a job connects again when the registry
// was restarted: the number of an inherited descriptor that stands for a socket's file
// (O_PATH), or where there is no such thing the file's path; EnvServiceName is the name it serves, if its job declares just one;
// EnvListener is FD:PARENT, for the process alone whose parent has that id: the number
// of that name's listening socket, which it inherits so that it need not wait for it;
// EnvTransactions is "1" for a job whose transactions decide how it is ended; EnvTally is
// where such a job counts them for its registry to see ([TallyName]).
const (
	EnvRegistry        = "XPC_REGISTRY"
	EnvBootstrapFD     = "XPC_BOOTSTRAP_FD"
	EnvBootstrapReturn = "XPC_BOOTSTRAP_RETURN"
	EnvServiceName     = "XPC_SERVICE_NAME"
	EnvListener        = "XPC_LISTENER"
	EnvTransactions    = "XPC_TRANSACTIONS"
	EnvTally           = "XPC_TRANSACTION_TALLY"
)

// Keys of requests and replies.
const (
	KeyOp       = "op"        // string: one of the Op constants
	KeyError    = "error"     // int64 Code, absent on success
	KeyReason   = "reason"    // string, one sentence
	KeyName     = "name"      // string: service name
	KeyEndpoint = "endpoint"  // endpoint: where clients dial
	KeyListener = "listener"  // fd: the listening socket, handed over at check-in
	KeyAgain    = "again"     // bool: the caller may serve the name already, over this connection
	KeyHeld     = "held"      // bool: the caller inherited the listening socket, and needs no answer
	KeyLabel    = "label"     // string: job label
	KeyPath     = "path"      // string: absolute path of a job file
	KeyServices = "services"  // string: absolute path of the folder of the caller's own services
	KeyOnlyIdle = "only-idle" // bool: what is busy goes on as if nothing had been asked
	KeyIdle     = "idle"      // bool: no transaction is open
	KeyProcess  = "process"   // fd: the kernel's handle of a process (pidfd), absent where there is none
	KeyGID      = "gid"       // int64: group id, -1 if not known
	KeyFacts    = "facts"     // dictionary: what is known of a process (xpc.EncodeFacts)
	KeyMarker   = "marker"    // int64: the group that marks the program; absent if none was granted
	KeyPin      = "pin"       // uint64: an image that the registry holds on to; absent if it holds none
	KeyPinned   = "pinned"    // bool: the asker holds on to the process itself, and wants no pin
)

// Routines for programs. A look-up with KeyServices looks in that folder alone, on
// behalf of the registry's own user, for a service that is the caller's only and
// ends with its connection to the registry (R51); without, among the names. A look-up subscribes the caller to the name: when it
// is gone for good, the registry sends OpGone with KeyName and KeyReason.
const (
	OpLookUp   = "look-up"   // name, services (optional) -> endpoint
	OpCheckIn  = "check-in"  // name, again (optional) -> listener, endpoint; name, held -> nothing
	OpCheckOut = "check-out" // name -> nothing: the listener was cancelled, the name stays with the registry
	OpGone     = "gone"      // sent by the registry

	// OpTerminate is asked by the registry, of a job with transactions: it is to
	// end. The answer has KeyIdle. An idle process takes no more messages and is
	// killed; another one ends by itself when its last transaction does (R186).
	// With KeyOnlyIdle it is to end only if it is idle.
	OpTerminate = "terminate"

	// Who is at the other end of a connection, for those who cannot find out
	// themselves. A pin is the asker's, and ends with its connection to the registry.
	OpAttest  = "attest"  // process, pid, uid, gid, pinned (optional) -> facts, marker, pin
	OpConfirm = "confirm" // pin -> nothing: the process still runs the image that was attested; else Changed
	OpUnpin   = "unpin"   // pin -> nothing
)

// Code says why a routine failed; the numbers are those of launchd's bootstrap.h (R213).
type Code int64

// The codes of R213, BadRequest for a request that makes no sense, and our own.
const (
	NotPrivileged  Code = 1100
	NameInUse      Code = 1101
	UnknownService Code = 1102
	ServiceActive  Code = 1103
	BadRequest     Code = 1104
	OverQuota      Code = 1105 // launchd's NO_MEMORY: a limit of the registry is reached
	Changed        Code = 1106 // ours: the process runs another image than the one that was attested, or is gone
	BadJob         Code = 1200 // ours: a job file with errors; KeyReason names file, line and column
	Disabled       Code = 1201 // ours: the job is disabled, and so cannot be loaded
	NotRunning     Code = 1202 // ours: the job has no process, or cannot be started; KeyReason says why
)

// String is the code's name in words.
func (c Code) String() string {
	switch c {
	case NotPrivileged:
		return "not privileged"
	case NameInUse:
		return "name in use"
	case UnknownService:
		return "unknown service"
	case ServiceActive:
		return "service active"
	case BadRequest:
		return "bad request"
	case OverQuota:
		return "over quota"
	case Changed:
		return "the process has changed"
	case BadJob:
		return "bad job file"
	case Disabled:
		return "disabled"
	case NotRunning:
		return "not running"
	}
	return fmt.Sprintf("error %d", int64(c))
}

// MaxName is the longest service name in bytes (R213).
const MaxName = 127

// ErrBadName is wrapped by every error of CheckName.
var ErrBadName = errors.New("bad service name")

// CheckName says whether name can be a service name: 1 to MaxName bytes of
// UTF-8 without control characters or slashes.
func CheckName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: it is empty", ErrBadName)
	case len(name) > MaxName:
		return fmt.Errorf("%w: %d bytes, the limit is %d", ErrBadName, len(name), MaxName)
	case !utf8.ValidString(name):
		return fmt.Errorf("%w: %q is not UTF-8", ErrBadName, name)
	}
	for _, r := range name {
		if r < ' ' || r == 0x7f || r == '/' {
			return fmt.Errorf("%w: %q contains %q", ErrBadName, name, r)
		}
	}
	return nil
}
