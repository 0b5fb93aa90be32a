package xpc

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/credentials"
	"github.com/openxpc/openxpc/credentials/requirement"
	"github.com/openxpc/openxpc/transport"
	"github.com/openxpc/openxpc/xpc/internal/lifecycle"
)

// attestPatience is how long finding out who the other side is may take, and
// answerPatience how long that may take to answer the challenge.
const (
	attestPatience = 10 * time.Second
	answerPatience = 10 * time.Second
)

// guard is the requirement of a connection, which a listener's peers share.
type guard struct {
	need *PeerRequirement

	mu       sync.Mutex // guards the rest
	rejected uint64
	last     error
}

func (g *guard) reject(why error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.rejected++
	g.last = why
}

// witness is what is found out about who is at the other end of one socket: it
// holds on to the process, challenges it, identifies it meanwhile, and when the answer has come vouches for what
// it wrote before, too. The answer counts the bytes, so nobody can have slipped some
// in before this program ran; and the process has to be the one that wrote them all.
type witness struct {
	l     *link
	who   credentials.Credentials
	after time.Time     // the socket was connected after that; zero: it is not known
	done  chan struct{} // closed when it is settled

	// Guarded by c.mu.
	settled bool
	held    bool // a delivery waits for it
	nonce   []byte
	replied bool   // the answer has come
	wrong   string // what is wrong with it
	timer   *time.Timer
	facts   *requirement.Facts
	att     *Attestation
	unfit   error // with a guard: why its requirement is not met, nil if it is
}

// size is how many bytes of the stream a frame is. Frames would be the wrong thing to
// count: one that somebody else began could hold the next ones of this program as its body.
func size(f *transport.Frame) uint64 { return uint64(f.Size()) }

// speaks notes who wrote a frame; Receive alone calls it.
func (l *link) speaks(f *transport.Frame) {
	first := l.received == 0
	l.received += size(f)
	if !f.Follows {
		l.reads.Add(1)
	}
	switch pid := f.Sender.PID; {
	case first:
		sender := f.Sender
		l.writer, l.sender = pid, &sender
	case pid != l.writer:
		l.mixed.Store(true)
	}
}

// identify begins to find out who is at the other end, once; c.mu is held and the
// other side has said HELLO.
func (l *link) identify() *witness {
	if l.w != nil {
		return l.w
	}
	c := l.c
	l.w = &witness{l: l, who: l.other(), after: c.rare.after, done: make(chan struct{})}
	l.asked.Store(true)
	if g := c.rare.guard; g != nil && g.need.needs.CredentialsOnly() {
		l.w.settle(&requirement.Facts{Credentials: l.w.who}, nil)
		return l.w
	}
	c.after.rarely().ask = l.w
	return l.w
}

// begin finds out who it is: at once if that is known, which asks nobody but the kernel.
func (w *witness) begin() {
	c := w.l.c
	c.mu.Lock()
	a := c.rare.attester
	c.mu.Unlock()
	p := Process{Credentials: w.who, Handle: w.handle(), held: w.challenge, after: w.after}
	if a == nil {
		a = theAttester
		if att := theAttester.recall(p); att != nil {
			w.found(p, att, nil)
			return
		}
	}
	// Ends with the attester's answer, which has a time limit.
	go w.ask(a, p)
	runtime.Gosched() // it runs here, now: a reader that blocks at once would leave it to another thread
}

// ask finds out who it is and sends the challenge, if the attester tells that it holds on
// to the process before it knows who it is.
func (w *witness) ask(a Attester, p Process) {
	ctx, cancel := context.WithTimeout(context.Background(), attestPatience)
	defer cancel()
	att, err := a.Attest(ctx, p)
	w.found(p, att, err)
}

