package codesign

import (
	"bytes"
	"crypto/sha1" // for H"..." of the text language only
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/openxpc/openxpc/credentials/requirement"
)

// skew is how far a signer's clock may be ahead of this one.
const skew = 5 * time.Minute

// Program is a file whose signature is valid.
type Program struct {
	// Code is what requirements are asked about.
	Code *requirement.Code
	// Manifest is what was signed.
	Manifest *Manifest
	// Digest is the file's.
	Digest Digest
	// Anchor vouches for the signature; nil: ad-hoc.
	Anchor *Anchor
	// Signature is the file that it was found in; "" if it was handed in.
	Signature string

	until time.Time // when it has to be verified again; zero: never
}

// Check verifies an envelope for a program with this digest and size. now is the
// time to verify for; the zero time means the present.
func (t *Trust) Check(e *Envelope, digest Digest, size int64, now time.Time) (*Program, error) {
	if now.IsZero() {
		now = time.Now()
	}
	if t.Broken != nil {
		return nil, t.Broken
	}
	m := e.Manifest
	if !slices.ContainsFunc(m.Files, func(f File) bool { return f.Digest == digest && f.Size == size }) {
		return nil, fail(ErrDigest, "signature of %s is for other files, not for the one with digest %s: sign it again", m.Identifier, digest)
	}
	if err := e.checkSignature(); err != nil {
		return nil, err
	}
	if err := t.checkDenied(e, digest); err != nil {
		return nil, err
	}
	p := &Program{Manifest: m, Digest: digest, Code: &requirement.Code{
		CDHash: e.CDHash, Identifier: m.Identifier, Team: m.Team, Category: adHocCode, Flags: m.Flags,
	}}
	if e.Algorithm != AdHoc {
		if err := t.vouch(p, e, now); err != nil {
			return nil, err
		}
	}
	if t.platform.has("cdhash", e.CDHash[:]) {
		p.Code.Platform, p.Code.Category = true, categoryCodes[Platform]
	}
	if p.Code.Category != adHocCode { // nobody vouches for what an ad-hoc manifest claims
		p.Code.Info, p.Code.Entitlements = m.Info, m.Entitlements
	}
	return p, nil
}

func (t *Trust) checkDenied(e *Envelope, digest Digest) error {
	m := e.Manifest
	switch {
	case t.deny.has("cdhash", e.CDHash[:]):
		return fail(ErrDenied, "the deny list has cdhash %x of %s", e.CDHash, m.Identifier)
	case t.deny.has("digest", digest[:]):
		return fail(ErrDenied, "the deny list has digest %s of %s", digest, m.Identifier)
	case m.Team != "" && t.deny["team "+m.Team]:
		return fail(ErrDenied, "the deny list has team %s", m.Team)
	}
	for _, c := range e.Certificates {
		if err := t.checkKey(c); err != nil {
			return err
		}
	}
	return nil
}

func (t *Trust) checkKey(c *x509.Certificate) error {
	if hash := KeyHash(c); t.deny.has("key", hash[:]) {
		return fail(ErrDenied, "the deny list has key %x of certificate %q", hash, c.Subject)
	}
	return nil
}

// vouch finds the anchor that the certificates lead to and asks what it allows.
func (t *Trust) vouch(p *Program, e *Envelope, now time.Time) error {
	last := e.Certificates[len(e.Certificates)-1]
	failed := error(fail(ErrAnchor, "no anchor of the trust store issued certificate %q (issuer %q): have one installed with xpcsign trust add", last.Subject, last.Issuer))
	for _, a := range t.Anchors {
		if !bytes.Equal(a.Certificate.RawSubject, last.RawIssuer) || last.CheckSignatureFrom(a.Certificate) != nil {
			continue
		}
		err := t.vouchBy(a, e, now)
		if err == nil {
			t.fill(p, a, e)
			return nil
		}
		failed = err
	}
	return failed
}

func (t *Trust) vouchBy(a *Anchor, e *Envelope, now time.Time) error {
	if err := t.checkKey(a.Certificate); err != nil {
		return err
	}
	if err := checkTimes(a, e, now); err != nil {
		return err
	}
	if err := checkChain(a, e); err != nil {
		return err
	}
	return checkAllowed(a, e)
}

