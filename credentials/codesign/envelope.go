package codesign

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
)

// Limits of an envelope.
const (
	// MaxEnvelope is the size of an encoded envelope in bytes.
	MaxEnvelope = 128 << 10
	// MaxCertificates is how many certificates an envelope carries.
	MaxCertificates = 8
)

// The algorithms of signatures.
const (
	// AdHoc: there is no signature.
	AdHoc = "none"
	// ECDSA is that of a P-256 key over SHA-256.
	ECDSA = "ecdsa-p256-sha256"
	// Ed25519 is that of an Ed25519 key.
	Ed25519 = "ed25519"
)

const envelopeVersion = 1

// signedPrefix keeps a signature of a manifest from being one of anything else.
const signedPrefix = "OpenXPC code signature 1\x00"

// Envelope is a manifest with what vouches for it. Make one with Sign or ParseEnvelope.
type Envelope struct {
	// Manifest is what was signed.
	Manifest *Manifest
	// CDHash names it.
	CDHash [20]byte
	// Algorithm is AdHoc, ECDSA or Ed25519.
	Algorithm string
	// Certificates are the leaf, whose key signed, and what leads from it to the
	// anchor, without the anchor itself; nil: ad-hoc.
	Certificates []*x509.Certificate

	manifest, signature []byte
}

// Sign makes an envelope. chain has the leaf first and leaves the anchor out; key is
// the leaf's, a P-256 or Ed25519 key. Without a key the envelope is ad-hoc: the chain
// must be empty and so must the manifest's team.
func Sign(m *Manifest, key crypto.Signer, chain []*x509.Certificate) (*Envelope, error) {
	b, err := m.Encode()
	if err != nil {
		return nil, err
	}
	raw := map[string]any{"version": int64(envelopeVersion), "manifest": b, "algorithm": AdHoc, "signature": []byte{}}
	certificates := []any{}
	for _, c := range chain {
		certificates = append(certificates, c.Raw)
	}
	raw["certificates"] = certificates
	if key != nil {
		if raw["algorithm"], raw["signature"], err = signBytes(key, b); err != nil {
			return nil, fail(ErrSignature, "%w", err)
		}
	}
	encoded, err := appendValue(nil, raw, 0)
	if err != nil {
		return nil, fail(ErrMalformed, "%w", err)
	}
	e, err := ParseEnvelope(encoded)
	if err != nil {
		return nil, err
	}
	return e, e.checkSignature()
}

func signBytes(key crypto.Signer, manifest []byte) (algorithm string, signature []byte, err error) {
	message := append([]byte(signedPrefix), manifest...)
	switch algorithm = algorithmOf(key.Public()); algorithm {
	case ECDSA:
		sum := sha256.Sum256(message)
		signature, err = key.Sign(rand.Reader, sum[:], crypto.SHA256)
	case Ed25519:
		signature, err = key.Sign(rand.Reader, message, crypto.Hash(0))
	default:
		err = fmt.Errorf("a key of type %T cannot sign: P-256 and Ed25519 keys can", key.Public())
	}
	return algorithm, signature, err
}

// algorithmOf is "" for keys that may not sign.
func algorithmOf(key crypto.PublicKey) string {
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P256() {
			return ECDSA
		}
	case ed25519.PublicKey:
		return Ed25519
	}
	return ""
}

// Encode gives the one encoding of the envelope.
func (e *Envelope) Encode() []byte {
	certificates := []any{}
	for _, c := range e.Certificates {
		certificates = append(certificates, c.Raw)
	}
	b, err := appendValue(nil, map[string]any{
		"version":      int64(envelopeVersion),
		"manifest":     e.manifest,
		"algorithm":    e.Algorithm,
		"signature":    e.signature,
		"certificates": certificates,
	}, 0)
	if err != nil {
		panic(err) // every value was decoded, or encoded before
	}
	return b
}

// ParseEnvelope reads what Encode wrote, and nothing else. It verifies nothing.
func ParseEnvelope(b []byte) (*Envelope, error) {
	e, err := parseEnvelope(b)
	if err != nil {
		return nil, fail(ErrMalformed, "signature: %w", err)
	}
	return e, nil
}

func parseEnvelope(b []byte) (*Envelope, error) {
	if len(b) > MaxEnvelope {
		return nil, fmt.Errorf("more than the %d bytes that it may have", MaxEnvelope)
	}
	m, err := decodeMap(b)
	if err != nil {
		return nil, err
	}
	f := &fields{m: m}
	if v := field[int64](f, "version"); f.err == nil && v != envelopeVersion {
		return nil, fmt.Errorf("version %d is not known; this program knows version %d", v, envelopeVersion)
	}
	e := &Envelope{
		Algorithm: field[string](f, "algorithm"),
		manifest:  field[[]byte](f, "manifest"),
		signature: field[[]byte](f, "signature"),
	}
	certificates := field[[]any](f, "certificates")
	if err := f.done(); err != nil {
		return nil, err
	}
	if e.Certificates, err = parseCertificates(certificates); err != nil {
		return nil, err
	}
	if e.Manifest, err = parseManifest(e.manifest); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	e.CDHash = CDHash(e.manifest)
	return e, e.checkForm()
}

func parseCertificates(list []any) (certificates []*x509.Certificate, err error) {
	if len(list) > MaxCertificates {
		return nil, fmt.Errorf("%d certificates are more than the %d that it may have", len(list), MaxCertificates)
	}
	for i, v := range list {
		der, ok := v.([]byte)
		if !ok {
			return nil, errors.New("a certificate that is no data")
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", i, err)
		}
		certificates = append(certificates, c)
	}
	return certificates, nil
}

// checkForm holds the algorithm, the certificates and the team to each other.
func (e *Envelope) checkForm() error {
	signed := e.Algorithm == ECDSA || e.Algorithm == Ed25519
	switch {
	case !signed && e.Algorithm != AdHoc:
		return fmt.Errorf("unknown algorithm %q", e.Algorithm)
	case signed && len(e.Certificates) == 0:
		return errors.New("no certificate")
	case signed && e.Manifest.Team == "":
		return errors.New("signed, but without a team")
	case !signed && (len(e.Certificates) > 0 || len(e.signature) > 0):
		return errors.New("certificates or a signature, but no algorithm")
	case !signed && e.Manifest.Team != "":
		return errors.New("a team, but no signature")
	}
	return nil
}

// checkSignature asks whether the leaf's key signed the manifest.
func (e *Envelope) checkSignature() error {
	if e.Algorithm == AdHoc {
		return nil
	}
	leaf := e.Certificates[0]
	if algorithmOf(leaf.PublicKey) != e.Algorithm {
		return fail(ErrSignature, "signature is %s, but the key of certificate %q is another: sign the program again", e.Algorithm, leaf.Subject)
	}
	message := append([]byte(signedPrefix), e.manifest...)
	good := false
	switch key := leaf.PublicKey.(type) {
	case *ecdsa.PublicKey:
		sum := sha256.Sum256(message)
		good = ecdsa.VerifyASN1(key, sum[:], e.signature)
	case ed25519.PublicKey:
		good = ed25519.Verify(key, message, e.signature)
	}
	if !good {
		return fail(ErrSignature, "signature of %s is not one of certificate %q: the manifest was changed, or the key is another", e.Manifest.Identifier, leaf.Subject)
	}
	return nil
}
