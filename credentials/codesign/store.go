package codesign

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// SignaturePath is where a store keeps the signature of a program with this digest.
func SignaturePath(store string, d Digest) string {
	s := d.String()
	return filepath.Join(store, s[:2], s[2:]+".xsig")
}

// StoreSignature writes the envelope under the digest of each file that its manifest
// lists, and gives the paths. What was there is replaced at once, never seen half-written.
func StoreSignature(store string, e *Envelope) (paths []string, err error) {
	for _, f := range e.Manifest.Files {
		path := SignaturePath(store, f.Digest)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, err
		}
		if err := WriteFile(path, e.Encode(), 0o644); err != nil {
			return nil, err
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// WriteFile replaces a file at once.
func WriteFile(path string, b []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".xpcsign-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails after the rename
	_, err = f.Write(b)
	if err = firstError(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.Rename(f.Name(), path)
}

// ReadEnvelope reads a file that holds an envelope.
func ReadEnvelope(path string) (*Envelope, error) {
	b, err := readFile(path, MaxEnvelope)
	if err != nil {
		return nil, err
	}
	e, err := ParseEnvelope(b)
	if err != nil {
		return nil, fail(ErrMalformed, "%s: %w", path, err)
	}
	return e, nil
}

// stores lists the folders of signatures, for texts and look-ups.
func stores(places []Place) (dirs []string) {
	for _, p := range places {
		if p.Store != "" && !slices.Contains(dirs, p.Store) {
			dirs = append(dirs, p.Store)
		}
	}
	return dirs
}

// Signatures gives the files that the stores have for a program, in the order of
// the places.
func Signatures(places []Place, d Digest) (paths []string) {
	for _, dir := range stores(places) {
		path := SignaturePath(dir, d)
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			paths = append(paths, path)
		}
	}
	return paths
}
