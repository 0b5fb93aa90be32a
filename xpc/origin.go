package xpc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/openxpc/openxpc/transport"
	"github.com/openxpc/openxpc/xpc/bootstrap"
	"github.com/openxpc/openxpc/xpc/internal/lifecycle"
)

// origin is where a connection can be made again after its socket was lost.
type origin interface {
	// lookUp finds out, at activation, whether there is anything to dial.
	lookUp(c *Connection) error
	// dial connects.
	dial(c *Connection, o transport.Options) (*transport.Conn, error)
	// gone says of dial's error that no later dial can succeed.
	gone(err error) bool
	// leave is called when the connection has become invalid, at least once.
	leave(c *Connection)
}

// quick is an origin that sometimes needs no waiting. What it cannot do at once
// the origin's other methods do, on a goroutine of their own.
type quick interface {
	// knows says that lookUp has nothing to ask.
	knows(c *Connection) bool
	// dialNow connects, or returns nil.
	dialNow(c *Connection, o transport.Options) *transport.Conn
}

// lookUpNow answers the core's wish if that needs no waiting.
func (c *Connection) lookUpNow() bool {
	q, ok := c.origin.(quick)
	if !ok || !q.knows(c) {
		return false
	}
	c.lookedUp(nil)
	return true
}

// lookUp answers the core's wish; it runs on a goroutine of its own.
func (c *Connection) lookUp() {
	if c.listening != nil {
		c.listening.listen()
		return
	}
	c.lookedUp(c.origin.lookUp(c))
}

func (c *Connection) lookedUp(err error) {
	c.mu.Lock()
	op := lifecycle.LookedUp
	if err != nil {
		op = lifecycle.LookUpFailed
		if c.m.State() != lifecycle.Invalid {
			c.rarely().cause = err
		}
	}
	c.step(lifecycle.Event{Op: op})
	s := c.m.State()
	c.unlock()
	c.leaveLate(s)
}

// endpointOrigin dials an endpoint's listener.
type endpointOrigin struct{ e *Endpoint }

func (o *endpointOrigin) lookUp(*Connection) error { return nil }

func (o *endpointOrigin) dial(_ *Connection, opts transport.Options) (*transport.Conn, error) {
	return o.e.dial(opts)
}

func (o *endpointOrigin) knows(*Connection) bool { return true }

func (o *endpointOrigin) dialNow(_ *Connection, opts transport.Options) *transport.Conn {
	return o.e.dialNow(opts)
}

func (o *endpointOrigin) gone(err error) bool { return errors.Is(err, transport.ErrRefused) }
func (o *endpointOrigin) leave(*Connection)   {}

// jobOrigin is the socket that a launched job inherits, and when that is lost, the
// way back to its registry, which may have been restarted.
type jobOrigin struct {
	fd   int       // -1 once it is used
	back *Endpoint // nil if there is none
}

func (o *jobOrigin) lookUp(*Connection) error { return nil }

func (o *jobOrigin) dial(_ *Connection, opts transport.Options) (*transport.Conn, error) {
	if fd := o.fd; fd >= 0 {
		o.fd = -1
		return transport.NewSocket(fd, opts)
	}
	if o.back == nil {
		return nil, transport.ErrRefused
	}
	return o.back.dial(opts)
}

func (o *jobOrigin) knows(*Connection) bool { return true }

func (o *jobOrigin) dialNow(c *Connection, opts transport.Options) *transport.Conn {
	if o.fd < 0 {
		return nil
	}
	conn, err := o.dial(c, opts)
	if err != nil {
		return nil
	}
	return conn
}

func (o *jobOrigin) gone(err error) bool {
	return o.back == nil || errors.Is(err, transport.ErrRefused)
}
func (o *jobOrigin) leave(*Connection) {}

// registryOrigin dials a registry's own socket: the first path that answers.
type registryOrigin struct {
	paths func() []string
	roots bool // only root's registry will do
}

func (registryOrigin) lookUp(*Connection) error { return nil }

func (o registryOrigin) dial(_ *Connection, opts transport.Options) (*transport.Conn, error) {
	var tried []error
	for _, path := range o.paths() {
		conn, err := transport.Dial(path, opts)
		if err == nil && o.roots {
			err = checkRoots(conn)
		}
		if err == nil {
			return conn, nil
		}
		tried = append(tried, fmt.Errorf("%s: %w", path, err))
	}
	return nil, &unanswered{tried, o.roots}
}

// checkRoots closes a connection whose listener is not root's (R212).
func checkRoots(conn *transport.Conn) error {
	peer, err := conn.Peer()
	if err == nil && peer.UID == 0 {
		return nil
	}
	conn.Close()
	if err == nil {
		err = fmt.Errorf("user %d listens there, not root", peer.UID)
	}
	return err
}

func (registryOrigin) gone(err error) bool { return errors.Is(err, ErrNoRegistry) }
func (registryOrigin) leave(*Connection)   {}

// unanswered says which registries were looked for in vain.
type unanswered struct {
	tried  []error
	system bool // nothing but the system's would have done
}

