package xpc

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/credentials"
	"github.com/openxpc/openxpc/credentials/requirement"
	"github.com/openxpc/openxpc/transport"
)

// holdSelf holds on to this process, as far as the system can.
func holdSelf(t testing.TB) (hold, uint64) {
	t.Helper()
	fd, err := credentials.ProcessPidfd(os.Getpid())
	if err != nil {
		t.Skip(err)
	}
	defer os.NewFile(uintptr(fd), "process").Close()
	h, key := takeHold(fd), credentials.ProcessKey(fd)
	if !h.held() || key == 0 {
		h.close()
		t.Skip("this system cannot hold on to a process, or tell it from others")
	}
	return h, key
}

// What was found out of a process serves its other connections, together or one after the
// other, and is let go of when the last has ended and its time is over.
func TestAttestedProcesses(t *testing.T) {
	h, key := holdSelf(t)
	var table attestedProcesses
	var closed atomic.Int32
	ctx := t.Context()
	who := credentials.Credentials{PID: os.Getpid(), UID: 1, GID: 2}
	first := table.add(key, h)
	second := table.find(key) // while the first still asks
	if second != first {
		t.Fatal("a second connection is to wait for what the first finds out")
	}
	table.settle(key, first, &Attestation{Facts: &requirement.Facts{Code: &requirement.Code{}}, Close: func() { closed.Add(1) }}, nil)
	var all []*Attestation
	for _, p := range []*attestedProcess{first, second, table.find(key)} {
		a, err := table.attestation(ctx, p, who)
		if err != nil || a.Facts.Credentials != who {
			t.Fatalf("%+v, %v; want the connection's own credentials", a, err)
		}
		if err := a.check(); err != nil {
			t.Error(err)
		}
		all = append(all, a)
	}
	table.forget(key, first) // its time is over
	if p := table.find(key); p != nil {
		t.Error("what was found out counts after its time")
	}
	for n, a := range all {
		if closed.Load() != 0 {
			t.Errorf("let go of with %d of its connections left", len(all)-n)
		}
		a.close()
	}
	if closed.Load() != 1 {
		t.Errorf("let go of %d times, want once, after the last connection", closed.Load())
	}
}

// Of a process that is known nothing more is found out where its program must have written
// all that came. Everything else takes the long way: another look, or a challenge.
func TestRecall(t *testing.T) {
	h, key := holdSelf(t)
	if h.run == nil {
		h.close()
		t.Skip("this system cannot hold on to a program by its threads")
	}
	handle, err := credentials.ProcessPidfd(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	defer os.NewFile(uintptr(handle), "process").Close()
	a := &registryAttester{}
	p := Process{Credentials: credentials.Credentials{PID: os.Getpid(), UID: 1, GID: 2}, Handle: handle, after: time.Now().Add(time.Hour)}
	no := func(why string, p Process) {
		t.Helper()
		if att := a.recall(p); att != nil {
			t.Errorf("%s is recalled", why)
			att.close()
		}
	}
	no("a process that was never seen", p)
	one := a.processes.add(key, h)
	no("a process that is just asked about", p)
	a.processes.settle(key, one, &Attestation{Facts: &requirement.Facts{Code: &requirement.Code{}}}, nil)
	att := a.recall(p)
	if att == nil || att.Facts.Credentials != p.Credentials || !att.whole {
		t.Fatalf("%+v; want what is known, with the connection's own credentials", att)
	}
	att.close()
	for why, change := range map[string]func(*Process){
		"a socket of which it is not known since when it is connected":         func(p *Process) { p.after = time.Time{} },
		"a socket that another program may have written to before it was held": func(p *Process) { p.after = one.since.Add(-1) },
		"a process without a handle":                                           func(p *Process) { p.Handle = -1 },
	} {
		other := p
		change(&other)
		no(why, other)
	}
	if one.users != 2 {
		t.Errorf("it has %d users after all, want the table and the connection that asked", one.users)
	}
	a.processes.forget(key, one)
	no("a process whose time is over", p)
	a.processes.release(one)
}

// BenchmarkRecall is all that a requirement adds to a further connection of a process
// that is known, and its 99th percentile.
func BenchmarkRecall(b *testing.B) {
	h, key := holdSelf(b)
	if h.run == nil {
		h.close()
		b.Skip("this system cannot hold on to a program by its threads")
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	a := &registryAttester{}
	one := a.processes.add(key, h)
	one.att = &Attestation{Facts: &requirement.Facts{Code: &requirement.Code{}}}
	close(one.done)
	defer a.processes.release(one)
	defer a.processes.forget(key, one)
	took := make([]time.Duration, 0, b.N)
	for b.Loop() {
		began := time.Now()
		handle, err := credentials.PeerPidfd(fds[0])
		if err != nil {
			b.Fatal(err)
		}
		att := a.recall(Process{Credentials: credentials.Credentials{PID: os.Getpid()}, Handle: handle, after: began})
		unix.Close(handle)
		if att == nil || !att.holds() {
			b.Fatal("the process is not known")
		}
		took = append(took, time.Since(began))
		att.close()
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2]), "p50-ns")
	b.ReportMetric(float64(took[len(took)*99/100]), "p99-ns")
}

