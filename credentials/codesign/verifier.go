package codesign

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options bound a Verifier. nil and zero mean the defaults.
type Options struct {
	// Images is how many programs are remembered; 0: 4096.
	Images int
	// Workers is how many programs are hashed at one time; 0: 2.
	Workers int
	// Refresh is how old what is known of the places may be; 0: half a second.
	Refresh time.Duration
}

const (
	defaultImages  = 4096
	defaultWorkers = 2
	defaultRefresh = time.Second / 2
)

// Verifier verifies programs. Use NewVerifier. It may be used by any goroutines and
// holds no descriptor and no goroutine: there is nothing to close.
type Verifier struct {
	places  []Place
	options Options
	workers chan struct{}
	now     func() time.Time
	hash    func(io.ReaderAt, int64) (Digest, error) // Measure

	// reading is held while the places are read: whoever needs to know them waits.
	reading sync.Mutex
	state   atomic.Pointer[state]

	mu      sync.Mutex // guards the rest, and the programs of every state
	digests *lru[fileID, Digest]
	hashing map[fileID]*flight
}

// state is what is known of the places.
type state struct {
	trust      *Trust
	generation uint64
	seen       string // what the places looked like
	looked     time.Time
	programs   *lru[programKey, *Program]
}

// programKey is one program with one signature.
type programKey struct {
	digest    Digest
	signature fileID
}

// flight is one hashing that others wait for.
type flight struct {
	done   chan struct{}
	digest Digest
	err    error
	gaveUp bool // whoever hashed stopped waiting for his turn
}

// NewVerifier makes a verifier. An earlier place's signature counts before a later one's.
func NewVerifier(places []Place, o *Options) *Verifier {
	if o == nil {
		o = &Options{}
	}
	v := &Verifier{places: places, now: time.Now, hash: Measure, hashing: map[fileID]*flight{}, options: Options{
		Images:  cmp.Or(o.Images, defaultImages),
		Workers: cmp.Or(o.Workers, defaultWorkers),
		Refresh: cmp.Or(o.Refresh, defaultRefresh),
	}}
	v.workers = make(chan struct{}, v.options.Workers)
	v.digests = newLRU[fileID, Digest](v.options.Images)
	return v
}

// Verify says which program an open file is. The file stays the caller's; its offset
// does not move. What is returned is remembered for as long as the file, the
// signature and the places stay as they are. ctx ends the wait for others' hashing.
//
// The answer is about what the file holds now. It is one about the future where nobody
// can write to the file, as to one that is executed.
func (v *Verifier) Verify(ctx context.Context, f *os.File) (*Program, error) {
	id, err := identify(f)
	if err != nil {
		return nil, err
	}
	if err := checkPlace(f); err != nil {
		return nil, err
	}
	digest, err := v.digest(ctx, f, id)
	if err != nil {
		return nil, err
	}
	return v.find(f.Name(), digest, id.size)
}

// Generation changes when the places do: what was verified under another generation
// has to be verified again. It costs little, and may be asked at every message.
func (v *Verifier) Generation() uint64 { return v.current().generation }

// Trust gives what the places say.
func (v *Verifier) Trust() *Trust { return v.current().trust }

// current gives a state that is not too old.
func (v *Verifier) current() *state {
	if s := v.fresh(); s != nil {
		return s
	}
	v.reading.Lock()
	defer v.reading.Unlock()
	if s := v.fresh(); s != nil {
		return s
	}
	s := v.look(v.state.Load())
	v.state.Store(s)
	return s
}

func (v *Verifier) fresh() *state {
	s := v.state.Load()
	if s == nil {
		return nil
	}
	if age := v.now().Sub(s.looked); age < 0 || age >= v.options.Refresh {
		return nil
	}
	return s
}

// look reads the places if they changed since the old state.
func (v *Verifier) look(old *state) *state {
	now := v.now()
	seen, settled := glance(v.places, now)
	next := &state{seen: seen, looked: now}
	if old != nil {
		*next = state{old.trust, old.generation, seen, now, old.programs}
		if settled && seen == old.seen {
			return next
		}
	}
	if t := LoadTrust(v.places); old == nil || t.sum != old.trust.sum {
		next.trust = t
		next.generation++
		next.programs = newLRU[programKey, *Program](v.options.Images)
	}
	return next
}