// found takes what the attester says of p, whose handle it closes.
func (w *witness) found(p Process, att *Attestation, err error) {
	label := w.label()
	if p.Handle >= 0 {
		unix.Close(p.Handle)
	}
	c := w.l.c
	c.mu.Lock()
	c.after.flush = w.l // HELLO, if that waited for the challenge
	switch {
	case w.settled:
		att.close()
	case err != nil:
		w.settle(&requirement.Facts{Credentials: w.who, Why: err.Error()}, nil)
	case att.Facts.Code == nil:
		w.settle(labelled(att.Facts, label), att)
	case !w.l.limits.answers:
		w.settle(w.unknown("the other side's library does not answer challenges"), att)
	default:
		att.Facts, w.att = labelled(att.Facts, label), att
		if now := w.l.reads.Load(); att.whole && !w.replied && att.holds() {
			// Nobody else can have written before: there is nothing to answer.
			w.replied = true
			if w.l.mixed.Load() || w.l.writer != w.who.PID {
				w.wrong = manyWriters
			}
			w.judge(att, now, nil)
			break
		}
		if w.replied {
			c.unlock()
			w.answered(att)
			return
		}
		w.challengeLocked()
	}
	c.unlock()
}

// challenge sends the challenge: somebody holds on to the process.
func (w *witness) challenge() {
	w.l.c.mu.Lock()
	w.challengeLocked()
	w.l.c.unlock()
}

func (w *witness) challengeLocked() {
	if w.settled || w.nonce != nil || !w.l.limits.answers {
		return
	}
	w.nonce = make([]byte, 16)
	rand.Read(w.nonce)
	w.timer = time.AfterFunc(answerPatience, w.late)
	w.l.append(challengeFrame(frameChallenge, w.nonce, 0))
	w.l.c.after.flush = w.l
}

// handle is a descriptor of the process, -1 where there is none.
func (w *witness) handle() int {
	fd := -1
	if w.l.dials || w.l.paired {
		if w.who.PID > 0 {
			fd, _ = credentials.ProcessPidfd(w.who.PID)
		}
		return fd
	}
	w.l.conn.Socket(func(s int) (err error) {
		fd, err = credentials.PeerPidfd(s)
		return err
	})
	return fd
}

// label is what the security module calls the other side, which only this end of the
// socket can ask.
func (w *witness) label() (label string) {
	if !w.l.dials && !w.l.paired {
		w.l.conn.Socket(func(s int) (err error) {
			label, err = credentials.SecurityLabel(s)
			return err
		})
	}
	return label
}

func labelled(f *requirement.Facts, label string) *requirement.Facts {
	if f.Label != "" || label == "" {
		return f
	}
	g := *f
	g.Label = label
	return &g
}

func (w *witness) unknown(why string) *requirement.Facts {
	return &requirement.Facts{Credentials: w.who, Why: why}
}

func (w *witness) late() {
	w.l.c.mu.Lock()
	w.settle(w.unknown(fmt.Sprintf("it did not answer the challenge within %v", answerPatience)), w.att)
	w.l.c.unlock()
}

// answer takes the other side's answer to the challenge.
func (l *link) answer(f *transport.Frame) {
	nonce, sent, err := parseChallenge(f)
	if err != nil {
		l.broken(err)
		return
	}
	c := l.c
	c.mu.Lock()
	w := l.w
	if w == nil || w.nonce == nil || w.settled {
		c.mu.Unlock()
		return
	}
	switch {
	case !bytes.Equal(nonce, w.nonce):
		w.wrong = "it answered another challenge"
	case sent != l.received-size(f):
		w.wrong = fmt.Sprintf("it wrote %d bytes, and %d came: somebody else wrote to the socket", sent, l.received-size(f))
	case l.mixed.Load() || l.writer != w.who.PID && tellsWriters:
		w.wrong = manyWriters
	}
	w.replied = true
	att := w.att
	c.mu.Unlock()
	switch {
	case att == nil: // it is not known yet who that is
	case att.Slow && !att.holds():
		go w.answered(att) // Ends with the attester's check.
	default:
		w.answered(att)
	}
}

// other is who is at the other end, as far as a requirement may believe it: a pair that
// this process made shows this process, and elsewhere than on Linux nobody is known to
// write to it. c.mu is held.
func (l *link) other() credentials.Credentials {
	p := l.c.peer
	if !tellsWriters && !l.dials && l.c.home == nil && (p.PID <= 0 || p.PID == ownPID) {
		return credentials.Unknown()
	}
	return p
}

const manyWriters = "more than one process wrote to the socket"

// tellsWriters: the kernel says of every frame who wrote it.
const tellsWriters = runtime.GOOS == "linux"

// answered judges the answer, when it is also known who gave it.
func (w *witness) answered(att *Attestation) {
	now := w.l.reads.Load()
	err := att.check()
	w.l.c.mu.Lock()
	defer w.l.c.unlock()
	w.judge(att, now, err)
}

