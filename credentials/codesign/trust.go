package codesign

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	maxList  = 16 << 20
	maxLists = 1024
)

// Trust is what the places say at one moment.
type Trust struct {
	// Anchors are in the order of the places, and by name in each.
	Anchors []*Anchor
	// Problems are the files that count for nothing, each with a reason and a remedy.
	Problems []error
	// Broken is why nothing can be verified at all; nil if all is well.
	Broken error

	deny, platform items
	sum            [sha256.Size]byte // of all that was read
}

// LoadTrust reads the places' anchors, deny lists and trust caches.
func LoadTrust(places []Place) *Trust {
	l := loader{t: &Trust{deny: items{}, platform: items{}}}
	for _, p := range places {
		l.each(p, p.Trust, ".pem", maxAnchor, maxAnchors, func(path string, b []byte) error { return l.anchor(p, path, b) })
		if !p.User {
			l.each(p, p.Platform, ".list", maxList, maxLists, func(path string, b []byte) error { return l.t.platform.add(path, b, "cdhash") })
		}
		if p.Deny != "" && l.t.Broken == nil {
			l.t.Broken = l.denied(p)
		}
	}
	l.t.sum = sha256.Sum256(l.all.Bytes())
	return l.t
}

type loader struct {
	t   *Trust
	all bytes.Buffer
}

// each reads the files of a folder; what goes wrong with one is a problem of that one.
func (l *loader) each(p Place, dir, suffix string, limit int64, most int, use func(path string, b []byte) error) {
	paths, err := entries(dir, suffix)
	if len(paths) > 0 {
		err = CheckOwner(dir, p.Owner)
	}
	if err != nil {
		l.problem(err)
		return
	}
	if len(paths) > most {
		l.problem(fmt.Errorf("%s has %d files, more than the %d that are read", dir, len(paths), most))
		paths = paths[:most]
	}
	for _, path := range paths {
		b, err := l.read(p, path, limit)
		if err == nil {
			err = use(path, b)
		}
		if err != nil {
			l.problem(err)
		}
	}
}

func (l *loader) problem(err error) {
	l.t.Problems = append(l.t.Problems, fail(ErrTrust, "%w", err))
	fmt.Fprintf(&l.all, "\x00problem %v", err)
}

// read reads a file that nobody else can have written.
func (l *loader) read(p Place, path string, limit int64) ([]byte, error) {
	if err := CheckOwner(path, p.Owner); err != nil {
		return nil, err
	}
	b, err := readFile(path, limit)
	fmt.Fprintf(&l.all, "\x00%s\x00%d\x00%s", path, len(b), b)
	return b, err
}

func (l *loader) anchor(p Place, path string, b []byte) error {
	a, err := ParseAnchor(strings.TrimSuffix(filepath.Base(path), ".pem"), b)
	if err != nil {
		return err
	}
	if p.User && a.Category == Platform {
		return fmt.Errorf("%s: no user can add to the platform: make it an anchor of the system, or of category developer", path)
	}
	a.Path = path
	l.t.Anchors = append(l.t.Anchors, a)
	return nil
}

// denied reads a deny list. One that cannot be read might name anything.
func (l *loader) denied(p Place) error {
	b, err := l.read(p, p.Deny, maxList)
	if errors.Is(err, fs.ErrNotExist) && !exists(p.Deny) {
		return nil
	}
	if err == nil {
		err = l.t.deny.add(p.Deny, b, deniedKinds...)
	}
	if err != nil {
		fmt.Fprintf(&l.all, "\x00broken %v", err)
		return fail(ErrTrust, "nothing is verified while the deny list cannot be read: %w", err)
	}
	return nil
}

// exists: a link that leads nowhere does.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// KeyHash is how a deny list names a certificate's public key. (Its serial number and
// the hash of the whole certificate would not do: who has the key can have another
// certificate, and make one with another hash of an ECDSA certificate himself.)
func KeyHash(c *x509.Certificate) [sha256.Size]byte { return sha256.Sum256(c.RawSubjectPublicKeyInfo) }
