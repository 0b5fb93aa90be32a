package codesign

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// No bit of a signature is free: the encoding is the only one, the manifest is
// signed, and so is each certificate by the next.
func TestEveryFlippedBitIsRefused(t *testing.T) {
	for _, algorithm := range []string{ECDSA, Ed25519} {
		t.Run(algorithm, func(t *testing.T) {
			w := newWorld(t)
			var c *x509.Certificate
			var err error
			w.signer, c, err = NewTeam("EXAMPLE123", algorithm, present.AddDate(-1, 0, 0), present.AddDate(1, 0, 0))
			w.ok(err)
			w.anchor.Certificate = c
			w.trust(w.anchor)
			trust := LoadTrust([]Place{w.place})
			m := manifest("content")
			good := w.sign(m).Encode()
			check := func(b []byte) error {
				e, err := ParseEnvelope(b)
				if err != nil {
					return err
				}
				_, err = trust.Check(e, m.Files[0].Digest, m.Files[0].Size, present)
				return err
			}
			if err := check(good); err != nil {
				t.Fatal(err)
			}
			for i := range good {
				for bit := range 9 { // the last time all bits of the byte
					b := append([]byte(nil), good...)
					if b[i] ^= 1 << bit; bit == 8 {
						b[i] ^= 0xff
					}
					var named *Error
					if err := check(b); !errors.As(err, &named) {
						t.Fatalf("byte %d of %d, flip %d: %v, want a refusal with a reason", i, len(good), bit, err)
					}
				}
			}
			for n := range good {
				if check(good[:n]) == nil {
					t.Fatalf("the first %d of %d bytes are accepted", n, len(good))
				}
			}
			if check(append(good, 0)) == nil {
				t.Error("a byte more is accepted")
			}
		})
	}
}

// A program of which one byte is another is another program.
func TestEveryFlippedByteOfTheProgramIsRefused(t *testing.T) {
	w := newWorld(t)
	content := make([]byte, 300<<10)
	rand.NewChaCha8([32]byte{}).Read(content)
	e := w.sign(manifest(string(content)))
	w.store(e)
	v := w.verifier()
	path := filepath.Join(t.TempDir(), "program")
	for range 1000 {
		i := rand.IntN(len(content))
		content[i] ^= byte(1 + rand.IntN(255))
		w.ok(os.WriteFile(path, content, 0o755))
		f, err := os.Open(path)
		w.ok(err)
		if _, err = v.Verify(ctx, f); !errors.Is(err, ErrUnsigned) {
			t.Fatalf("byte %d: %v", i, err)
		}
		d, err := Measure(f, int64(len(content)))
		f.Close()
		w.ok(err)
		if _, err := v.Trust().Check(e, d, int64(len(content)), present); !errors.Is(err, ErrDigest) {
			t.Fatalf("byte %d, with the old signature: %v", i, err)
		}
	}
}

func TestRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		want Reason
		text string // what the error has to name
		do   func(w *world, m *Manifest) *Envelope
	}{
		{"no anchor", ErrAnchor, "EXAMPLE123 signing", func(w *world, m *Manifest) *Envelope {
			w.ok(os.Remove(filepath.Join(w.place.Trust, "example.pem")))
			return w.sign(m)
		}},
		{"another anchor of the same name", ErrAnchor, "xpcsign trust add", func(w *world, m *Manifest) *Envelope {
			var err error
			w.signer, _, err = NewTeam("EXAMPLE123", ECDSA, present.AddDate(-1, 0, 0), present.AddDate(1, 0, 0))
			w.ok(err)
			return w.sign(m)
		}},
		{"the certificate had expired when it signed", ErrExpired, "2100-04-01", func(w *world, m *Manifest) *Envelope {
			return w.byOwnChain(m, func(leaf, _ *x509.Certificate) { leaf.NotAfter = m.Created.AddDate(0, -1, 0) })
		}},
		{"the anchor has expired", ErrExpired, "2101-06-01", func(w *world, m *Manifest) *Envelope {
			w.now = present.AddDate(2, 0, 0)
			return w.sign(m)
		}},
		{"from the future", ErrExpired, "future", func(w *world, m *Manifest) *Envelope {
			m.Created = present.Add(time.Hour)
			return w.sign(m)
		}},
		{"another team than the certificate's", ErrTeam, "OTHER", func(w *world, m *Manifest) *Envelope {
			m.Team, m.Marker = "OTHER", ""
			return w.sign(m)
		}},
		{"a team that the anchor does not vouch for", ErrTeam, "example", func(w *world, m *Manifest) *Envelope {
			w.anchor.Teams = []string{"OTHER"}
			w.trust(w.anchor)
			return w.sign(m)
		}},
		{"an anchor without teams", ErrTeam, "EXAMPLE123", func(w *world, m *Manifest) *Envelope {
			w.anchor.Teams = nil
			w.trust(w.anchor)
			return w.sign(m)
		}},
		{"an entitlement that the anchor may not grant", ErrEntitlement, "org.distro.root", func(w *world, m *Manifest) *Envelope {
			m.Entitlements["org.distro.root"] = true
			return w.sign(m)
		}},
		{"an entitlement that only begins alike", ErrEntitlement, "com.examplevil", func(w *world, m *Manifest) *Envelope {
			m.Entitlements["com.examplevil"] = true
			return w.sign(m)
		}},
		{"denied by cdhash", ErrDenied, "cdhash", func(w *world, m *Manifest) *Envelope {
			e := w.sign(m)
			w.write(w.place.Deny, "cdhash "+hexOf(e.CDHash[:]))
			return e
		}},
		{"denied by digest", ErrDenied, "digest", func(w *world, m *Manifest) *Envelope {
			w.write(w.place.Deny, "digest "+m.Files[0].Digest.String()+"\n")
			return w.sign(m)
		}},
		{"denied by team", ErrDenied, "EXAMPLE123", func(w *world, m *Manifest) *Envelope {
			w.write(w.place.Deny, "# lost its key\nteam EXAMPLE123\n")
			return w.sign(m)
		}},
		{"denied by the leaf's key", ErrDenied, "signing", func(w *world, m *Manifest) *Envelope {
			hash := KeyHash(w.signer.Certificates[0])
			w.write(w.place.Deny, "key "+hexOf(hash[:]))
			return w.sign(m)
		}},
		{"denied by the anchor's key", ErrDenied, "anchor", func(w *world, m *Manifest) *Envelope {
			hash := KeyHash(w.anchor.Certificate)
			w.write(w.place.Deny, "key "+hexOf(hash[:]))
			return w.sign(m)
		}},
		{"a deny list with a mistake", ErrTrust, "deny:2", func(w *world, m *Manifest) *Envelope {
			w.write(w.place.Deny, "team OTHER\ncdhash 12\n")
			return w.sign(m)
		}},
		{"a deny list that others can write to", ErrTrust, "chmod go-w", func(w *world, m *Manifest) *Envelope {
			w.write(w.place.Deny, "")
			w.ok(os.Chmod(w.place.Deny, 0o666))
			return w.sign(m)
		}},
		{"a deny list that is a link to nothing", ErrTrust, "deny", func(w *world, m *Manifest) *Envelope {
			w.ok(os.Symlink("nothing", w.place.Deny))
			return w.sign(m)
		}},
		{"an anchor that others can write to", ErrAnchor, "issued", func(w *world, m *Manifest) *Envelope {
			w.ok(os.Chmod(filepath.Join(w.place.Trust, "example.pem"), 0o664))
			return w.sign(m)
		}},
		{"a trust store that others can write to", ErrAnchor, "issued", func(w *world, m *Manifest) *Envelope {
			w.ok(os.Chmod(w.place.Trust, 0o777|os.ModeSticky))
			return w.sign(m)
		}},
		{"a leaf that is not for code", ErrChain, "usage", func(w *world, m *Manifest) *Envelope {
			return w.byOwnChain(m, func(leaf, _ *x509.Certificate) { leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
		}},
		{"a leaf that is for anything", ErrChain, "codeSigning", func(w *world, m *Manifest) *Envelope {
			return w.byOwnChain(m, func(leaf, _ *x509.Certificate) { leaf.ExtKeyUsage = nil })
		}},
		{"an intermediate that is no authority", ErrChain, "", func(w *world, m *Manifest) *Envelope {
			return w.byOwnChain(m, func(_, middle *x509.Certificate) { middle.IsCA, middle.KeyUsage = false, 0 })
		}},
		{"an intermediate below one that allows none", ErrChain, "", func(w *world, m *Manifest) *Envelope {
			return w.byOwnChain(m, func(_, _ *x509.Certificate) {}, pathLenZero)
		}},
		{"an expired intermediate", ErrExpired, "middle", func(w *world, m *Manifest) *Envelope {
			return w.byOwnChain(m, func(_, middle *x509.Certificate) { middle.NotAfter = m.Created.Add(-time.Hour) })
		}},
		{"a certificate to spare", ErrChain, "not a chain", func(w *world, m *Manifest) *Envelope {
			e := w.byOwnChain(m, func(_, _ *x509.Certificate) {})
			e.Certificates = append(e.Certificates, e.Certificates[1])
			return e
		}},
		{"two organizational units", ErrTeam, "organizational", func(w *world, m *Manifest) *Envelope {
			return w.byOwnChain(m, func(leaf, _ *x509.Certificate) { leaf.Subject.OrganizationalUnit = []string{"EXAMPLE123", "OTHER"} })
		}},
		{"valid no more, where the anchor demands it", ErrExpired, "now", func(w *world, m *Manifest) *Envelope {
			w.anchor.ValidNow = true
			return w.byOwnChain(m, func(leaf, _ *x509.Certificate) { leaf.NotAfter = m.Created.Add(time.Hour) })
		}},
		{"signed by another key", ErrSignature, "EXAMPLE123 signing", func(w *world, m *Manifest) *Envelope {
			other, _, err := NewTeam("EXAMPLE123", ECDSA, present, present)
			w.ok(err)
			e := w.sign(m)
			_, e.signature, err = signBytes(other.Key, e.manifest)
			w.ok(err)
			return e
		}},
		{"a signature of other bytes", ErrSignature, "", func(w *world, m *Manifest) *Envelope {
			e := w.sign(m)
			m.Identifier, m.Marker = "com.example.other", ""
			b, err := m.Encode()
			w.ok(err)
			e.manifest = b
			return e
		}},
		{"a file of another size", ErrDigest, "", func(w *world, m *Manifest) *Envelope {
			m.Files[0].Size++
			return w.sign(m)
		}},
		{"a signature for another file, under this one's name", ErrDigest, "", func(w *world, m *Manifest) *Envelope {
			m.Files[0].Digest = measured("another")
			return w.sign(m)
		}},
		{"not a signature", ErrMalformed, ".xsig", func(*world, *Manifest) *Envelope { return nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			m := manifest("content")
			path := SignaturePath(w.place.Store, m.Files[0].Digest)
			b := []byte("what is this")
			if e := c.do(w, m); e != nil {
				b = e.Encode()
			}
			w.ok(os.MkdirAll(filepath.Dir(path), 0o755))
			w.write(path, string(b))
			_, err := w.verifier().Verify(ctx, w.program("content"))
			if !errors.Is(err, c.want) || !strings.Contains(fmt.Sprint(err), c.text) {
				t.Errorf("%v\nwant %v that names %q", err, c.want, c.text)
			}
			if strings.Contains(fmt.Sprint(err), "\n") {
				t.Errorf("%q is not one line", err)
			}
		})
	}
}

func pathLenZero(anchor *x509.Certificate) { anchor.MaxPathLenZero = true }

// byOwnChain signs with a leaf below an intermediate below a new anchor. mutate
// changes the templates before they are issued, root that of the anchor.
func (w *world) byOwnChain(m *Manifest, mutate func(leaf, middle *x509.Certificate), root ...func(*x509.Certificate)) *Envelope {
	w.t.Helper()
	template := func(name string) *x509.Certificate {
		c := &x509.Certificate{SerialNumber: serial(), NotBefore: present.AddDate(-1, 0, 0), NotAfter: present.AddDate(1, 0, 0), BasicConstraintsValid: true}
		c.Subject.CommonName = name
		return c
	}
	signers := map[string]*Signer{}
	for _, name := range []string{"root", "middle", "leaf"} {
		key, err := newKey(ECDSA)
		w.ok(err)
		signers[name] = &Signer{Key: key}
	}
	anchor, middle, leaf := template("root"), template("middle"), template("leaf")
	leaf.Subject.OrganizationalUnit = []string{m.Team}
	leaf.KeyUsage, leaf.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}
	for _, c := range []*x509.Certificate{anchor, middle} {
		c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign
	}
	for _, f := range root {
		f(anchor)
	}
	mutate(leaf, middle)
	anchor = issueFor(w.t, anchor, anchor, signers["root"], signers["root"])
	middle = issueFor(w.t, middle, anchor, signers["middle"], signers["root"])
	leaf = issueFor(w.t, leaf, middle, signers["leaf"], signers["middle"])
	w.anchor.Certificate = anchor
	w.trust(w.anchor)
	e, err := Sign(m, signers["leaf"].Key, []*x509.Certificate{leaf, middle})
	w.ok(err)
	return e
}