// glance describes the files of the places without reading them. What has only just
// changed is not settled: it can change again and look the same.
func glance(places []Place, now time.Time) (seen string, settled bool) {
	var b strings.Builder
	settled = true
	note := func(path string) {
		id, err := identifyPath(path)
		fmt.Fprintln(&b, path, id, err)
		settled = settled && id.settled(now)
	}
	for _, p := range places {
		note(p.Deny)
		for _, dir := range []string{p.Trust, p.Platform} {
			note(dir)
			paths, _ := entries(dir, "")
			for _, path := range paths {
				note(path)
			}
		}
	}
	return b.String(), settled
}

// digest gives the file's digest: one remembered, the kernel's, or one computed.
func (v *Verifier) digest(ctx context.Context, f *os.File, id fileID) (Digest, error) {
	v.mu.Lock()
	d, ok := v.digests.get(id)
	v.mu.Unlock()
	if !ok {
		d, ok = kernelDigest(f)
	}
	if ok {
		return d, nil
	}
	for {
		v.mu.Lock()
		if d, ok := v.digests.get(id); ok {
			v.mu.Unlock()
			return d, nil
		}
		other := v.hashing[id]
		if other == nil {
			break
		}
		v.mu.Unlock()
		select {
		case <-other.done:
			if !other.gaveUp {
				return other.digest, other.err
			}
		case <-ctx.Done():
			return Digest{}, context.Cause(ctx)
		}
	}
	mine := &flight{done: make(chan struct{})}
	v.hashing[id] = mine
	v.mu.Unlock()
	v.measure(ctx, f, id, mine)

	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.hashing, id)
	if mine.err == nil && id.settled(v.now()) {
		v.digests.put(id, mine.digest)
	}
	close(mine.done)
	return mine.digest, mine.err
}

// measure computes a digest, in turn with others, of a file that stays as it is.
func (v *Verifier) measure(ctx context.Context, f *os.File, id fileID, l *flight) {
	select {
	case v.workers <- struct{}{}:
		defer func() { <-v.workers }()
	case <-ctx.Done():
		l.gaveUp, l.err = true, context.Cause(ctx)
		return
	}
	d, err := v.hash(f, id.size)
	if err != nil {
		l.err = fail(ErrImage, "%s: %w", f.Name(), err)
		return
	}
	if after, err := identify(f); err != nil || after != id {
		l.err = fail(ErrImage, "%s changed while it was read: try again", f.Name())
		return
	}
	l.digest = d
}

// find looks for a valid signature. With several, the first valid one counts; with
// none, the error is the first one's.
func (v *Verifier) find(name string, digest Digest, size int64) (*Program, error) {
	var failed error
	for _, dir := range stores(v.places) {
		p, err := v.check(SignaturePath(dir, digest), digest, size)
		if err == nil {
			return p, nil
		}
		if failed == nil && !errors.Is(err, os.ErrNotExist) {
			failed = err
		}
	}
	if failed != nil {
		return nil, failed
	}
	if t := v.Trust(); t.Broken != nil {
		return nil, t.Broken
	}
	return nil, fail(ErrUnsigned, "%s has no signature: none for digest %s is in %s; sign it with xpcsign sign", name, digest, strings.Join(stores(v.places), ", "))
}

// check verifies one signature, or remembers it.
func (v *Verifier) check(path string, digest Digest, size int64) (*Program, error) {
	id, err := identifyPath(path)
	if err != nil {
		return nil, err
	}
	key, now, s := programKey{digest, id}, v.now(), v.current()
	v.mu.Lock()
	p, ok := s.programs.get(key)
	v.mu.Unlock()
	if ok && (p.until.IsZero() || !now.After(p.until)) {
		return p, nil
	}
	e, err := ReadEnvelope(path)
	if err != nil {
		return nil, err
	}
	if p, err = s.trust.Check(e, digest, size, now); err != nil {
		return nil, err
	}
	p.Signature = path
	if id.settled(now) {
		v.mu.Lock()
		s.programs.put(key, p)
		v.mu.Unlock()
	}
	return p, nil
}
