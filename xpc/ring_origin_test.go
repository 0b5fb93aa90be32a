package xpc

import (
	"errors"
	"sync"
	"testing"

	"github.com/openxpc/openxpc/transport"
)

// from says where the connection under test comes from.
type from string

const (
	fromName     from = "named"
	fromEndpoint from = "endpoint"
	fromListener from = "accepted"
)

var everywhere = []from{fromName, fromEndpoint, fromListener}

// ringOrigin is an origin in memory: what it dials is a scripted peer. A gate
// holds the answer back until it is opened.
type ringOrigin struct {
	r *ring

	mu       sync.Mutex // guards the rest
	lookErr  error      // what look-ups answer
	dialErr  error      // what dials answer
	lookGate *gate
	dialGate *gate
	hostile  bool // accepts and closes
	looks    int
	dials    int
	using    bool // a look-up or a dial came after the last leave: the registry would keep the connection
}

var (
	errUnknown = &because{ErrUnknownName, "no such name (ring)"}
	errNoRoom  = errors.New("no descriptor is left (ring)")
)

func (o *ringOrigin) lookUp(*Connection) error {
	o.mu.Lock()
	o.looks++
	g := o.lookGate
	o.mu.Unlock()
	g.pass()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.using = true // as the registry's client: registered when the answer comes
	return o.lookErr
}

func (o *ringOrigin) dial(c *Connection, opts transport.Options) (*transport.Conn, error) {
	o.mu.Lock()
	o.dials++
	g := o.dialGate
	o.mu.Unlock()
	g.pass()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.using = true
	if o.dialErr != nil {
		return nil, o.dialErr
	}
	mine, theirs := transport.Pipe(opts, transport.Options{})
	if o.hostile {
		theirs.Close()
		return mine, nil
	}
	o.r.meet(theirs)
	return mine, nil
}

func (o *ringOrigin) gone(err error) bool {
	return errors.Is(err, transport.ErrRefused) || errors.Is(err, ErrUnknownName)
}

func (o *ringOrigin) leave(*Connection) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.using = false
}

// lookUps makes look-ups fail with err; nil lets them succeed.
func (o *ringOrigin) lookUps(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lookErr = err
}

// answers makes dials fail with err; nil lets them succeed.
func (o *ringOrigin) answers(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.dialErr = err
}

// closeAtOnce has the listener close every socket as soon as it accepted it.
func (o *ringOrigin) closeAtOnce() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.hostile = true
}

// slowLookUp and slowDial hold what begins from now on, until letGo.
func (o *ringOrigin) slowLookUp() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lookGate = newGate()
}

func (o *ringOrigin) slowDial() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.dialGate = newGate()
}

func (o *ringOrigin) letGo() {
	o.mu.Lock()
	a, b := o.lookGate, o.dialGate
	o.lookGate, o.dialGate = nil, nil
	o.mu.Unlock()
	a.open()
	b.open()
}

func (o *ringOrigin) count() (looks, dials int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.looks, o.dials
}

// gate holds who passes until it is open. A nil gate is open.
type gate struct {
	once   sync.Once
	opened chan struct{}
}

func newGate() *gate { return &gate{opened: make(chan struct{})} }

func (g *gate) pass() {
	if g != nil {
		<-g.opened
	}
}

func (g *gate) open() {
	if g != nil {
		g.once.Do(func() { close(g.opened) })
	}
}

// record is what was seen of one kind, in order.
type record struct {
	mu    sync.Mutex // guards the rest
	fresh []string
	all   []string
}

func (l *record) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fresh = append(l.fresh, line)
	l.all = append(l.all, line)
}

// take returns what was added since the last take.
func (l *record) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	fresh := l.fresh
	l.fresh = nil
	return fresh
}

func (l *record) history() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.all...)
}

// misuseOf runs f and returns the text of the misuse that it was stopped for.
func misuseOf(f func()) (text string) {
	defer func() {
		if v := recover(); v != nil {
			text, _ = v.(string)
		}
	}()
	f()
	return ""
}

// each runs f in a bubble for each origin.
func each(t *testing.T, f func(*testing.T, *ring)) {
	for _, k := range everywhere {
		bubble(t, k, f)
	}
}
