package lifecycle

// Kind says where a connection comes from, which decides what losing its socket means.
type Kind uint8

const (
	// Named connections find their service by name; a lost socket can be dialed again.
	Named Kind = iota
	// Endpoint connections dial a listener that may be gone for good.
	Endpoint
	// Accepted connections have no origin to go back to.
	Accepted
	// Listener connections deliver peers.
	Listener
)

// State is where a connection stands. Invalid is terminal.
type State uint8

const (
	// Inactive: nothing is sent or delivered; what the program sends is queued.
	Inactive State = iota
	// Looking: the registry was asked for the name, or to hand over the listening socket.
	Looking
	// Ready: the service can be dialed; nothing has been sent since the last loss.
	Ready
	// Dialing: a socket is being connected for what waits to be sent.
	Dialing
	// Open: there is a socket, or a listener listens.
	Open
	// Probing: an endpoint's socket was lost; a dial finds out whether its listener is.
	Probing
	// Invalid: dead for good. Barriers still run, everything else is refused.
	Invalid
)

// Outcome is how a call ends.
type Outcome uint8

const (
	// Replied: the reply is in the frame that came.
	Replied Outcome = iota
	// Interrupted: no reply is coming.
	Interrupted
	// Invalidated: the connection is dead for good.
	Invalidated
	// Unqualified: the peer does not meet this side's requirement, or we not the peer's.
	Unqualified
)

// What is the subject of a delivery to the event handler.
type What uint8

const (
	// Message: a dictionary that came.
	Message What = iota
	// Peer: a new connection, on a listener.
	Peer
	// InterruptedEvent and InvalidEvent are the two error events.
	InterruptedEvent
	InvalidEvent
	// Notice: any other error event, its id names it; it changes no state.
	Notice
)

// ID names a message, call, barrier, peer or notice; the caller makes them, never twice.
type ID uint64

// Epoch counts sockets; 0 is before the first.
type Epoch uint32

// Event is what happened. Fields that an Op does not name are ignored.
type Event struct {
	Op      Op
	ID      ID
	Epoch   Epoch
	Call    bool
	Outcome Outcome
}

// Op names an event.
type Op uint8

const (
	// By the program:
	Activate Op = iota
	Suspend
	Resume
	Cancel
	Send    // ID, Call: a message, which may expect a reply
	Reply   // ID, Epoch: an answer to a message of that epoch
	Barrier // ID
	Forget  // ID: the caller of that call gave up

	// By the registry:
	LookedUp     // or, for a listener, checked in
	LookUpFailed // or check-in
	Gone         // the name was unloaded

	// By the socket:
	Dialed     // Epoch
	DialFailed // Epoch: for now
	Refused    // Epoch: the origin is gone for good
	TurnedAway // Epoch: accepted, and told why not
	Unfit      // Epoch, in place of Dialed: connected, but to a peer that does not meet the requirement
	Lost       // Epoch
	Received   // Epoch, ID: a message
	Arrived    // ID: a new peer, on a listener
	Answered   // Epoch, ID, Outcome: of a call
	Noticed    // ID: deliver a notice
	Flushed    // Epoch, ID: all that was written before that barrier has left

	// By what runs the program's code:
	Begin       // a scheduled delivery is about to run
	HandlerDone // the event handler returned
	BarrierDone // ID
)

// Effect is what to do about it, in order.
type Effect struct {
	Do      Do
	ID      ID
	Epoch   Epoch
	Outcome Outcome
	What    What
}

// Do names an effect.
type Do uint8

const (
	LookUp     Do = iota // answer with LookedUp or LookUpFailed; a listener checks in
	Dial                 // Epoch: answer with Dialed, DialFailed, Refused or Unfit
	Close                // Epoch: the socket, or its dial, is no longer wanted; epoch 0 is a listener's
	Write                // Epoch, ID
	Discard              // ID: will not be written
	Complete             // ID, Outcome: the call is over
	Flush                // Epoch, ID: answer with Flushed
	RunBarrier           // ID: answer with BarrierDone
	Schedule             // answer with Begin, on the target queue
	Run                  // What, ID: run the event handler, answer with HandlerDone
	Drop                 // What, ID: will not be delivered; an answer nobody waits for
	Finish               // the last event was handled: let go of handlers, run the finalizer
	OverResume           // misuse: more resumes than suspends
)
