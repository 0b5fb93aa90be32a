package xpc

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/xpc/bootstrap"
	"github.com/openxpc/openxpc/xpc/internal/lifecycle"
)

// registry is this process's conversation with its own registry, systemRegistry
// the one with the machine's (R211, R212). A connection is made when a name is
// looked up or checked in, and ends with the last one that needs it; a launched
// job keeps the one it inherited, because holding it is what makes it the job. When
// the registry was restarted, what was asked of it is asked again (repeat).
var (
	registry       = newRegistryClient(registryOrigin{paths: nearestPath}, true)
	systemRegistry = newRegistryClient(registryOrigin{paths: systemPaths, roots: true}, false)
)

func nearestPath() []string { return bootstrap.Paths()[:1] }

func systemPaths() []string { return []string{bootstrap.SystemPath()} }

func newRegistryClient(o registryOrigin, inherits bool) *registryClient {
	return &registryClient{origin: o, inherits: inherits, names: map[string]*registryName{}, served: map[*checkedIn]struct{}{}}
}

type registryClient struct {
	origin   registryOrigin
	inherits bool          // the socket that a launched job inherits leads here
	services func() string // folder of the program's own services, the only ones looked for; nil for all others

	mu        sync.Mutex // guards the rest; never held while the registry is asked
	conn      *Connection
	inherited bool
	lasting   bool // kept though nothing needs it
	obeys     bool // the inherited socket's job ends by its transactions
	listener  inheritedListener
	orphaned  bool // the inherited socket led to a registry that is gone for good
	uses      int  // look-ups and check-ins under way
	losses    int  // of a registry
	names     map[string]*registryName
	served    map[*checkedIn]struct{}
	pause     time.Duration // before the next attempt to find a registry
}

// How long it takes to try again when no registry answers, the first time and at most.
const (
	leastPause = 10 * time.Millisecond
	mostPause  = 2 * time.Second
)

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
	r.inherited = false
	if r.inherits {
		if j := inheritedSocket(); j != nil {
			o, r.inherited = j, true
			r.obeys = os.Getenv(bootstrap.EnvTransactions) == "1"
			os.Unsetenv(bootstrap.EnvTransactions)
			r.listener = takeListener()
		}
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
	if r.uses == 0 && len(r.names) == 0 && len(r.served) == 0 && r.conn != nil && !r.inherited && !r.lasting {
		// Cancel takes no lock of ours: the handler runs on the connection's queue.
		r.conn.Cancel()
		r.conn = nil
	}
}

// inheritedSocket takes over the socket that a launched job inherits, once; nil if
// there is none.
func inheritedSocket() *jobOrigin {
	socket, back := os.Getenv(bootstrap.EnvBootstrapFD), os.Getenv(bootstrap.EnvBootstrapReturn)
	os.Unsetenv(bootstrap.EnvBootstrapFD) // the numbers mean nothing to this process's children
	os.Unsetenv(bootstrap.EnvBootstrapReturn)
	fd := inheritedFD(socket)
	if fd < 0 {
		return nil
	}
	o := &jobOrigin{fd: fd}
	if strings.HasPrefix(back, "/") {
		o.back = NewEndpointFromFD(-1, back)
	} else if fd := inheritedFD(back); fd >= 0 {
		o.back = NewEndpointFromFD(fd, "")
	}
	return o
}

// inheritedListener is the socket of the one name that a launched job serves; fd is 0 if
// there is none.
type inheritedListener struct {
	name string
	fd   int
}

// takeListener takes over the one that this process was started with. A wrapper's
// child, which has the same environment, asks the registry: only one of them may have it.
func takeListener() inheritedListener {
	number, parent, _ := strings.Cut(os.Getenv(bootstrap.EnvListener), ":")
	os.Unsetenv(bootstrap.EnvListener)
	if parent != strconv.Itoa(os.Getppid()) {
		return inheritedListener{}
	}
	fd := inheritedFD(number)
	if listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || listens == 0 {
		return inheritedListener{}
	}
	return inheritedListener{os.Getenv(bootstrap.EnvServiceName), fd}
}

// inheritedFD is the descriptor with a number from the environment, or -1.
func inheritedFD(text string) int {
	fd, err := strconv.Atoi(text)
	if err != nil || fd < 3 {
		return -1
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
		return -1
	}
	unix.CloseOnExec(fd)
	return fd
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

// lost: the registry has ended. Names stay known, and their sockets may answer. If a
// new registry is there already, it is asked again; if none is, it is looked for.
func (r *registryClient) lost(conn *Connection, e *Error) {
	r.mu.Lock()
	r.losses++
	had := r.granted() // at once: what is answered from here on is repeated by who was answered
	r.mu.Unlock()
	switch e {
	case ErrConnectionInterrupted:
		r.repeat(conn, had)
		return
	case ErrConnectionInvalid:
	default:
		return
	}
	r.mu.Lock()
	if r.conn == conn {
		r.conn = nil
		r.orphaned = r.orphaned || r.inherited
		if len(r.names)+len(r.served) > 0 {
			r.pause = min(max(2*r.pause, leastPause), mostPause)
			time.AfterFunc(r.pause, r.find)
		}
	}
	obeyed := r.obeys
	r.mu.Unlock()
	if obeyed {
		conn.process.abandoned()
	}
}

// find looks for a registry in place of one that is gone. If it fails, lost is next.
func (r *registryClient) find() {
	r.mu.Lock()
	if r.conn != nil || len(r.names)+len(r.served) == 0 {
		r.mu.Unlock()
		return
	}
	r.connect()
	conn, had := r.conn, r.granted()
	r.mu.Unlock()
	r.repeat(conn, had)
}

// noted is called, with r.mu held, when what was asked for after so many losses has been
// given and noted. The repeat after a loss since then may not have known of it.
func (r *registryClient) noted(losses int) {
	switch {
	case r.losses == losses:
	case r.conn == nil:
		time.AfterFunc(leastPause, r.find)
	default:
		go r.repeat(r.conn, r.granted()) // ends with the registry's answers
	}
}

func (r *registryClient) lossesSoFar() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.losses
}

