package xpc

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/xpc/bootstrap"
	"github.com/openxpc/openxpc/xpc/internal/lifecycle"
)

// registry is this process's conversation with its own registry, systemRegistry
// the one with the machine's (R211, R212). A connection is made when a name is
// looked up or checked in, and ends with the last one that needs it; a launched
// job keeps the one it inherited, because holding it is what makes it the job.
var (
	registry       = newRegistryClient(registryOrigin{paths: nearestPath}, true)
	systemRegistry = newRegistryClient(registryOrigin{paths: systemPaths, roots: true}, false)
)

func nearestPath() []string { return bootstrap.Paths()[:1] }

func systemPaths() []string { return []string{bootstrap.SystemPath()} }

func newRegistryClient(o registryOrigin, inherits bool) *registryClient {
	return &registryClient{origin: o, inherits: inherits, names: map[string]*registryName{}, served: map[string]int{}}
}

type registryClient struct {
	origin   registryOrigin
	inherits bool // the socket that a launched job inherits leads here

	mu        sync.Mutex // guards the rest; never held while the registry is asked
	conn      *Connection
	inherited bool
	obeys     bool // the inherited socket's job ends by its transactions
	uses      int  // look-ups and check-ins under way
	names     map[string]*registryName
	served    map[string]int
}

// registryName is what is known of a looked-up name, and who wants to hear of its end.
type registryName struct {
	endpoint *Endpoint
	users    map[*Connection]struct{}
}

// use returns the connection to the registry, made if need be, and keeps it until done.
func (r *registryClient) use() *Connection {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.uses++
	if r.conn == nil || r.conn.invalidBecause() != nil { // perhaps its last event is not delivered yet
		r.connect()
	}
	return r.conn
}

func (r *registryClient) connect() {
	var o origin = r.origin
	fd := -1
	if r.inherits {
		fd, r.inherited = inheritedSocket()
	}
	if r.inherited {
		o = &socketOrigin{fd}
		r.obeys = os.Getenv(bootstrap.EnvTransactions) == "1"
		os.Unsetenv(bootstrap.EnvTransactions)
	}
	r.conn = newConnection(lifecycle.Endpoint, "", o, NewQueue("registry"))
	conn := r.conn
	conn.SetEventHandler(func(o Object) { r.event(conn, o) })
	conn.Activate()
}

// done gives up a use; the last one closes the connection, unless it is a job's.
func (r *registryClient) done() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.uses--
	r.closeIfIdle()
}

func (r *registryClient) closeIfIdle() {
	if r.uses == 0 && len(r.names) == 0 && len(r.served) == 0 && r.conn != nil && !r.inherited {
		// Cancel takes no lock of ours: the handler runs on the connection's queue.
		r.conn.Cancel()
		r.conn = nil
	}
}

// inheritedSocket takes over the socket that a launched job inherits, once.
func inheritedSocket() (int, bool) {
	text := os.Getenv(bootstrap.EnvBootstrapFD)
	if text == "" {
		return -1, false
	}
	os.Unsetenv(bootstrap.EnvBootstrapFD) // the number means nothing to this process's children
	fd, err := strconv.Atoi(text)
	if err != nil || fd < 3 {
		return -1, false
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
		return -1, false
	}
	unix.CloseOnExec(fd)
	return fd, true
}

func (r *registryClient) event(conn *Connection, o Object) {
	switch o := o.(type) {
	case *Dictionary:
		switch o.GetString(bootstrap.KeyOp) {
		case bootstrap.OpGone:
			r.gone(o.GetString(bootstrap.KeyName), o.GetString(bootstrap.KeyReason))
		case bootstrap.OpTerminate:
			r.terminate(conn, o)
		}
	case *Error:
		r.lost(conn, o)
	}
}

// lost: the registry is down. Names stay known as long as their sockets answer;
// the next look-up makes a new connection.
func (r *registryClient) lost(conn *Connection, e *Error) {
	r.mu.Lock()
	if r.conn == conn && e == ErrConnectionInvalid {
		r.conn = nil
	}
	obeyed := r.obeys
	r.mu.Unlock()
	if obeyed {
		conn.process.abandoned()
	}
}

// terminate ends this process because its registry asks for it (R184, R186).
func (r *registryClient) terminate(conn *Connection, m *Dictionary) {
	if !r.isJob() {
		return
	}
	idle := conn.process.terminate()
	if reply := m.CreateReply(); reply != nil {
		reply.SetBool(bootstrap.KeyIdle, idle)
		conn.SendMessage(reply)
	}
}

// isJob: what ends this process is its transactions, and the registry may ask.
func (r *registryClient) isJob() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.obeys
}

func (r *registryClient) gone(name, reason string) {
	r.mu.Lock()
	n := r.names[name]
	delete(r.names, name)
	r.closeIfIdle()
	r.mu.Unlock()
	if n == nil {
		return
	}
	why := &because{ErrUnknownName, fmt.Sprintf("the name %s is gone: %s", name, reason)}
	for c := range n.users {
		c.originGone(why)
	}
}