func TestChainOfThree(t *testing.T) {
	w := newWorld(t)
	w.store(w.byOwnChain(manifest("content"), func(_, _ *x509.Certificate) {}))
	p, err := w.verifier().Verify(ctx, w.program("content"))
	if err != nil || len(p.Code.Certificates) != 3 {
		t.Errorf("%v, %v", p, err)
	}
}

// One who has two organizations sign the same program chooses: an earlier place, and
// in it what is valid.
func TestFirstValidSignatureCounts(t *testing.T) {
	w, admin := newWorld(t), newWorld(t)
	w.store(w.sign(manifest("content")))
	admin.store(admin.sign(manifest("content"))) // whose anchor is only in admin's place
	v := NewVerifier([]Place{{Store: admin.place.Store}, w.place}, nil)
	v.now = w.verifier().now
	p, err := v.Verify(ctx, w.program("content"))
	if err != nil || p.Signature != SignaturePath(w.place.Store, p.Digest) {
		t.Errorf("%+v, %v", p, err)
	}
}

// A signature that was replaced, by the same key or another, is seen at once.
func TestSignedAgain(t *testing.T) {
	w := newWorld(t)
	f, v := w.program("content"), w.verifier()
	for i := range 20 {
		m := manifest("content")
		m.Identifier, m.Marker = fmt.Sprintf("com.example.n%d", i), ""
		w.store(w.sign(m))
		for range 2 { // the second time it is remembered
			p, err := v.Verify(ctx, f)
			if err != nil || p.Code.Identifier != m.Identifier {
				t.Fatalf("%v, %v, want %s", p, err, m.Identifier)
			}
		}
	}
	e := adHoc(t, manifest("content"))
	w.store(e)
	if p, err := v.Verify(ctx, f); err != nil || p.Code.Category != 10 {
		t.Errorf("signed ad hoc again: %v, %v", p, err)
	}
}