// checkTimes: the certificates have to be valid when the program was signed, the
// anchor now, which bounds for how long a stolen key can sign for the past.
func checkTimes(a *Anchor, e *Envelope, now time.Time) error {
	created := e.Manifest.Created
	if created.After(now.Add(skew)) {
		return fail(ErrExpired, "signature of %s is of %s, which is in the future: set a clock right", e.Manifest.Identifier, stamp(created))
	}
	if err := checkValid(a.Certificate, now, "now"); err != nil {
		return err
	}
	for _, c := range append(slices.Clone(e.Certificates), a.Certificate) {
		if err := checkValid(c, created, "when the program was signed"); err != nil {
			return err
		}
		if !a.ValidNow {
			continue
		}
		if err := checkValid(c, now, "now, which its anchor demands"); err != nil {
			return err
		}
	}
	return nil
}

func checkValid(c *x509.Certificate, at time.Time, when string) error {
	if at.Before(c.NotBefore) || at.After(c.NotAfter) {
		return fail(ErrExpired, "certificate %q is valid from %s to %s, not %s (%s): sign with a valid one", c.Subject, stamp(c.NotBefore), stamp(c.NotAfter), when, stamp(at))
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// checkChain demands that all certificates of the envelope lead to the anchor, in
// their order and none to spare, and that the leaf is for signing code.
func checkChain(a *Anchor, e *Envelope) error {
	opts := x509.VerifyOptions{
		Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(),
		CurrentTime: e.Manifest.Created, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	}
	opts.Roots.AddCert(a.Certificate)
	for _, c := range e.Certificates[1:] {
		opts.Intermediates.AddCert(c)
	}
	leaf := e.Certificates[0]
	chains, err := leaf.Verify(opts)
	if err == nil && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageCodeSigning) {
		err = errors.New("it does not have the extended key usage codeSigning")
	}
	if err != nil {
		return fail(ErrChain, "certificate %q: %w", leaf.Subject, err)
	}
	want := append(slices.Clone(e.Certificates), a.Certificate)
	if !slices.ContainsFunc(chains, func(chain []*x509.Certificate) bool {
		return slices.EqualFunc(chain, want, (*x509.Certificate).Equal)
	}) {
		return fail(ErrChain, "the certificates of the signature are not a chain from %q to anchor %s", leaf.Subject, a.Name)
	}
	return nil
}

func checkAllowed(a *Anchor, e *Envelope) error {
	m := e.Manifest
	if ou := e.Certificates[0].Subject.OrganizationalUnit; len(ou) != 1 || ou[0] != m.Team {
		return fail(ErrTeam, "team %s is not the organizational unit of certificate %q", m.Team, e.Certificates[0].Subject)
	}
	if !a.AllowsTeam(m.Team) {
		return fail(ErrTeam, "anchor %s does not vouch for team %s: see xpcsign trust list", a.Name, m.Team)
	}
	for _, name := range slices.Sorted(maps.Keys(m.Entitlements)) {
		if !a.AllowsEntitlement(name) {
			return fail(ErrEntitlement, "anchor %s may not grant entitlement %s: see xpcsign trust list", a.Name, name)
		}
	}
	return nil
}

// fill notes what the anchor makes of the program.
func (t *Trust) fill(p *Program, a *Anchor, e *Envelope) {
	p.Anchor = a
	p.Code.Trusted = true
	p.Code.Category = categoryCodes[a.Category]
	p.Code.Platform = a.Category == Platform
	p.until = a.Certificate.NotAfter
	for _, c := range append(slices.Clone(e.Certificates), a.Certificate) {
		p.Code.Certificates = append(p.Code.Certificates, t.describe(c))
		if a.ValidNow && c.NotAfter.Before(p.until) {
			p.until = c.NotAfter
		}
	}
}

func (t *Trust) describe(c *x509.Certificate) requirement.Certificate {
	d := requirement.Certificate{
		SHA1: sha1.Sum(c.Raw), Subject: subject(&c.Subject), Extensions: map[string][]byte{},
		NotBefore: c.NotBefore, NotAfter: c.NotAfter,
		Trusted: slices.ContainsFunc(t.Anchors, func(a *Anchor) bool { return a.Certificate.Equal(c) }),
	}
	for _, x := range c.Extensions {
		d.Extensions[x.Id.String()] = x.Value
	}
	for _, oid := range c.Policies {
		d.Policies = append(d.Policies, oid.String())
	}
	return d
}

// subjectNames are the fields that requirements can ask for.
var subjectNames = map[string]string{
	"2.5.4.3": "CN", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.9": "STREET",
	"2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.13": "D", "0.9.2342.19200300.100.1.1": "UID",
}

func subject(name *pkix.Name) map[string][]string {
	m := map[string][]string{}
	for _, n := range name.Names {
		if key := subjectNames[n.Type.String()]; key != "" {
			if s, ok := n.Value.(string); ok && isText(s) {
				m[key] = append(m[key], s)
			}
		}
	}
	return m
}
