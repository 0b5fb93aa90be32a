package xpc

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/openxpc/openxpc/credentials"
	"github.com/openxpc/openxpc/credentials/requirement"
	"github.com/openxpc/openxpc/xpc/bootstrap"
	"github.com/openxpc/openxpc/xpc/internal/lifecycle"
)

// Attester finds out which program a process is, for requirements that ask for more
// than user and group. Without one of its own (SetAttester) a connection asks the
// registry, which may look at every process. It may be used by any goroutines.
type Attester interface {
	// Attest is called once for every socket, on a goroutine that may block. The
	// error says in a sentence what is missing; then nothing but the credentials of p
	// is known.
	Attest(ctx context.Context, p Process) (*Attestation, error)
}

// Process is whom an Attester is asked about.
type Process struct {
	// Credentials are those of its connect or of its first frame.
	Credentials credentials.Credentials
	// Handle is a pidfd that stays the connection's; -1 where there is none.
	Handle int

	// held, if not nil, is told by an attester that it holds on to the process: then that can be challenged
	// while it is found out who it is.
	held func()
	// after is when the socket was not connected yet, zero if that is not known.
	after time.Time
}

// Attestation is what an Attester found out. It is the connection's, which calls Close.
type Attestation struct {
	// Facts are not changed by anybody from here on.
	Facts *requirement.Facts
	// Check is nil while the process runs what Facts say; it is called for each read of
	// the socket that brought messages. A nil Check fails always.
	Check func() error
	// Slow says that Check takes longer than some microseconds. Then it is called
	// where the message is to be handled, and not by who reads the socket.
	Slow bool
	// Close, if not nil, is called once, when the socket has ended. It must not
	// block. A slow Check may be running then; another is not.
	Close func()

	// lasts, if not nil, comes before Check and is always quick: true is a Check that is
	// nil, and false says nothing.
	lasts func() bool
	// since the execution began that lasts, as far as is known, the socket was connected: so
	// it wrote all that the process wrote.
	whole bool

	mu     sync.RWMutex // guards closed, and keeps Close from lasts and a quick Check
	closed bool
}

// SetAttester has a be asked who the other side is, in place of the registry; nil
// means the registry. It is called before the connection is activated, else it is
// misuse. A listener gives its attester to its peers. It is an extension.
func (c *Connection) SetAttester(a Attester) {
	c.mu.Lock()
	s := c.m.State()
	late := s != lifecycle.Inactive && s != lifecycle.Invalid // its socket may have ended meanwhile
	if !late {
		c.rarely().attester = a
	}
	c.mu.Unlock()
	if late {
		misuse("an attester must be set before the connection is activated.")
	}
}

// registryAttester asks the registries in turn until one knows the code.
type registryAttester struct {
	registries []*registryClient
	processes  attestedProcesses
}

var theAttester = &registryAttester{registries: []*registryClient{registry, systemRegistry}}

func (a *registryAttester) Attest(ctx context.Context, p Process) (*Attestation, error) {
	key := credentials.ProcessKey(p.Handle)
	one := a.processes.find(key)
	mine := one == nil
	if mine {
		one = a.processes.add(key, takeHold(p.Handle))
	}
	whole := one.hold.run != nil && one.since.Before(p.after)
	if one.hold.held() && !whole && p.held != nil {
		p.held()
	}
	if mine {
		att, err := a.ask(ctx, p, one.hold.pin != nil)
		a.processes.settle(key, one, att, err)
	}
	att, err := a.processes.attestation(ctx, one, p.Credentials)
	if err == nil {
		att.whole = whole
	}
	return att, err
}

// recall is what Attest would say at once, without a challenge: of a process that is known
// and wrote all that came. nil: that is to be found out. It does not block.
func (a *registryAttester) recall(p Process) *Attestation {
	if p.after.IsZero() {
		return nil
	}
	one := a.processes.find(credentials.ProcessKey(p.Handle))
	switch {
	case one == nil:
		return nil
	case !one.known() || one.hold.run == nil || !one.since.Before(p.after):
		a.processes.release(one)
		return nil
	}
	att, err := a.processes.attestation(context.Background(), one, p.Credentials)
	if err != nil {
		return nil
	}
	att.whole = true
	return att
}