// The descriptor is verified, whatever its path leads to meanwhile.
func TestSwappedFile(t *testing.T) {
	w := newWorld(t)
	w.store(w.sign(manifest("content")))
	f, v := w.program("content"), w.verifier()
	other := f.Name() + "-other"
	w.write(other, "CONTENT")
	w.ok(os.Rename(other, f.Name()))
	if _, err := v.Verify(ctx, f); err != nil {
		t.Errorf("the open file: %v", err)
	}
	swapped, err := os.Open(f.Name())
	w.ok(err)
	defer swapped.Close()
	if _, err := v.Verify(ctx, swapped); !errors.Is(err, ErrUnsigned) {
		t.Errorf("what lies under its name now: %v", err)
	}
}

// Rewriting in place keeps number, size and, with utimes, the time of the content. The
// time of the change cannot be set, and what is so young is never remembered.
func TestRewrittenFile(t *testing.T) {
	w := newWorld(t)
	v := NewVerifier([]Place{w.place}, nil) // in the real present, and so is the file
	m := manifest("good")
	m.Created = time.Now().Truncate(time.Second)
	signer, c, err := NewTeam("EXAMPLE123", ECDSA, m.Created.AddDate(-1, 0, 0), m.Created.AddDate(1, 0, 0))
	w.ok(err)
	w.signer, w.anchor.Certificate = signer, c
	w.trust(w.anchor)
	w.store(w.sign(m))
	f := w.program("good")
	rw, err := os.OpenFile(f.Name(), os.O_RDWR, 0)
	w.ok(err)
	defer rw.Close()
	when := time.Now().Add(-time.Hour)
	for i := range 10_000 {
		content, want := "good", error(nil)
		if i%2 == 1 {
			content, want = "evil", ErrUnsigned
		}
		_, err := rw.WriteAt([]byte(content), 0)
		w.ok(err)
		w.ok(os.Chtimes(f.Name(), when, when))
		if _, err := v.Verify(ctx, f); !errors.Is(err, want) {
			t.Fatalf("rewrite %d: %v, want %v", i, err, want)
		}
	}
}

