package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/openxpc/openxpc/credentials/codesign"
)

func (t *tool) trustPackageCommand() *cobra.Command {
	var name, prefix, entitlements string
	var remove bool
	c := &cobra.Command{
		Use:   "trust-package [flags] PROGRAM...",
		Short: "Make the programs of a package part of the platform",
		Long: `trust-package adds a package's programs to the trust cache: they count as the
system's own. It is for the hooks of a package manager, as root. A program that has no
signature gets one ad hoc. "-" reads the paths from the standard input; of these,
what is neither a compiled program nor a library is left out. All must belong to root, on paths that only
root can change.

The package's list, NAME.list, is replaced; --remove takes it away.`,
		Example: `  dpkg -L example-tools | xpcsign trust-package --name example-tools --prefix com.example. -
  xpcsign trust-package --name example-tools --remove`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if err := codesign.CheckIdentifier(name); err != nil {
				return usageOf(c, "--name: %v", err)
			}
			if len(args) == 0 && !remove {
				return usageOf(c, "PROGRAM is missing")
			}
			places, mine, err := t.places()
			if err != nil {
				return err
			}
			if mine.User {
				return errors.New("no user can add to the platform: run it as root, or with --root")
			}
			list := filepath.Join(mine.Platform, name+".list")
			if remove {
				return os.Remove(list)
			}
			p := &packager{t: t, places: places, mine: mine, prefix: prefix}
			if p.entitlements, err = readPlist(entitlements); err != nil {
				return err
			}
			return p.pack(args, list)
		},
	}
	f := c.Flags()
	f.StringVar(&name, "name", "", "`name` of the package")
	f.StringVar(&prefix, "prefix", "", "what stands before a file's name in the program's `identifier`")
	f.StringVar(&entitlements, "entitlements", "", "property list `file` of what all of its programs may do")
	f.BoolVar(&remove, "remove", false, "the package is gone: take its list away")
	return c
}

// packager makes one package's list.
type packager struct {
	t            *tool
	places       []codesign.Place
	mine         codesign.Place
	prefix       string
	entitlements map[string]any
	list         bytes.Buffer
}

func (p *packager) pack(paths []string, list string) error {
	lenient := slices.Equal(paths, []string{"-"})
	if lenient {
		var err error
		if paths, err = p.t.readInput(); err != nil {
			return err
		}
	}
	n := 0
	for _, path := range paths {
		if info, err := os.Stat(path); lenient && (err != nil || !info.Mode().IsRegular() || !isExecutable(info) && !isLibrary(path) || isScript(path)) {
			continue
		}
		if err := p.add(path); err != nil {
			return err
		}
		n++
	}
	if err := writeTrusted(p.mine, list, p.list.Bytes()); err != nil {
		return err
	}
	if p.t.json {
		return p.t.printJSON(map[string]any{"list": list, "programs": n})
	}
	p.t.printf("%s: %d programs\n", list, n)
	return nil
}

// isLibrary: many are not executable.
func isLibrary(path string) bool {
	return (strings.HasSuffix(path, ".so") || strings.Contains(filepath.Base(path), ".so.")) && begins(path, "\x7fELF")
}

func isScript(path string) bool { return begins(path, "#!") }

func begins(path, with string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	begin := make([]byte, len(with))
	n, _ := f.ReadAt(begin, 0)
	return string(begin[:n]) == with
}

// add puts a program on the list. Who could change it meanwhile could put anything on.
func (p *packager) add(path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	if err := codesign.CheckOwner(path, p.mine.Owner); err != nil {
		return &statusError{exitRefused, err}
	}
	file, err := describe(path)
	if err != nil {
		return err
	}
	e, err := p.signature(path, file)
	if err != nil {
		return err
	}
	fmt.Fprintf(&p.list, "cdhash %x # %s %q\n", e.CDHash, e.Manifest.Identifier, path)
	return nil
}

// signature is the one that the system's stores have, or a new one.
func (p *packager) signature(path string, file codesign.File) (*codesign.Envelope, error) {
	for _, found := range codesign.Signatures(p.places, file.Digest) {
		if e, err := codesign.ReadEnvelope(found); err == nil {
			return e, nil
		}
	}
	m := &codesign.Manifest{
		Identifier: p.prefix + strings.ReplaceAll(filepath.Base(path), "+", "_"), Created: now(), // g++, libstdc++.so.6
		Files: []codesign.File{file}, Entitlements: p.entitlements,
	}
	e, err := codesign.Sign(m, nil, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	_, err = codesign.StoreSignature(p.mine.Store, e)
	return e, err
}
