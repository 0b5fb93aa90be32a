package xpc

import (
	"context"
	"sync"
	"time"

	"github.com/openxpc/openxpc/credentials"
)

// attestedFor is how long what was found out of a process counts for its other connections.
// It executes nothing else meanwhile, but its groups, its control group and the places of
// trust can change.
const attestedFor = 250 * time.Millisecond

// attestedProcesses are those that this process asked about lately, or asks about just
// now. So one that makes many connections, together or one after the other, is asked about once.
type attestedProcesses struct {
	mu sync.Mutex                  // guards the rest
	m  map[uint64]*attestedProcess // by credentials.ProcessKey
}

// attestedProcess is what connections share.
type attestedProcess struct {
	hold  hold
	since time.Time     // it was held
	done  chan struct{} // closed when it is known
	att   *Attestation  // nil with err
	err   error
	users int // connections, and one for the table; the table's mu guards it
}

// find gives the process that is known, or that somebody asks about, nil if there is none.
func (t *attestedProcesses) find(key uint64) *attestedProcess {
	t.mu.Lock()
	p := t.m[key]
	if p != nil {
		p.users++
	}
	t.mu.Unlock()
	if p != nil && !p.hold.lasts() {
		t.forget(key, p)
		t.release(p)
		return nil
	}
	return p
}

// add has others find the process, unless there is another of that key.
func (t *attestedProcesses) add(key uint64, h hold) *attestedProcess {
	p := &attestedProcess{hold: h, since: time.Now(), done: make(chan struct{}), users: 1}
	t.mu.Lock()
	defer t.mu.Unlock()
	if key != 0 && h.held() && t.m[key] == nil {
		if t.m == nil {
			t.m = map[uint64]*attestedProcess{}
		}
		t.m[key] = p
		p.users++
	}
	return p
}

// forget has others find the process no more.
func (t *attestedProcesses) forget(key uint64, p *attestedProcess) {
	t.mu.Lock()
	in := t.m[key] == p
	if in {
		delete(t.m, key)
	}
	t.mu.Unlock()
	if in {
		t.release(p)
	}
}

// release ends one use.
func (t *attestedProcesses) release(p *attestedProcess) {
	t.mu.Lock()
	p.users--
	last := p.users == 0
	t.mu.Unlock()
	if last {
		p.hold.close()
		p.att.close()
	}
}

// settle tells what was found out; nobody else may find that nothing was.
func (t *attestedProcesses) settle(key uint64, p *attestedProcess, att *Attestation, err error) {
	p.att, p.err = att, err
	close(p.done)
	if err != nil || att.Facts.Code == nil {
		t.forget(key, p)
		return
	}
	time.AfterFunc(attestedFor, func() { t.forget(key, p) })
}

// known says that nobody asks about it any more.
func (p *attestedProcess) known() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// attestation is what one connection gets of it, or the error of finding out.
func (t *attestedProcesses) attestation(ctx context.Context, p *attestedProcess, who credentials.Credentials) (*Attestation, error) {
	select {
	case <-p.done:
	case <-ctx.Done():
		t.release(p)
		return nil, context.Cause(ctx)
	}
	if p.err != nil {
		t.release(p)
		return nil, p.err
	}
	f := *p.att.Facts
	f.Credentials = who
	a := &Attestation{Facts: &f, Check: p.att.Check, Slow: p.att.Slow, Close: func() { t.release(p) }}
	// Hold was taken before it was asked, so that what the registry saw is what is held on to.
	if p.hold.pin != nil {
		a.Check, a.Slow = p.hold.pin.Check, false
	}
	if p.hold.run != nil {
		a.lasts = p.hold.run.Lasts
	}
	return a, nil
}