// originGone tells a connection that its name was unloaded (R123). A socket that
// is open lives on until its other end closes it.
func (c *Connection) originGone(why error) {
	c.mu.Lock()
	c.rarely().unloaded = why
	if s := c.m.State(); s != lifecycle.Invalid && s != lifecycle.Open {
		c.rarely().cause = why
	}
	c.step(lifecycle.Event{Op: lifecycle.Gone})
	c.unlock()
}

// known is the endpoint that an earlier look-up gave, nil if there is none.
func (r *registryClient) known(name string, c *Connection) *Endpoint {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.names[name]
	if n == nil {
		return nil
	}
	n.users[c] = struct{}{}
	return n.endpoint
}

// lookUp asks for a name on behalf of c, which is told when the name goes.
func (r *registryClient) lookUp(ctx context.Context, name string, c *Connection) (*Endpoint, error) {
	answer, err := r.ask(ctx, "lookup", bootstrap.OpLookUp, name)
	defer r.done()
	if err != nil {
		return nil, err
	}
	ep, _ := answer.Get(bootstrap.KeyEndpoint).(*Endpoint)
	if ep == nil {
		return nil, failedAt("lookup", bootstrap.BadRequest, "the registry's answer has no endpoint")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.names[name]
	if n == nil {
		n = &registryName{users: map[*Connection]struct{}{}}
		r.names[name] = n
	}
	n.endpoint = ep
	n.users[c] = struct{}{}
	return ep, nil
}

func (r *registryClient) leave(name string, c *Connection) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.names[name]
	if n == nil {
		return
	}
	delete(n.users, c)
	if len(n.users) == 0 {
		delete(r.names, name)
		r.closeIfIdle()
	}
}

// checkIn asks for the name's listening socket, the caller's to close.
func (r *registryClient) checkIn(ctx context.Context, name string) (int, *Endpoint, error) {
	r.use()
	defer r.done()
	if r.isJob() {
		theProcess.catchSIGTERM()
	}
	answer, err := r.ask(ctx, "listener activation", bootstrap.OpCheckIn, name)
	defer r.done()
	if err != nil {
		return -1, nil, err
	}
	fd := answer.DupFD(bootstrap.KeyListener)
	if fd < 0 {
		return -1, nil, failedAt("listener activation", bootstrap.BadRequest, "the registry's answer has no socket")
	}
	answer.in.giveUp()
	ep, _ := answer.Get(bootstrap.KeyEndpoint).(*Endpoint)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.served[name]++
	return fd, ep, nil
}

func (r *registryClient) checkOut(name string) {
	r.mu.Lock()
	conn := r.conn
	if r.served[name]--; r.served[name] <= 0 {
		delete(r.served, name)
	}
	r.mu.Unlock()
	if conn == nil {
		return
	}
	m := NewDictionary()
	m.SetString(bootstrap.KeyOp, bootstrap.OpCheckOut)
	m.SetString(bootstrap.KeyName, name)
	conn.SendMessage(m)
	conn.SendBarrier(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.closeIfIdle()
	})
}

// ask makes one request; the caller calls done afterwards, also after an error.
func (r *registryClient) ask(ctx context.Context, stage, op, name string) (*Dictionary, error) {
	conn := r.use()
	m := NewDictionary()
	m.SetString(bootstrap.KeyOp, op)
	m.SetString(bootstrap.KeyName, name)
	answer, err := conn.SendMessageWithReplySync(ctx, m)
	if err != nil {
		return nil, registryFailure(stage, err)
	}
	if code := answer.GetInt64(bootstrap.KeyError); code != 0 {
		return nil, failedAt(stage, bootstrap.Code(code), answer.GetString(bootstrap.KeyReason))
	}
	return answer, nil
}

func registryFailure(stage string, err error) error {
	if ce, ok := err.(*ConnectionError); ok && ce.Cause != nil {
		err = ce.Cause
	}
	return fmt.Errorf("Connection init failed at %s: %w", stage, err)
}

// failedAt is a reason in the shape that macOS gives it (R92): stage, error number, text.
func failedAt(stage string, code bootstrap.Code, reason string) error {
	kind, errno := ErrNotPermitted, unix.EPERM
	switch code {
	case bootstrap.UnknownService:
		kind, errno = ErrUnknownName, unix.ESRCH
	case bootstrap.ServiceActive, bootstrap.NameInUse:
		kind, errno = ErrNameActive, unix.EBUSY
	case bootstrap.BadRequest:
		errno = unix.EINVAL
	case bootstrap.OverQuota:
		errno = unix.EAGAIN
	}
	text := fmt.Sprintf("Connection init failed at %s with error %d - %s", stage, int(errno), errnoText[errno])
	if reason != "" {
		text += " (" + reason + ")"
	}
	return &because{kind, text}
}

var errnoText = map[unix.Errno]string{
	unix.EPERM:  "Operation not permitted",
	unix.ESRCH:  "No such process",
	unix.EBUSY:  "Resource busy",
	unix.EINVAL: "Invalid argument",
	unix.EAGAIN: "Resource temporarily unavailable",
}
