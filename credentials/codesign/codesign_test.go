package codesign

import (
	"crypto/x509"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/openxpc/openxpc/credentials/requirement"
)

// Certificates and manifests of tests are of this time; verifiers of tests live in
// it too, long after every file was written, so that all times are settled.
var present = time.Date(2100, 6, 1, 12, 0, 0, 0, time.UTC)

// world is a place with a team that it trusts, and a program.
type world struct {
	t      testing.TB
	place  Place
	signer *Signer
	anchor *Anchor
	now    time.Time
}

func newWorld(t testing.TB) *world {
	dir := t.TempDir()
	w := &world{t: t, now: present, place: Place{
		Trust: filepath.Join(dir, "trust.d"), Deny: filepath.Join(dir, "deny"),
		Platform: filepath.Join(dir, "platform.d"), Store: filepath.Join(dir, "store"), Owner: os.Geteuid(),
	}}
	for _, d := range []string{w.place.Trust, w.place.Platform, w.place.Store} {
		w.ok(os.Mkdir(d, 0o755))
	}
	signer, c, err := NewTeam("EXAMPLE123", ECDSA, present.AddDate(-1, 0, 0), present.AddDate(1, 0, 0))
	w.ok(err)
	w.signer = signer
	w.anchor = &Anchor{
		Name: "example", Certificate: c, Category: Developer,
		Teams: []string{"EXAMPLE123"}, Entitlements: []string{"com.example.*"},
	}
	w.trust(w.anchor)
	return w
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) trust(a *Anchor) {
	w.t.Helper()
	w.write(filepath.Join(w.place.Trust, a.Name+".pem"), string(a.Format()))
}

func (w *world) write(path, text string) {
	w.t.Helper()
	w.ok(os.WriteFile(path, []byte(text), 0o644))
}

// verifier lives in the present of the tests.
func (w *world) verifier() *Verifier {
	v := NewVerifier([]Place{w.place}, nil)
	v.now = func() time.Time { return w.now }
	return v
}

// program makes a file that is open until the test ends.
func (w *world) program(content string) *os.File {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), "program")
	w.write(path, content)
	f, err := os.Open(path)
	w.ok(err)
	w.t.Cleanup(func() { f.Close() })
	return f
}

// manifest is a valid one for content.
func manifest(content string) *Manifest {
	return &Manifest{
		Identifier: "com.example.tool", Team: "EXAMPLE123",
		Flags: requirement.Hardened, Marker: MarkerName("EXAMPLE123", "com.example.tool"),
		Files:        []File{{Digest: measured(content), Size: int64(len(content)), Arch: "amd64"}},
		Info:         map[string]any{"CFBundleVersion": "1.2"},
		Entitlements: map[string]any{"com.example.read": true, "com.example.list": []any{"a", int64(-1)}},
		Created:      present.AddDate(0, -1, 0),
	}
}

func (w *world) sign(m *Manifest) *Envelope {
	w.t.Helper()
	e, err := w.signer.Sign(m)
	w.ok(err)
	return e
}

func (w *world) store(e *Envelope) {
	w.t.Helper()
	_, err := StoreSignature(w.place.Store, e)
	w.ok(err)
}

func adHoc(t testing.TB, m *Manifest) *Envelope {
	t.Helper()
	m.Team, m.Marker = "", ""
	e, err := Sign(m, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// issueFor makes a certificate of a team by another one's key.
func issueFor(t testing.TB, template, parent *x509.Certificate, key, by *Signer) *x509.Certificate {
	t.Helper()
	c, err := issue(template, parent, key.Key.Public(), by.Key)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func hexOf(b []byte) string { return hex.EncodeToString(b) }
