package xpc

import (
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/openxpc/openxpc/credentials"
	"github.com/openxpc/openxpc/transport"
	"github.com/openxpc/openxpc/xpc/internal/lifecycle"
)

// Handler receives what happens on a connection (xpc_handler_t): a *Dictionary
// is a message, an *Error an error event, and on a listener a *Connection is a
// new peer. A reply handler gets the reply, or an *Error in its place.
type Handler func(Object)

// ConnectionHandler receives new peers (xpc_connection_handler_t).
type ConnectionHandler func(*Connection)

// Finalizer is called with a connection's context when the connection is done (xpc_finalizer_t).
type Finalizer func(any)

// MachServiceFlags modify NewMachServiceConnection.
type MachServiceFlags uint64

const (
	// MachServiceListener makes the connection the listener for the name
	// (XPC_CONNECTION_MACH_SERVICE_LISTENER).
	MachServiceListener MachServiceFlags = 1 << iota
	// MachServicePrivileged looks the name up in the system's registry alone, which
	// must be root's: no job of a user's can stand in for it, nor can XPC_REGISTRY
	// (XPC_CONNECTION_MACH_SERVICE_PRIVILEGED, R212); ignored with
	// MachServiceListener (R101).
	MachServicePrivileged
)

// Connection is one end of a virtual link to a service, or a listener
// (xpc_connection_t). It is virtual: it exists whether or not the process at the
// other end runs, and the first message launches that process if need be (R54).
//
// A connection is born inactive. Set an event handler, then Activate it. Event
// handlers of one connection never overlap (R66). The events are
// [ErrConnectionInterrupted] (the other side is gone; the connection can be used
// again), [ErrConnectionInvalid] (final) and, for accepted peers,
// [ErrTerminationImminent]. A connection lives until it is invalid: Cancel one
// that is not needed any more.
//
// All methods may be called from any goroutine, also from inside handlers.
type Connection struct {
	name      string
	origin    origin    // how to reach the other side; nil for accepted peers and listeners
	listening *listener // nil unless a listener
	process   *transactions

	sendLimits atomic.Pointer[Limits] // see agreeLimits; written under mu
	crowded    atomic.Bool            // somebody waits for room; written under mu

	mu       sync.Mutex // guards the rest; never held across I/O or the program's code
	m        lifecycle.Machine
	queue    *Queue
	handler  Handler
	limits   *Limits // never changed, only replaced; shared by who has the same
	lastID   uint64
	link     *link // the present socket
	peer     credentials.Credentials
	staged   *outgoing                  // the message of the Step that runs
	outgoing map[lifecycle.ID]*outgoing // sent, neither written nor discarded; nil when empty
	waiting  int                        // bytes in outgoing
	calls    callTable                  // not completed
	spare    *call                      // for synchronous callers to come, and those after it
	events   fifo[event]                // arrived, neither run nor dropped
	unread   int                        // bytes in events
	reader   *link                      // the Step that runs was caused by its reader, who may run what becomes due
	on       *Queue                     // where the present delivery was scheduled
	after    after
	rare     *rare     // &nothingRare until there is something; see rarely
	home     *listener // of an accepted peer; nil for others

	announced bool           // to home
	paused    bool           // reading stopped for MaxReceivedBytes
	inDeliver bool           // deliver runs; it looks at again when it is done
	again     bool           // the next delivery is due
	due       bool           // the Step has chosen what the handler gets:
	what      lifecycle.What // this
	finished  bool           // everything was told: Done is closed
	spares    uint8          // how many are spare
}

// rare is what few connections have, or none for most of its life: an idle
// connection is to be small.
type rare struct {
	context   any
	finalizer Finalizer
	barriers  map[lifecycle.ID]func() // not run
	cause     error                   // why the present interruption or invalidation
	reason    error                   // why invalid; nil while valid
	unloaded  error                   // the name went while a socket was open: it will be the last
	probes    int                     // probes since something was sent
	guard     *guard                  // the peer requirement, nil if there is none
	attester  Attester                // nil: the registry
	after     time.Time               // with a guard, of an accepted peer: it was connected after that
	room      chan struct{}           // closed and replaced when output drains or the state changes
	done      chan struct{}           // nil until somebody asks
}

// nothingRare is read in place of a rare that a connection does not have.
var nothingRare rare

// rarely is the connection's rare, to be written to; c.mu is held.
func (c *Connection) rarely() *rare {
	if c.rare == &nothingRare {
		c.rare = new(rare)
	}
	return c.rare
}

type event struct {
	id   lifecycle.ID
	obj  Object
	size int
}

