package codesign

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// Signer is who signs: a key and the certificates that vouch for it. Its file, for
// which PEM is used, has the private key (PKCS #8) and the certificates, leaf first.
type Signer struct {
	// Key is the leaf's.
	Key crypto.Signer
	// Certificates are as in an Envelope: the leaf first, the anchor left out.
	Certificates []*x509.Certificate
}

// Team is the leaf's organizational unit; "" if it has none.
func (s *Signer) Team() string {
	if len(s.Certificates) == 0 || len(s.Certificates[0].Subject.OrganizationalUnit) != 1 {
		return ""
	}
	return s.Certificates[0].Subject.OrganizationalUnit[0]
}

// Sign makes an envelope of a manifest of this team.
func (s *Signer) Sign(m *Manifest) (*Envelope, error) { return Sign(m, s.Key, s.Certificates) }

// NewTeam makes a signer with a new certificate, and the anchor's certificate, which
// vouches for it. The anchor's key is thrown away: nobody can ever make another
// certificate of this anchor. algorithm is ECDSA or Ed25519; "" is ECDSA.
func NewTeam(team, algorithm string, from, to time.Time) (*Signer, *x509.Certificate, error) {
	if err := CheckTeam(team); err != nil {
		return nil, nil, err
	}
	root, err := newKey(algorithm)
	if err != nil {
		return nil, nil, err
	}
	leaf, err := newKey(algorithm)
	if err != nil {
		return nil, nil, err
	}
	template := func(name string) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber:          serial(),
			Subject:               pkix.Name{CommonName: name, OrganizationalUnit: []string{team}},
			NotBefore:             from,
			NotAfter:              to,
			BasicConstraintsValid: true,
		}
	}
	authority := template(team + " anchor")
	authority.IsCA, authority.MaxPathLenZero, authority.KeyUsage = true, true, x509.KeyUsageCertSign
	anchor, err := issue(authority, authority, root.Public(), root)
	if err != nil {
		return nil, nil, err
	}
	signing := template(team + " signing")
	signing.KeyUsage, signing.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}
	certificate, err := issue(signing, anchor, leaf.Public(), root)
	if err != nil {
		return nil, nil, err
	}
	return &Signer{leaf, []*x509.Certificate{certificate}}, anchor, nil
}

func newKey(algorithm string) (crypto.Signer, error) {
	switch algorithm {
	case ECDSA, "":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case Ed25519:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
	return nil, fmt.Errorf("unknown algorithm %q: there are %s and %s", algorithm, ECDSA, Ed25519)
}

func serial() *big.Int {
	b := make([]byte, 16)
	rand.Read(b) // never fails
	b[0] &= 0x7f
	return new(big.Int).SetBytes(b)
}

func issue(template, parent *x509.Certificate, key crypto.PublicKey, by crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key, by)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// Format gives the file that ParseSigner reads. It holds the private key.
func (s *Signer) Format() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(s.Key)
	if err != nil {
		return nil, err
	}
	b := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	for _, c := range s.Certificates {
		b = append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return b, nil
}

// ParseSigner reads a signer's file.
func ParseSigner(b []byte) (*Signer, error) {
	s := &Signer{}
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			break
		}
		if err := s.add(block); err != nil {
			return nil, err
		}
	}
	switch {
	case len(bytes.TrimSpace(b)) > 0:
		return nil, errors.New("something that is not PEM follows the last block")
	case s.Key == nil:
		return nil, errors.New("no private key (a block PRIVATE KEY, in PKCS #8 and without a password)")
	case len(s.Certificates) == 0:
		return nil, errors.New("no certificate: append the leaf's, and what leads from it to the anchor")
	}
	if key, ok := s.Key.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !key.Equal(s.Certificates[0].PublicKey) {
		return nil, errors.New("the first certificate is not the private key's")
	}
	return s, nil
}

func (s *Signer) add(block *pem.Block) error {
	switch block.Type {
	case "CERTIFICATE":
		c, err := x509.ParseCertificate(block.Bytes)
		s.Certificates = append(s.Certificates, c)
		return err
	case "PRIVATE KEY":
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return err
		}
		signer, ok := key.(crypto.Signer)
		if !ok || s.Key != nil || algorithmOf(signer.Public()) == "" {
			return errors.New("the private key is none of P-256 or Ed25519, or there is another one")
		}
		s.Key = signer
		return nil
	}
	return fmt.Errorf("a block %q, which is neither PRIVATE KEY nor CERTIFICATE", block.Type)
}