func TestAttestedProcessThatIsNot(t *testing.T) {
	var table attestedProcesses
	for name, settle := range map[string]func(uint64, *attestedProcess){
		"not found out": func(key uint64, p *attestedProcess) { table.settle(key, p, nil, errors.New("no registry")) },
		"not signed": func(key uint64, p *attestedProcess) {
			table.settle(key, p, &Attestation{Facts: &requirement.Facts{Why: "it is not signed"}}, nil)
		},
	} {
		h, key := holdSelf(t)
		p := table.add(key, h)
		settle(key, p)
		if again := table.find(key); again != nil {
			t.Errorf("%s: the next connection does not ask anew", name)
		}
		if a, err := table.attestation(t.Context(), p, credentials.Unknown()); err == nil {
			a.close()
		}
	}
	// One that executes something else is another program: here the hold is on nothing.
	h, key := holdSelf(t)
	h.close()
	p := table.add(key, hold{})
	if p.users != 1 || table.find(key) != nil {
		t.Error("a process that nobody holds on to is found")
	}
	h, key = holdSelf(t)
	p = table.add(key, h)
	p.hold.close()
	p.hold = hold{} // as if it had executed another program: nothing lasts
	if table.find(key) != nil {
		t.Error("a process that executed another program is found")
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("no patience"))
	if _, err := table.attestation(ctx, p, credentials.Unknown()); err == nil || err.Error() != "no patience" {
		t.Errorf("%v; want the context's cause: nobody has told what was found out", err)
	}
}

// early is an attester that holds on to the process at once and finds out later who it is.
type early struct {
	*attests
	known chan struct{}
}

func (a *early) Attest(ctx context.Context, p Process) (*Attestation, error) {
	p.held()
	<-a.known
	return a.attests.Attest(ctx, p)
}

// The challenge need not wait for the look: its answer may come before it is known who gave it.
func TestAnswerBeforeItIsKnownWhoGaveIt(t *testing.T) {
	for name, c := range map[string]struct {
		text   string
		wrong  bool // the answer is
		change bool // the program executes another meanwhile
		fit    bool
	}{
		"fit": {text: "always", fit: true}, "unfit": {text: "identifier other"},
		"a wrong answer": {text: "always", wrong: true}, "another program by then": {text: "always", change: true},
	} {
		for _, slow := range []bool{false, true} {
			g := newGuarded(t)
			a := &early{signedTool(), make(chan struct{})}
			a.slow = slow
			g.listener.SetAttester(a)
			setRequirement(t, g.listener, c.text)
			g.activate()
			r := g.dialRaw()
			hello, body := helloFrame(&defaultLimits), bodyOf(saying("hello"))
			r.send(frameHello, 0, 0, hello.Body)
			r.send(frameMessage, flagWantsReply, 1, body)
			nonce, _, err := parseChallenge(r.next(t, frameChallenge))
			if err != nil {
				t.Fatal(err)
			}
			if c.wrong {
				nonce[0]++
			}
			r.send(frameAnswer, 0, 0, challengeFrame(frameAnswer, nonce, size(hello)+uint64(transport.HeaderSize+len(body))).Body)
			r.send(frameMessage, flagWantsReply, 2, body) // after the answer, and before anything is known
			g.answeredIs(t)
			if g.seen.Load() != 0 || g.appeared.Load() != 0 {
				t.Errorf("%s: a message was handled, or a peer told of, before it is known whose", name)
			}
			if c.change {
				a.change()
			}
			close(a.known)
			kind := uint8(frameAbandoned)
			if c.fit {
				kind = frameReply
			}
			r.next(t, kind)
			r.next(t, kind)
			r.conn.Close()
		}
	}
}

// answeredIs returns when the answer of the listener's one peer has come.
func (g *guarded) answeredIs(t *testing.T) {
	t.Helper()
	g.onLink(t, func(p *Connection) bool {
		return p.link != nil && p.link.w != nil && p.link.w.replied && p.events.len() == 2
	})
}