// NewConnection makes a connection to the service name among the program's own
// services (xpc_connection_create), those in the folder XPCServices beside its
// executable: the user's registry launches one instance for this process, which
// ends with it. If there is none of the name, the registries are asked as by
// NewMachServiceConnection. A nil queue means DefaultQueue. With the
// name "" it makes an anonymous listener, which others reach through NewEndpoint
// (R51, R108). It always succeeds: an unknown name is told after Activate, by
// ErrConnectionInvalid (R50).
func NewConnection(name string, q *Queue) *Connection {
	if name == "" {
		return newListener("", anonymousSocket(), q)
	}
	return newOwn(name, q)
}

// NewMachServiceConnection makes a connection to a name that the registry knows
// (xpc_connection_create_mach_service), or with MachServiceListener the listener
// that serves it (R101). A nil queue means DefaultQueue. It always succeeds, as
// NewConnection does.
func NewMachServiceConnection(name string, q *Queue, flags MachServiceFlags) *Connection {
	if flags&MachServiceListener != 0 {
		return newCheckedIn(name, q)
	}
	return newNamed(name, q, flags)
}

// NewConnectionFromEndpoint makes a connection to the endpoint's listener
// (xpc_connection_create_from_endpoint). When the socket is lost the listener is
// dialed again at once: if it is gone the event is ErrConnectionInvalid, if it
// lives ErrConnectionInterrupted, and the next message makes a new peer (R124).
// A nil endpoint is misuse.
func NewConnectionFromEndpoint(e *Endpoint) *Connection {
	if e == nil {
		misuse("xpc_connection_create_from_endpoint without an endpoint")
	}
	return newConnection(lifecycle.Endpoint, "", &endpointOrigin{e}, nil)
}

// NewConnectionFromListener makes a listener of a listening socket that was
// handed over, by a service manager or a parent. It takes ownership of f.
func NewConnectionFromListener(f *os.File, q *Queue) *Connection {
	return newListener("", handedSocket(f), q)
}

// NewConnectionFromSocket makes an accepted peer of a connected socket that was
// handed over: one of a pair, or accepted elsewhere. It takes ownership of f. The
// other side dials, that is: says HELLO first. A pair that this process made shows
// nothing but this process; there the peer is who wrote HELLO, as soon as it has come.
// If f is no such socket the connection is invalid from the start.
func NewConnectionFromSocket(f *os.File, q *Queue) *Connection {
	c := newAccepted(nil, q)
	fd, err := takeFD(f)
	var conn *transport.Conn
	if err == nil {
		conn, err = transport.NewSocket(fd, c.options())
	}
	if err != nil {
		(&link{c: c, epoch: c.m.Epoch()}).lost(err) // told once it is activated
		return c
	}
	c.process.join(c)
	c.attach(conn)
	return c
}

// takeFD takes the descriptor out of f.
func takeFD(f *os.File) (int, error) {
	if f == nil {
		return -1, os.ErrInvalid
	}
	defer f.Close()
	d, err := transport.DupDescriptor(int(f.Fd()))
	if err != nil {
		return -1, err
	}
	defer d.Close()
	return d.Dup()
}

func newConnection(k lifecycle.Kind, name string, o origin, q *Queue) *Connection {
	c := &Connection{
		name:    name,
		origin:  o,
		process: theProcess,
		m:       lifecycle.New(k),
		queue:   orDefault(q),
		limits:  &defaultLimits,
		peer:    credentials.Unknown(),
		rare:    &nothingRare,
	}
	c.sendLimits.Store(&unsureLimits)
	return c
}

// Type is TypeConnection.
func (c *Connection) Type() Type { return TypeConnection }

// SetEventHandler says who gets the connection's events
// (xpc_connection_set_event_handler, R65, R68). It may be called at any time: a
// running handler is not interrupted, the next event goes to the new one.
func (c *Connection) SetEventHandler(h Handler) {
	if h == nil {
		misuse("an event handler must not be nil")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.finished {
		return // handlers were let go of with the final event (R70)
	}
	c.handler = h
}

// SetTargetQueue says where handlers run from the next event on
// (xpc_connection_set_target_queue, R74); nil means DefaultQueue. It may be
// called at any time. Accepted peers start with DefaultQueue, whatever their
// listener has (R75).
func (c *Connection) SetTargetQueue(q *Queue) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue = orDefault(q)
}

// SetLimits replaces the connection's limits; zero fields mean their defaults.
// Sizes that are agreed when a socket is connected count from the next one on. A
// listener gives its limits to its peers.
func (c *Connection) SetLimits(l Limits) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l = l.withDefaults()
	if c.limits = &l; l == defaultLimits {
		c.limits = &defaultLimits
	}
	c.agreeLimits()
}