func (u *unanswered) Error() string {
	text := "no registry answers"
	for i, err := range u.tried {
		sep := "; "
		if i == 0 {
			sep = ": looked at "
		}
		text += sep + err.Error()
	}
	if u.system {
		return text + `. Only root's will do here: root starts it with "xpcd"`
	}
	return text + `. Start one with "xpcd", or run the program under "xpcctl run"`
}

func (*unanswered) Unwrap() error { return ErrNoRegistry }

// nameOrigin finds a connection's service by its name through the registries, asked
// in turn until one knows it. Connections share it.
type nameOrigin struct{ registries []*registryClient }

var (
	systemAlone  = &nameOrigin{[]*registryClient{systemRegistry}}
	nearestFirst = &nameOrigin{[]*registryClient{registry, systemRegistry}}
	nearestAlone = &nameOrigin{[]*registryClient{registry}}
)

func newNamed(name string, q *Queue, flags MachServiceFlags) *Connection {
	if name == bootstrap.RegistryName {
		return newConnection(lifecycle.Endpoint, name, registryOrigin{paths: bootstrap.Paths}, q)
	}
	return newConnection(lifecycle.Named, name, originFor(flags, bootstrap.Paths()), q)
}

// originFor says where a name is looked up (R211, R212): in this process's own
// registry, then in the machine's. A private one stands alone.
func originFor(flags MachServiceFlags, paths []string) *nameOrigin {
	switch {
	case flags&MachServicePrivileged != 0:
		return systemAlone
	case len(paths) > 1:
		return nearestFirst
	}
	return nearestAlone
}

// find asks the registries. Of several failures the nearest registry's is told, and
// where none answers all places are.
func (o *nameOrigin) find(ctx context.Context, c *Connection) (*Endpoint, error) {
	var why error
	nowhere := unanswered{system: o.registries[0].origin.roots}
	for _, r := range o.registries {
		ep, err := r.lookUp(ctx, c.name, c)
		if err == nil {
			return ep, nil
		}
		if u := (*unanswered)(nil); errors.As(err, &u) {
			nowhere.tried = append(nowhere.tried, u.tried...)
			continue
		}
		if why == nil {
			why = err
		}
		if !errors.Is(err, ErrUnknownName) {
			break
		}
	}
	if why == nil {
		why = registryFailure("lookup", &nowhere)
	}
	return nil, why
}

// registryPatience bounds the wait for the registry's answer.
const registryPatience = 30 * time.Second

func (o *nameOrigin) lookUp(c *Connection) error {
	if err := bootstrap.CheckName(c.name); err != nil {
		return failedAt("lookup", bootstrap.UnknownService, err.Error())
	}
	ctx, cancel := context.WithTimeout(context.Background(), registryPatience)
	defer cancel()
	if o.known(c) != nil {
		return nil // another connection has asked, and we are told when the name goes
	}
	_, err := o.find(ctx, c)
	return err
}

func (o *nameOrigin) knows(c *Connection) bool { return o.known(c) != nil }

func (o *nameOrigin) dialNow(c *Connection, opts transport.Options) *transport.Conn {
	if ep := o.known(c); ep != nil {
		return ep.dialNow(opts)
	}
	return nil
}

// known is what an earlier look-up of this process found, nil if there was none.
func (o *nameOrigin) known(c *Connection) *Endpoint {
	for _, r := range o.registries {
		if ep := r.known(c.name, c); ep != nil {
			return ep
		}
	}
	return nil
}

// dial asks the registry again when nobody listens at the endpoint it gave: the
// service may have got a new socket meanwhile.
func (o *nameOrigin) dial(c *Connection, opts transport.Options) (*transport.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), registryPatience)
	defer cancel()
	if ep := o.known(c); ep != nil {
		conn, err := ep.dial(opts)
		if err == nil || !errors.Is(err, transport.ErrRefused) {
			return conn, err
		}
	}
	ep, err := o.find(ctx, c)
	if err != nil {
		return nil, err
	}
	return ep.dial(opts)
}

func (o *nameOrigin) gone(err error) bool { return errors.Is(err, ErrUnknownName) }

func (o *nameOrigin) leave(c *Connection) {
	for _, r := range o.registries {
		r.leave(c.name, c)
	}
}

// checkedIn is a listening socket that the registry hands to the one who may serve the name.
type checkedIn struct {
	name string
	held bool
	home *listener // gets another socket when the registry has lost this one
}

func newCheckedIn(name string, q *Queue) *Connection {
	s := &checkedIn{name: name}
	c := newListener(name, s, q)
	s.home = c.listening
	return c
}

func (s *checkedIn) open() (int, *Endpoint, error) {
	if err := bootstrap.CheckName(s.name); err != nil {
		return -1, nil, failedAt(checkingIn, bootstrap.NotPrivileged, err.Error())
	}
	fd, ep, err := registry.checkIn(s)
	s.held = err == nil
	return fd, ep, err
}

func (s *checkedIn) endpoint() *Endpoint {
	ctx, cancel := context.WithTimeout(context.Background(), registryPatience)
	defer cancel()
	return registry.endpointOf(ctx, s.name)
}

func (s *checkedIn) close() {
	if s.held {
		registry.checkOut(s)
	}
}

func (s *checkedIn) owned() bool { return false }