// onLink returns when the listener has a peer for which done is true, which holds its lock.
func (g *guarded) onLink(t *testing.T, done func(p *Connection) bool) {
	t.Helper()
	one := func() bool {
		g.listener.listening.mu.Lock()
		defer g.listener.listening.mu.Unlock()
		for p := range g.listener.listening.peers {
			p.mu.Lock()
			is := done(p)
			p.mu.Unlock()
			if is {
				return true
			}
		}
		return false
	}
	for deadline := time.Now().Add(30 * time.Second); !one(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("what is waited for does not come")
		}
	}
}

// What lasts needs no check, however slow that is; what does not last is checked.
func TestWhatLastsNeedsNoCheck(t *testing.T) {
	g := newGuarded(t)
	a := &lasting{attests: signedTool()}
	a.slow = true
	g.listener.SetAttester(a)
	setRequirement(t, g.listener, "always")
	g.activate()
	a.lasts.Store(true)
	for range 3 {
		if err := g.call(); err != nil {
			t.Fatal(err)
		}
	}
	if n := a.checks.Load(); n != 0 {
		t.Errorf("%d checks of what lasts", n)
	}
	a.lasts.Store(false) // a thread has ended, say
	if err := g.call(); err != nil || a.checks.Load() == 0 {
		t.Errorf("%v after %d checks; want one check, which finds nothing wrong", err, a.checks.Load())
	}
	a.change()
	wantUnfit(t, g.call(), ErrUnfit.Error())
}

type lasting struct {
	*attests
	lasts atomic.Bool
}

func (a *lasting) Attest(ctx context.Context, p Process) (*Attestation, error) {
	att, err := a.attests.Attest(ctx, p)
	att.lasts = a.lasts.Load
	return att, err
}

// A process that was held on to when the socket was not connected yet has written all that
// came by itself, and is not challenged; of any other the beginning is not known.
func TestWhoWasHeldBeforeItConnectedIsNotChallenged(t *testing.T) {
	for name, c := range map[string]struct{ whole, lasts, mixed, challenged, fit bool }{
		"held before":            {whole: true, lasts: true, fit: true},
		"held since":             {lasts: true, challenged: true},
		"its thread has ended":   {whole: true, challenged: true},
		"another wrote as well ": {whole: true, lasts: true, mixed: true},
	} {
		g := newGuarded(t)
		a := &heldBefore{lasting: lasting{attests: signedTool()}, whole: c.whole, known: make(chan struct{})}
		a.lasts.Store(c.lasts)
		g.listener.SetAttester(a)
		setRequirement(t, g.listener, "always")
		g.activate()
		r := g.dialRaw()
		r.send(frameHello, 0, 0, helloFrame(&defaultLimits).Body)
		r.send(frameMessage, flagWantsReply, 1, bodyOf(saying("hello")))
		if c.mixed {
			g.onLink(t, func(p *Connection) bool {
				asked := p.link != nil && p.link.w != nil
				if asked {
					p.link.mixed.Store(true)
				}
				return asked
			})
		}
		close(a.known)
		switch {
		case c.challenged:
			r.next(t, frameChallenge)
		case c.fit:
			r.next(t, frameReply)
		default:
			r.next(t, frameAbandoned)
		}
		if got := g.seen.Load() == 1; got != c.fit {
			t.Errorf("%s: handled %d messages", name, g.seen.Load())
		}
		r.conn.Close()
	}
}

type heldBefore struct {
	lasting
	whole bool
	known chan struct{}
}

func (a *heldBefore) Attest(ctx context.Context, p Process) (*Attestation, error) {
	<-a.known
	att, err := a.lasting.Attest(ctx, p)
	att.whole = a.whole
	return att, err
}

func TestHeldBeforeItConnected(t *testing.T) {
	h, key := holdSelf(t)
	if h.run == nil {
		h.close()
		t.Skip("this system cannot tell an exec by a thread")
	}
	a := &registryAttester{} // which has no registry to ask
	p := a.processes.add(key, h)
	a.processes.settle(key, p, &Attestation{Facts: &requirement.Facts{Code: &requirement.Code{}}}, nil)
	defer a.processes.release(p)
	fd, err := credentials.ProcessPidfd(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	defer os.NewFile(uintptr(fd), "process").Close()
	for name, c := range map[string]struct {
		after time.Time
		whole bool
	}{
		"connected at any time": {}, "connected before perhaps": {after: p.since}, "connected after": {after: time.Now(), whole: true},
	} {
		held := false
		att, err := a.Attest(t.Context(), Process{Handle: fd, Credentials: credentials.Unknown(), held: func() { held = true }, after: c.after})
		if err != nil {
			t.Fatal(err)
		}
		if att.whole != c.whole || held == c.whole {
			t.Errorf("%s: whole %v, challenged %v", name, att.whole, held)
		}
		att.close()
	}
}