// judge settles it; err is of a check that came after so many reads. c.mu is held.
func (w *witness) judge(att *Attestation, now uint64, err error) {
	switch {
	case w.wrong != "":
		w.settle(w.unknown(w.wrong), att)
	case err != nil:
		w.settle(w.unknown(err.Error()), att)
	default:
		w.l.vouched.Store(now)
		w.settle(att.Facts, att)
	}
}

// holds says that nothing has changed, if that can be said at once.
func (a *Attestation) holds() bool {
	if a.lasts == nil {
		return false
	}
	a.mu.RLock()
	defer a.mu.RUnlock()
	return !a.closed && a.lasts()
}

func (a *Attestation) check() error {
	switch {
	case a.holds():
		return nil
	case a.Check == nil:
		return errors.New("nobody holds on to the process")
	}
	if a.Slow {
		return a.Check()
	}
	a.mu.RLock()
	defer a.mu.RUnlock()
	if a.closed {
		return errors.New("the connection has ended")
	}
	return a.Check()
}

// settle is the end of finding out; c.mu is held.
func (w *witness) settle(f *requirement.Facts, att *Attestation) {
	if w.settled {
		if att != w.att {
			att.close()
		}
		return
	}
	w.settled, w.facts, w.att = true, f, att
	w.nonce = nil
	if w.timer != nil {
		w.timer.Stop()
	}
	close(w.done)
	c := w.l.c
	if g := c.rare.guard; g != nil {
		w.unfit = g.need.judge(f)
	}
	if w.l.dials {
		w.l.release()
		return
	}
	if w.l.hidden {
		w.l.hidden = false
		c.appear(w.unfit == nil)
	}
	if w.held {
		w.held = false
		c.schedule()
	}
}

// appear tells the program of a peer that met its listener's requirement. One that
// did not is the library's own, which goes on to refuse what it sends.
func (c *Connection) appear(fit bool) {
	if fit {
		c.announced = true
		c.after.rarely().appears = true
		return
	}
	c.handler = func(Object) {}
	c.step(lifecycle.Event{Op: lifecycle.Activate})
}

// release ends the holding back of a dialed socket; c.mu is held.
func (l *link) release() {
	c := l.c
	if !l.heldBack {
		return
	}
	l.heldBack = false
	if l.w.unfit == nil {
		c.step(lifecycle.Event{Op: lifecycle.Dialed, Epoch: l.epoch})
		return
	}
	c.rare.guard.reject(l.w.unfit)
	c.rarely().cause = l.w.unfit
	c.step(lifecycle.Event{Op: lifecycle.Unfit, Epoch: l.epoch})
	c.tellUnfit()
}

// tellUnfit delivers ErrPeerCodeSigningRequirement; c.mu is held.
func (c *Connection) tellUnfit() {
	id := c.newID()
	c.events.push(event{id: id, obj: ErrPeerCodeSigningRequirement})
	c.step(lifecycle.Event{Op: lifecycle.Noticed, ID: id})
}

// sees judges a frame as it arrives, if it can: what came before the answer to the
// challenge is judged with it, and a slow check is made later. It returns whether it
// is known, and why the frame is refused.
func (l *link) sees(writer credentials.Credentials) (known bool, why error) {
	if !l.asked.Load() {
		return false, nil
	}
	l.c.mu.Lock()
	g, w := l.c.rare.guard, l.w
	if g == nil || w == nil || !w.settled && !w.replied {
		l.c.mu.Unlock()
		return false, nil
	}
	settled, unfit, att := w.settled, w.unfit, w.att
	l.c.mu.Unlock()
	switch {
	case writer.PID != w.who.PID && (tellsWriters || writer.PID != 0):
		return true, g.need.judge(w.anothers(writer))
	case unfit != nil || g.need.needs.CredentialsOnly():
		return true, unfit
	case att != nil:
		known, why = w.recheck(att, false)
		return known && settled || why != nil, why
	case settled:
		return true, g.need.judge(w.unknown("the connection has ended"))
	}
	return false, nil
}

func (w *witness) anothers(writer credentials.Credentials) *requirement.Facts {
	return &requirement.Facts{Credentials: writer, Why: fmt.Sprintf("process %d wrote it, and process %d is the other side", writer.PID, w.who.PID)}
}

