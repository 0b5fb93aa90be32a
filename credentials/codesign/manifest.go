package codesign

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/openxpc/openxpc/credentials"
	"github.com/openxpc/openxpc/credentials/requirement"
)

// Limits of what a manifest may hold.
const (
	// MaxManifest is the size of an encoded manifest in bytes.
	MaxManifest = 64 << 10
	// MaxFiles is how many files a manifest lists.
	MaxFiles = 64
	// MaxName is the length of an identifier in bytes; a team has at most 64.
	MaxName = 255

	maxTeam = 64
)

const manifestVersion = 1

// Manifest is what is signed: which program it is, and which files are it. Its
// zero value is not valid: an identifier, a date and a file are needed.
type Manifest struct {
	// Identifier is the program's name, as "com.example.tool": letters, digits, '.', '-' and '_'.
	Identifier string
	// Team is who signs; it must be the leaf certificate's organizational unit. "": ad-hoc.
	Team string
	// Flags are what the signature asks of the system.
	Flags requirement.CodeFlags
	// Marker is the group that the kernel grants to the installed program at exec:
	// MarkerName(Team, Identifier), or "" for a program that must not have one.
	Marker string
	// Files are the program: one for each architecture, as a rule.
	Files []File
	// Info and Entitlements are property lists: string, int64, float64, bool,
	// []byte, time.Time of whole seconds, []any and map[string]any. nil means empty.
	Info, Entitlements map[string]any
	// Created is when the manifest was signed, in whole seconds; the certificates
	// have to be valid at this time.
	Created time.Time
}

// File is one file that is the program.
type File struct {
	// Digest is the fs-verity digest.
	Digest Digest
	// Size is in bytes.
	Size int64
	// Arch is what it was built for ("amd64"), for people; "" says nothing.
	Arch string
}

// Encode gives the one encoding of the manifest. The error says which field is not valid.
func (m *Manifest) Encode() ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, fail(ErrMalformed, "manifest: %v", err)
	}
	files := []any{}
	for _, f := range m.Files {
		files = append(files, map[string]any{"digest": f.Digest[:], "size": f.Size, "arch": f.Arch})
	}
	b, err := appendValue(nil, map[string]any{
		"version":      int64(manifestVersion),
		"identifier":   m.Identifier,
		"team":         m.Team,
		"flags":        int64(m.Flags),
		"marker":       m.Marker,
		"files":        files,
		"info":         orEmpty(m.Info),
		"entitlements": orEmpty(m.Entitlements),
		"created":      m.Created,
	}, 0)
	if err == nil && len(b) > MaxManifest {
		err = fmt.Errorf("%d bytes are more than the %d that a manifest may have", len(b), MaxManifest)
	}
	if err != nil {
		return nil, fail(ErrMalformed, "manifest: %w", err)
	}
	return b, nil
}

// ParseManifest reads what Encode wrote, and nothing else: what it accepts encodes
// to the same bytes.
func ParseManifest(b []byte) (*Manifest, error) {
	m, err := parseManifest(b)
	if err != nil {
		return nil, fail(ErrMalformed, "manifest: %v", err)
	}
	return m, nil
}

func parseManifest(b []byte) (*Manifest, error) {
	if len(b) > MaxManifest {
		return nil, fmt.Errorf("%d bytes are more than the %d that a manifest may have", len(b), MaxManifest)
	}
	all, err := decodeMap(b)
	if err != nil {
		return nil, err
	}
	f := &fields{m: all}
	if v := field[int64](f, "version"); f.err == nil && v != manifestVersion {
		return nil, fmt.Errorf("version %d is not known; this program knows version %d", v, manifestVersion)
	}
	m := &Manifest{
		Identifier:   field[string](f, "identifier"),
		Team:         field[string](f, "team"),
		Marker:       field[string](f, "marker"),
		Info:         field[map[string]any](f, "info"),
		Entitlements: field[map[string]any](f, "entitlements"),
		Created:      field[time.Time](f, "created"),
	}
	flags := field[int64](f, "flags")
	if flags < 0 || flags > int64(knownFlags) {
		return nil, fmt.Errorf("flags %#x are not all known", flags)
	}
	m.Flags = requirement.CodeFlags(flags)
	for _, v := range field[[]any](f, "files") {
		file, err := parseFile(v)
		if err != nil {
			return nil, fmt.Errorf("files: %w", err)
		}
		m.Files = append(m.Files, file)
	}
	if err := f.done(); err != nil {
		return nil, err
	}
	return m, m.check()
}