// ask asks the registries; pinned says that they need not hold on to the process.
func (a *registryAttester) ask(ctx context.Context, p Process, pinned bool) (*Attestation, error) {
	att, err := a.registries[0].attest(ctx, p, pinned)
	if len(bootstrap.Paths()) > 1 && (err != nil || att.Facts.Code == nil) {
		if other, err2 := a.registries[1].attest(ctx, p, pinned); err2 == nil && (err != nil || other.Facts.Code != nil) {
			att.close()
			att, err = other, nil
		} else if err2 == nil {
			other.close()
		}
	}
	return att, err
}

// hold is what this process can do itself to hold on to another: pin it if it may look into
// that, and see as long as a thread lives that it has executed nothing else. It may be nothing.
type hold struct {
	pin *credentials.Pin
	run *credentials.Execution // the pin's, if there is one
}

func takeHold(handle int) (h hold) {
	if handle < 0 {
		return h
	}
	var err error
	if h.pin, err = credentials.PinProcess(handle); err != nil {
		h.pin = nil
		h.run, _ = credentials.ExecutionOf(handle)
	} else {
		h.run = h.pin.Execution()
	}
	return h
}

func (h hold) held() bool { return h.pin != nil || h.run != nil }

func (h hold) lasts() bool { return h.run.Lasts() || h.pin != nil && h.pin.Check() == nil }

func (h hold) close() {
	switch {
	case h.pin != nil:
		h.pin.Close()
	case h.run != nil:
		h.run.Close()
	}
}

func (a *Attestation) close() {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.closed && a.Close != nil {
		a.Close()
	}
	a.closed = true
}

// attest asks this registry. The connection to it is kept as long as the registry
// holds on to the process for this one, which is not done where pinned says that it can itself.
func (r *registryClient) attest(ctx context.Context, p Process, pinned bool) (*Attestation, error) {
	conn := r.use()
	m := NewDictionary()
	m.SetString(bootstrap.KeyOp, bootstrap.OpAttest)
	m.SetInt64(bootstrap.KeyPID, int64(p.Credentials.PID))
	m.SetInt64(bootstrap.KeyUID, int64(p.Credentials.UID))
	m.SetInt64(bootstrap.KeyGID, int64(p.Credentials.GID))
	if p.Handle >= 0 {
		m.SetFD(bootstrap.KeyProcess, p.Handle)
	}
	if pinned {
		m.SetBool(bootstrap.KeyPinned, true)
	}
	answer, err := conn.SendMessageWithReplySync(ctx, m)
	if err == nil {
		err = refusalOf(answer)
	}
	var facts *requirement.Facts
	if err == nil {
		facts, err = DecodeFacts(answer.GetDictionary(bootstrap.KeyFacts))
	}
	if err != nil {
		r.done()
		return nil, attestFailure(err)
	}
	facts.Credentials = p.Credentials
	held, isHeld := answer.Get(bootstrap.KeyPin).(Uint64)
	if !isHeld {
		r.done()
		return &Attestation{Facts: facts}, nil
	}
	return &Attestation{
		Facts: facts,
		Check: func() error { return confirm(conn, bootstrap.OpConfirm, held) },
		Slow:  true,
		Close: func() {
			go func() { // Ends with the registry's answer, or the connection to it.
				confirm(conn, bootstrap.OpUnpin, held)
				r.done()
			}()
		},
	}, nil
}

func confirm(conn *Connection, op string, held Uint64) error {
	ctx, cancel := context.WithTimeout(context.Background(), attestPatience)
	defer cancel()
	m := NewDictionary()
	m.SetString(bootstrap.KeyOp, op)
	m.SetUint64(bootstrap.KeyPin, uint64(held))
	answer, err := conn.SendMessageWithReplySync(ctx, m)
	if err == nil {
		err = refusalOf(answer)
	}
	if err != nil {
		return attestFailure(err)
	}
	return nil
}

func refusalOf(answer *Dictionary) error {
	code := bootstrap.Code(answer.GetInt64(bootstrap.KeyError))
	if code == 0 {
		return nil
	}
	return fmt.Errorf("%v (%s)", code, answer.GetString(bootstrap.KeyReason))
}

func attestFailure(err error) error {
	var ce *ConnectionError
	if errors.As(err, &ce) && ce.Cause != nil {
		err = ce.Cause
	}
	return fmt.Errorf("the registry was asked who the process is: %w", err)
}