// grants are what a registry had granted when it was lost, for the losses-th time.
type grants struct {
	names  []string
	served []*checkedIn
	losses int
}

// granted is called with r.mu held.
func (r *registryClient) granted() grants {
	had := grants{names: slices.Collect(maps.Keys(r.names)), losses: r.losses}
	if !r.orphaned { // else what is served is another process's now
		had.served = slices.Collect(maps.Keys(r.served))
	}
	return had
}

// repeat asks the registry at conn's other end for all that an earlier one had
// granted. It waits as long as that end is there; who loses it repeats anew. What is
// asked twice comes to the same.
func (r *registryClient) repeat(conn *Connection, had grants) {
	for _, s := range had.served {
		if r.serveAgain(conn, s) != nil {
			return
		}
	}
	r.lookUpAgain(conn, had.names, had.losses, leastPause)
}

// mostLate bounds the pauses before a name is asked for again that a restarted registry
// does not know: who serves it may not have told it yet. They come to about a second.
const mostLate = 64 * leastPause

// lookUpAgain asks for the names, and again after a pause for those that are not there,
// until the registry is lost, as that repeats everything.
func (r *registryClient) lookUpAgain(conn *Connection, names []string, losses int, pause time.Duration) {
	var missing []string
	for _, name := range names {
		there, err := r.foundAgain(conn, name, pause > mostLate)
		if err != nil {
			return
		}
		if !there {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		time.AfterFunc(pause, func() {
			if r.lossesSoFar() == losses { // else another registry has been asked since, which has its own second
				r.lookUpAgain(conn, missing, losses, 2*pause)
			}
		})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pause = 0
	r.closeIfIdle()
}

// foundAgain asks for one name. Who wanted it before the registry was asked for the last
// time, or is not allowed to have it, hears of its end; who has come since waits for the
// next answer. It fails only if the registry does not answer.
func (r *registryClient) foundAgain(conn *Connection, name string, last bool) (bool, error) {
	r.mu.Lock()
	var users map[*Connection]struct{}
	if n := r.names[name]; n != nil {
		users = maps.Clone(n.users)
	}
	r.mu.Unlock()
	if len(users) == 0 {
		return true, nil // nobody wants it any more
	}
	answer, err := r.request(context.Background(), conn, bootstrap.OpLookUp, name, false)
	if err != nil {
		return false, err
	}
	if err := refusal("lookup", answer); err != nil {
		if !last && errors.Is(err, ErrUnknownName) {
			return false, nil
		}
		return !r.goneFor(users, name, err.Error()), nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	ep, _ := answer.Get(bootstrap.KeyEndpoint).(*Endpoint)
	if n := r.names[name]; n != nil && ep != nil {
		n.endpoint = ep
	}
	return true, nil
}

// serveAgain fails only if the registry does not answer. A listener whose name is
// another's by now has come to its end.
func (r *registryClient) serveAgain(conn *Connection, s *checkedIn) error {
	answer, err := r.request(context.Background(), conn, bootstrap.OpCheckIn, s.name, true)
	if err != nil {
		return err
	}
	fd, ep, err := granted(answer)
	if err == nil {
		err = s.home.renew(fd, ep)
	}
	if err != nil {
		s.home.conn.originGone(err)
	}
	return nil
}

// terminate ends this process because its registry asks for it (R184, R186).
func (r *registryClient) terminate(conn *Connection, m *Dictionary) {
	if !r.isJob() {
		return
	}
	end := conn.process.terminate
	if m.GetBool(bootstrap.KeyOnlyIdle) {
		end = conn.process.retire
	}
	idle := end()
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

// gone: the registry says that a name is not there any more.
func (r *registryClient) gone(name, reason string) {
	r.mu.Lock()
	var users map[*Connection]struct{}
	if n := r.names[name]; n != nil {
		users = maps.Clone(n.users)
	}
	r.mu.Unlock()
	r.goneFor(users, name, reason)
}

// goneFor tells users of a name of its end. It reports whether there are others.
func (r *registryClient) goneFor(users map[*Connection]struct{}, name, reason string) (others bool) {
	r.mu.Lock()
	if n := r.names[name]; n != nil {
		maps.DeleteFunc(n.users, func(c *Connection, _ struct{}) bool {
			_, told := users[c]
			return told
		})
		if others = len(n.users) > 0; !others {
			delete(r.names, name)
		}
	}
	r.closeIfIdle()
	r.mu.Unlock()
	why := &because{ErrUnknownName, fmt.Sprintf("the name %s is gone: %s", name, reason)}
	for c := range users {
		c.originGone(why)
	}
	return others
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
	losses := r.lossesSoFar()
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
	r.lasting = r.services != nil
	n := r.names[name]
	if n == nil {
		n = &registryName{users: map[*Connection]struct{}{}}
		r.names[name] = n
	}
	n.endpoint = ep
	n.users[c] = struct{}{}
	r.noted(losses)
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

// checkIn gets the name's listening socket, the caller's to close. A process that was
// born with it does not wait for the registry, and is not told the endpoint.
func (r *registryClient) checkIn(s *checkedIn) (int, *Endpoint, error) {
	conn := r.use()
	defer r.done()
	if r.isJob() {
		theProcess.catchSIGTERM()
	}
	if fd := r.inheritedFor(s); fd > 0 {
		// Nothing speaks against it: it is this process's name. If the registry is lost
		// before it has read this, repeat says it again.
		m := requestFor(bootstrap.OpCheckIn, s.name)
		m.SetBool(bootstrap.KeyHeld, true)
		conn.SendMessage(m)
		return fd, nil, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), registryPatience)
	defer cancel()
	losses := r.lossesSoFar()
	answer, err := r.ask(ctx, checkingIn, bootstrap.OpCheckIn, s.name)
	defer r.done()
	if err != nil {
		return -1, nil, err
	}
	fd, ep, err := granted(answer)
	if err != nil {
		return -1, nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.served[s] = struct{}{}
	r.noted(losses)
	return fd, ep, nil
}

// inheritedFor is the socket that this process was born with, once, if it is s's; else 0.
func (r *registryClient) inheritedFor(s *checkedIn) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	fd := r.listener.fd
	if fd == 0 || r.listener.name != s.name {
		return 0
	}
	r.listener.fd = 0
	r.served[s] = struct{}{}
	return fd
}

// checkingIn is the stage of a listener that gets its socket.
const checkingIn = "listener activation"

// endpointOf asks for the endpoint of a name that this process serves.
func (r *registryClient) endpointOf(ctx context.Context, name string) *Endpoint {
	answer, err := r.ask(ctx, checkingIn, bootstrap.OpLookUp, name)
	defer r.done()
	if err != nil {
		return nil
	}
	ep, _ := answer.Get(bootstrap.KeyEndpoint).(*Endpoint)
	return ep
}

// granted takes the socket out of the answer to a check-in.
func granted(answer *Dictionary) (int, *Endpoint, error) {
	if err := refusal(checkingIn, answer); err != nil {
		return -1, nil, err
	}
	fd := answer.DupFD(bootstrap.KeyListener)
	if fd < 0 {
		return -1, nil, failedAt(checkingIn, bootstrap.BadRequest, "the registry's answer has no socket")
	}
	answer.in.giveUp()
	ep, _ := answer.Get(bootstrap.KeyEndpoint).(*Endpoint)
	return fd, ep, nil
}

func (r *registryClient) checkOut(s *checkedIn) {
	r.mu.Lock()
	conn := r.conn
	delete(r.served, s)
	r.mu.Unlock()
	if conn == nil {
		return
	}
	conn.SendMessage(requestFor(bootstrap.OpCheckOut, s.name))
	conn.SendBarrier(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.closeIfIdle()
	})
}

// ask makes one request, again if the registry was restarted meanwhile: what is asked
// comes to the same when it is asked twice. The caller calls done afterwards, also
// after an error.
func (r *registryClient) ask(ctx context.Context, stage, op, name string) (*Dictionary, error) {
	for {
		answer, err := r.request(ctx, r.use(), op, name, false)
		switch {
		case errors.Is(err, ErrConnectionInterrupted) && ctx.Err() == nil:
			r.done()
		case err != nil:
			return nil, registryFailure(stage, err)
		default:
			return answer, refusal(stage, answer)
		}
	}
}

func (r *registryClient) request(ctx context.Context, conn *Connection, op, name string, again bool) (*Dictionary, error) {
	m := requestFor(op, name)
	if again {
		m.SetBool(bootstrap.KeyAgain, true)
	}
	if r.services != nil {
		m.SetString(bootstrap.KeyServices, r.services())
	}
	return conn.SendMessageWithReplySync(ctx, m)
}

func requestFor(op, name string) *Dictionary {
	m := NewDictionary()
	m.SetString(bootstrap.KeyOp, op)
	m.SetString(bootstrap.KeyName, name)
	return m
}

// refusal is why the registry says no, or nil.
func refusal(stage string, answer *Dictionary) error {
	if code := answer.GetInt64(bootstrap.KeyError); code != 0 {
		return failedAt(stage, bootstrap.Code(code), answer.GetString(bootstrap.KeyReason))
	}
	return nil
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