func parseFile(v any) (File, error) {
	m, ok := v.(map[string]any)
	if !ok {
		return File{}, errors.New("not a list of maps")
	}
	f := &fields{m: m}
	file := File{Size: field[int64](f, "size"), Arch: field[string](f, "arch")}
	digest := field[[]byte](f, "digest")
	if f.err == nil && len(digest) != len(file.Digest) {
		return File{}, fmt.Errorf("a digest of %d bytes, not of %d", len(digest), len(file.Digest))
	}
	copy(file.Digest[:], digest)
	return file, f.done()
}

const knownFlags = requirement.Hardened | requirement.LibraryValidation | requirement.GetTaskAllow

// check holds what both directions demand.
func (m *Manifest) check() error {
	if err := CheckIdentifier(m.Identifier); err != nil {
		return err
	}
	if m.Team != "" {
		if err := CheckTeam(m.Team); err != nil {
			return err
		}
	}
	switch {
	case m.Flags&^knownFlags != 0:
		return fmt.Errorf("flags %#x are not all known", m.Flags)
	case m.Marker != "" && m.Marker != MarkerName(m.Team, m.Identifier):
		return fmt.Errorf("marker %q is not this program's: that is %s", m.Marker, MarkerName(m.Team, m.Identifier))
	case m.Created.IsZero():
		return errors.New("created is missing")
	case m.Created.Year() < 0 || m.Created.Year() > 9999:
		return errors.New("created is outside the years 0 to 9999")
	case len(m.Files) == 0:
		return errors.New("no file is listed")
	case len(m.Files) > MaxFiles:
		return fmt.Errorf("%d files are more than the %d that a manifest may list", len(m.Files), MaxFiles)
	}
	for i, f := range m.Files {
		if f.Size < 0 {
			return fmt.Errorf("files: size %d", f.Size)
		}
		if i > 0 && bytes.Compare(m.Files[i-1].Digest[:], f.Digest[:]) >= 0 {
			return errors.New("files are not in the order of their digests, or one is there twice")
		}
	}
	return nil
}

// CheckIdentifier finds mistakes in an identifier.
func CheckIdentifier(s string) error { return checkName("identifier", s, MaxName) }

// CheckTeam finds mistakes in a team's name, which follows the rules of identifiers and has at most 64 bytes.
func CheckTeam(s string) error { return checkName("team", s, maxTeam) }

func checkName(what, s string, limit int) error {
	switch {
	case s == "":
		return fmt.Errorf("%s is empty", what)
	case len(s) > limit:
		return fmt.Errorf("%s has %d bytes, more than the %d that it may have", what, len(s), limit)
	case strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") != "":
		return fmt.Errorf("%s %q has other characters than letters, digits, '.', '-' and '_'", what, s)
	case s[0] == '.' || s[0] == '-':
		return fmt.Errorf("%s %q begins with %q", what, s, s[0])
	}
	return nil
}

// MarkerName is the name of the group that marks a program: "_xpc_" and the first 16
// hexadecimal digits of the SHA-256 of team, a zero byte and identifier.
func MarkerName(team, identifier string) string {
	sum := sha256.Sum256([]byte(team + "\x00" + identifier))
	return credentials.MarkerPrefix + hex.EncodeToString(sum[:8])
}

// CDHash names a manifest in requirements and lists: the first 20 bytes of the SHA-256
// of its encoding, as the text language wants 40 hexadecimal digits.
func CDHash(manifest []byte) [20]byte {
	sum := sha256.Sum256(manifest)
	return [20]byte(sum[:20])
}

func orEmpty(m map[string]any) map[string]any {
	if m == nil {
		return map[string]any{}
	}
	return m
}