// What was remembered is forgotten when the file changes later.
func TestRememberedFileChanges(t *testing.T) {
	w := newWorld(t)
	w.store(w.sign(manifest("good")))
	f, v := w.program("good"), w.verifier()
	reads := counted(v)
	for range 3 {
		_, err := v.Verify(ctx, f)
		w.ok(err)
	}
	if n := reads(); n != 1 {
		t.Errorf("read %d times, want once", n)
	}
	before, err := identify(f)
	w.ok(err)
	when := time.Unix(0, before.mtime)
	for after := before; after == before; { // until the kernel's clock has ticked
		w.write(f.Name(), "evil")
		w.ok(os.Chtimes(f.Name(), when, when))
		after, err = identify(f)
		w.ok(err)
	}
	if _, err := v.Verify(ctx, f); !errors.Is(err, ErrUnsigned) {
		t.Errorf("%v", err)
	}
}

// A deny list works within the time that the verifier may know an old one, and so
// does taking a name from it.
func TestDenyListTakesEffect(t *testing.T) {
	w := newWorld(t)
	e := w.sign(manifest("content"))
	w.store(e)
	f, v := w.program("content"), w.verifier()
	now := present
	v.now = func() time.Time { return now }
	_, err := v.Verify(ctx, f)
	w.ok(err)
	for i, want := range []error{ErrDenied, nil, ErrDenied, nil} {
		generation := v.Generation()
		if want == nil {
			w.ok(os.Remove(w.place.Deny))
		} else {
			w.write(w.place.Deny, "cdhash "+hexOf(e.CDHash[:])+"\n")
		}
		if v.Generation() != generation {
			t.Errorf("step %d: looked again too early", i)
		}
		now = now.Add(defaultRefresh)
		if v.Generation() == generation {
			t.Errorf("step %d: the generation stays", i)
		}
		if _, err := v.Verify(ctx, f); !errors.Is(err, want) {
			t.Errorf("step %d: %v, want %v", i, err, want)
		}
	}
	now = now.Add(defaultRefresh)
	generation := v.Generation()
	w.ok(os.Chtimes(w.place.Trust, present, present))
	now = now.Add(defaultRefresh)
	if v.Generation() != generation {
		t.Error("a new generation, though the places say the same")
	}
}