// Activate lets the connection send and receive (xpc_connection_activate). A
// name is looked up now; the service is launched by the first message. On an
// active connection it does nothing (R56). Without an event handler it is misuse.
func (c *Connection) Activate() { c.wake(lifecycle.Activate) }

// Suspend holds back the event handler and what is sent from here on, until
// Resume was called as often (xpc_connection_suspend, R58, R60). A running
// handler finishes. Replies still arrive.
func (c *Connection) Suspend() {
	c.mu.Lock()
	c.step(lifecycle.Event{Op: lifecycle.Suspend})
	c.unlock()
}

// Resume undoes one Suspend (xpc_connection_resume); on a connection that was
// never activated and is not suspended it is Activate (R57). One too many is
// misuse (R59).
func (c *Connection) Resume() { c.wake(lifecycle.Resume) }

func (c *Connection) wake(op lifecycle.Op) {
	c.mu.Lock()
	if c.handler == nil && c.m.State() == lifecycle.Inactive {
		c.mu.Unlock()
		misuse("a connection needs an event handler before it is activated.")
	}
	c.step(lifecycle.Event{Op: op})
	c.unlock()
}

// Cancel ends the connection (xpc_connection_cancel, R81..R86): what was not
// sent is discarded, calls that wait get ErrConnectionInvalid, barriers run, and
// after a running handler has returned the event handler is called one last time
// with ErrConnectionInvalid. A listener's accepted peers live on, except that
// those of an anonymous listener are cancelled with it (R109, R110). It does not
// wait. More calls do nothing.
func (c *Connection) Cancel() { c.cancelBecause(ErrCanceled) }

func (c *Connection) cancelBecause(why error) {
	c.mu.Lock()
	c.rarely().cause = why
	c.step(lifecycle.Event{Op: lifecycle.Cancel})
	c.unlock()
}

// Name is what the connection was made with (xpc_connection_get_name); "" for
// accepted peers, anonymous listeners and connections from endpoints (R90).
func (c *Connection) Name() string { return c.name }

// EUID is the effective user id of the other side as of its connect, -1 before
// it is known (xpc_connection_get_euid, R195, R196).
func (c *Connection) EUID() int { return c.credentials().UID }

// EGID is the effective group id, as EUID (xpc_connection_get_egid).
func (c *Connection) EGID() int { return c.credentials().GID }

// PID is the other side's process id, 0 before it is known
// (xpc_connection_get_pid). It is a hint: ids are used again (R197).
func (c *Connection) PID() int { return c.credentials().PID }

// ASID is the audit session of the other side's process, -1 where it is not
// known (xpc_connection_get_asid).
func (c *Connection) ASID() int {
	pid := c.PID()
	if pid == 0 {
		return -1
	}
	id, err := credentials.AuditSession(pid)
	if err != nil {
		return -1
	}
	return id
}

func (c *Connection) credentials() credentials.Credentials {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.peer
}

// InvalidationReason says why the connection is invalid, "" while it is valid
// (xpc_connection_copy_invalidation_reason, R91).
func (c *Connection) InvalidationReason() string {
	if err := c.invalidBecause(); err != nil {
		return err.Error()
	}
	return ""
}

func (c *Connection) invalidBecause() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rare.reason
}

// SetContext keeps a value of the program's with the connection
// (xpc_connection_set_context). Replacing it does not run the finalizer (R89).
func (c *Connection) SetContext(v any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rarely().context = v
}

// Context is what SetContext was given last, nil at first (xpc_connection_get_context).
func (c *Connection) Context() any {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rare.context
}

// SetFinalizer has f called once, with the context that is set then, right after
// the handler of the final ErrConnectionInvalid has returned
// (xpc_connection_set_finalizer_f, R89). nil means none.
func (c *Connection) SetFinalizer(f Finalizer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rarely().finalizer = f
}

// Done is closed when the connection is invalid and everything was told: the
// final event's handler and the finalizer have returned.
func (c *Connection) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.rarely()
	if r.done == nil {
		r.done = make(chan struct{})
		if c.finished {
			close(r.done)
		}
	}
	return r.done
}

// MisuseInfo is the text of the last misuse that the library stopped the program
// for, "" if there was none: for debuggers and for programs that recover
// (xpc_debugger_api_misuse_info).
func MisuseInfo() string {
	if s := lastMisuse.Load(); s != nil {
		return *s
	}
	return ""
}

var lastMisuse atomic.Pointer[string]

// String names the connection for logs.
func (c *Connection) String() string {
	switch {
	case c.name != "":
		return "connection " + c.name
	case c.listening != nil:
		return "anonymous listener"
	}
	return "connection"
}