// slow says that a check takes time.
func (l *link) slow() bool {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	return l.w != nil && l.w.att != nil && l.w.att.Slow && l.c.rare.guard != nil
}

// undecided: the requirement was not held against the other side yet; c.mu is held.
func (l *link) undecided() bool { return l.w != nil && !l.w.settled && l.c.rare.guard != nil }

// hides keeps a peer from the program whose listener's requirement it has not met; c.mu is held.
func (l *link) hides() bool {
	switch {
	case l.c.rare.guard == nil:
		return false
	case l.w == nil || !l.w.settled:
		l.hidden = true
	case l.w.unfit != nil:
		l.c.appear(false)
	default:
		return false
	}
	return true
}

// challenged answers: it vouches for all bytes that this side has appended.
func (l *link) challenged(f *transport.Frame) {
	nonce, _, err := parseChallenge(f)
	if err != nil {
		l.broken(err)
		return
	}
	l.c.mu.Lock()
	l.append(challengeFrame(frameAnswer, nonce, l.sent))
	l.c.after.flush = l
	l.c.unlock()
}

// ended settles what can no longer be found out, because the socket is gone; c.mu is held.
func (l *link) ended() {
	if l.w == nil {
		return
	}
	if l.hidden && !l.w.settled {
		a := l.c.after.rarely()
		a.refused = append(a.refused, l.c) // nobody else lets go of what it has sent
	}
	l.hidden, l.heldBack = false, false
	att := l.w.att
	l.w.settle(l.w.unknown("the connection ended before it was known"), nil)
	l.w.att = nil
	att.close()
}

// giveBack ends a socket whose peer was not known yet; c.mu is held, and released.
func (l *link) giveBack(cause error) {
	c := l.c
	l.heldBack = false
	l.ended()
	if c.link == l {
		c.link = nil
		c.agreeLimits()
		c.signalRoom()
	}
	l.conn.Close()
	c.dialFailed(l.epoch, cause)
}

// recheck judges what the reads of the socket brought, unless that takes time and there is
// none. As a check says that nothing has changed until now, it holds for all that was read before.
func (w *witness) recheck(att *Attestation, wait bool) (known bool, why error) {
	now := w.l.reads.Load()
	switch {
	case att.Facts.Code == nil || w.l.vouched.Load() >= now: // what it met it met without code, or all was seen to
		return true, nil
	case att.Slow && !wait:
		if !att.holds() {
			return false, nil
		}
	default:
		if err := att.check(); err != nil {
			return true, w.l.c.rare.guard.need.judge(w.unknown(err.Error()))
		}
	}
	w.l.vouched.Store(now)
	return true, nil
}

// unfit says why a message is not to be handled, on the goroutine that would.
func (in *incoming) unfit() error {
	if in.judged {
		return in.rare.refusal
	}
	c := in.link.c
	c.mu.Lock()
	g, w := c.rare.guard, in.link.w
	var att *Attestation
	var err error
	settled := w != nil && w.settled
	if settled {
		err, att = w.unfit, w.att
	}
	c.mu.Unlock()
	switch {
	case g == nil:
		return nil
	case !settled:
		return g.need.judge(&requirement.Facts{Credentials: in.sender(), Why: "the connection ended before it was known"})
	case err == nil && att != nil:
		_, err = w.recheck(att, true)
	}
	return err
}

// admit decides whether the handler gets what is due. A message that is refused is
// counted, and its sender told; a client hears of it by an event.
func (c *Connection) admit(o Object) Object {
	d, ok := o.(*Dictionary)
	if !ok || d.in == nil {
		return o
	}
	why := d.in.unfit()
	if why == nil {
		return o
	}
	d.in.refuse(why)
	if c.isPeer() {
		return nil
	}
	return ErrPeerCodeSigningRequirement
}

// refuse gives a message up that the requirement keeps from its handler.
func (in *incoming) refuse(why error) {
	in.link.c.rareGuard().reject(why)
	in.mu.Lock()
	owed := in.states.take(owes)
	in.mu.Unlock()
	if owed {
		in.link.c.abandonFor(in.link.epoch, in.id, flagUnfit)
	}
}

func (c *Connection) rareGuard() *guard {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rare.guard
}