// An anchor that expires ends what was remembered under it.
func TestRememberedUntilTheAnchorExpires(t *testing.T) {
	w := newWorld(t)
	w.store(w.sign(manifest("content")))
	f, v := w.program("content"), w.verifier()
	now := present
	v.now = func() time.Time { return now }
	_, err := v.Verify(ctx, f)
	w.ok(err)
	now = present.AddDate(1, 0, 1)
	if _, err := v.Verify(ctx, f); !errors.Is(err, ErrExpired) {
		t.Errorf("%v", err)
	}
}

// counted counts how often files are hashed.
func counted(v *Verifier) (reads func() int) {
	var mu sync.Mutex
	n := 0
	v.hash = func(r io.ReaderAt, size int64) (Digest, error) {
		mu.Lock()
		n++
		mu.Unlock()
		return Measure(r, size)
	}
	return func() int {
		mu.Lock()
		defer mu.Unlock()
		return n
	}
}

// All who come at once wait for one hashing.
func TestManyFirstVerifications(t *testing.T) {
	w := newWorld(t)
	w.store(w.sign(manifest("content")))
	f, v := w.program("content"), w.verifier()
	reads := counted(v)
	var all sync.WaitGroup
	for range 1000 {
		all.Go(func() {
			if _, err := v.Verify(ctx, f); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := reads(); n != 1 {
		t.Errorf("hashed %d times, want once", n)
	}
}

// Whoever stops waiting for his turn does not make those fail who wait for him.
func TestGivingUp(t *testing.T) {
	w := newWorld(t)
	w.store(w.sign(manifest("content")))
	f, v := w.program("content"), w.verifier()
	for range defaultWorkers {
		v.workers <- struct{}{}
	}
	first, cancel := context.WithCancel(ctx)
	failed, verified := make(chan error), make(chan error)
	go func() { _, err := v.Verify(first, f); failed <- err }()
	for { // until the first one hashes, as far as others can see
		v.mu.Lock()
		n := len(v.hashing)
		v.mu.Unlock()
		if n == 1 {
			break
		}
	}
	go func() { _, err := v.Verify(ctx, f); verified <- err }()
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	<-v.workers
	if err := <-verified; err != nil {
		t.Errorf("the other one: %v", err)
	}
	<-v.workers
}

func TestMemoryIsBounded(t *testing.T) {
	w := newWorld(t)
	v := NewVerifier([]Place{w.place}, &Options{Images: 3})
	v.now = w.verifier().now
	for i := range 10 {
		content := fmt.Sprint("content ", i)
		w.store(w.sign(manifest(content)))
		_, err := v.Verify(ctx, w.program(content))
		w.ok(err)
	}
	if n := len(v.digests.at); n != 3 {
		t.Errorf("%d digests are remembered, want 3", n)
	}
	if n := len(v.current().programs.at); n != 3 {
		t.Errorf("%d programs are remembered, want 3", n)
	}
}

func TestLargeAndOddFiles(t *testing.T) {
	w := newWorld(t)
	f := w.program("x")
	w.ok(os.Truncate(f.Name(), MaxImage+1))
	if _, err := w.verifier().Verify(ctx, f); !errors.Is(err, ErrImage) {
		t.Errorf("too large: %v", err)
	}
	// A store may hold anything; a pipe must not make the verifier wait.
	m := manifest("content")
	path := SignaturePath(w.place.Store, m.Files[0].Digest)
	w.ok(os.MkdirAll(filepath.Dir(path), 0o755))
	w.ok(unix.Mkfifo(path, 0o644))
	if _, err := w.verifier().Verify(ctx, w.program("content")); err == nil || !strings.Contains(err.Error(), "regular") {
		t.Errorf("a pipe for a signature: %v", err)
	}
}
