package main

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/openxpc/openxpc/credentials/codesign"
	"github.com/openxpc/openxpc/credentials/requirement"
)

// codeFlags are the names of --options.
var codeFlags = map[string]requirement.CodeFlags{
	"hardened":           requirement.Hardened,
	"library-validation": requirement.LibraryValidation,
	"get-task-allow":     requirement.GetTaskAllow,
}

type signFlags struct {
	identifier, team, entitlements, info, key, output string
	options                                           []string
	noMarker, force                                   bool
}

func (t *tool) signCommand() *cobra.Command {
	var o signFlags
	c := &cobra.Command{
		Use:   "sign [flags] PROGRAM...",
		Short: "Sign a program",
		Long: `sign makes a signature of PROGRAM and puts it into the store, or into a file with
--output. The program is not changed. With more than one PROGRAM the files are one
program for several architectures, under one signature.

--key is a file with a private key and its certificates in PEM, or the name of a
team that keygen made, or "-": ad hoc, a signature by nobody, which says what the
program is called and grants nothing.

Interpreters and scripts must not be signed: they run what they are told.`,
		Example: `  xpcsign sign --identifier com.example.tool --entitlements tool.plist --key EXAMPLE123 ./tool
  xpcsign sign -i com.example.tool -s release.pem --output tool.xsig ./tool`,
		Args: between(1, codesign.MaxFiles),
		RunE: func(c *cobra.Command, args []string) error { return t.sign(c, &o, args) },
	}
	f := c.Flags()
	f.StringVarP(&o.identifier, "identifier", "i", "", "`name` of the program; its file's name if not given")
	f.StringVar(&o.team, "team", "", "`team` that signs; that of the key if not given")
	f.StringVar(&o.entitlements, "entitlements", "", "property list `file` of what the program may do")
	f.StringVar(&o.info, "info", "", "property list `file` of what the program says of itself (Info.plist)")
	f.StringVarP(&o.key, "key", "s", "", "`file`, team or - to sign with")
	f.StringSliceVarP(&o.options, "options", "o", nil, "`flags`: hardened, library-validation, get-task-allow")
	f.BoolVar(&o.noMarker, "no-marker", false, "the program must not be set-group-id (it loads code of others)")
	f.StringVar(&o.output, "output", "", "write the signature into this `file`, not into the store")
	f.BoolVarP(&o.force, "force", "f", false, "replace a signature")
	return c
}

func (t *tool) sign(c *cobra.Command, o *signFlags, paths []string) error {
	if o.key == "" {
		return usageOf(c, "--key is missing: a file, a team that keygen made, or - for ad hoc")
	}
	m, err := o.manifest(c, paths)
	if err != nil {
		return err
	}
	envelope, err := o.seal(c, m)
	if err != nil {
		return err
	}
	written, err := t.put(o, envelope)
	if err != nil {
		return err
	}
	if t.json {
		d := signatureJSON(envelope)
		d["files"] = written
		return t.printJSON(d)
	}
	for _, path := range written {
		t.printf("%s: signed %s, cdhash %x\n", path, m.Identifier, envelope.CDHash)
	}
	return nil
}

// manifest describes the programs.
func (o *signFlags) manifest(c *cobra.Command, paths []string) (m *codesign.Manifest, err error) {
	m = &codesign.Manifest{Identifier: o.identifier, Created: now()}
	if m.Identifier == "" {
		m.Identifier = filepath.Base(paths[0])
	}
	if err := codesign.CheckIdentifier(m.Identifier); err != nil {
		return nil, usageOf(c, "--identifier: %v", err)
	}
	for _, name := range o.options {
		if codeFlags[name] == 0 {
			return nil, usageOf(c, "--options: unknown flag %q", name)
		}
		m.Flags |= codeFlags[name]
	}
	if m.Entitlements, err = readPlist(o.entitlements); err != nil {
		return nil, err
	}
	if m.Info, err = readPlist(o.info); err != nil {
		return nil, err
	}
	for _, path := range paths {
		file, err := describe(path)
		if err != nil {
			return nil, err
		}
		m.Files = append(m.Files, file)
	}
	slices.SortFunc(m.Files, func(a, b codesign.File) int { return bytes.Compare(a.Digest[:], b.Digest[:]) })
	m.Files = slices.CompactFunc(m.Files, func(a, b codesign.File) bool { return a.Digest == b.Digest })
	return m, nil
}

// describe measures one file. What only names an interpreter is refused.
func describe(path string) (codesign.File, error) {
	p, err := openProgram(path)
	if err != nil {
		return codesign.File{}, err
	}
	defer p.file.Close()
	begin := make([]byte, 2)
	if n, _ := p.file.ReadAt(begin, 0); string(begin[:n]) == "#!" {
		return codesign.File{}, badFile(fmt.Errorf("%s is a script: what runs is its interpreter, which runs other scripts as well; sign a compiled program", path))
	}
	file := codesign.File{Digest: p.digest, Size: p.size}
	if e, err := elf.NewFile(p.file); err == nil {
		file.Arch = strings.ToLower(strings.TrimPrefix(e.Machine.String(), "EM_"))
	}
	return file, nil
}

// seal signs the manifest with what --key names.
func (o *signFlags) seal(c *cobra.Command, m *codesign.Manifest) (*codesign.Envelope, error) {
	if o.key == "-" {
		if o.team != "" {
			return nil, usageOf(c, "--team without a key: nobody vouches for it")
		}
		return codesign.Sign(m, nil, nil)
	}
	signer, err := readSigner(o.key)
	if err != nil {
		return nil, err
	}
	m.Team = signer.Team()
	if m.Team == "" {
		return nil, badFile(fmt.Errorf("%s: the certificate has not one organizational unit: that is the team", o.key))
	}
	if o.team != "" && o.team != m.Team {
		return nil, usageOf(c, "--team %s: the certificate of the key is team %s's", o.team, m.Team)
	}
	if !o.noMarker {
		m.Marker = codesign.MarkerName(m.Team, m.Identifier)
	}
	return signer.Sign(m)
}

// readSigner reads a key's file, which must be nobody else's.
func readSigner(key string) (*codesign.Signer, error) {
	path := key
	if _, err := os.Stat(key); errors.Is(err, fs.ErrNotExist) && filepath.Base(key) == key {
		dir, err := keys()
		if err != nil {
			return nil, err
		}
		if path = filepath.Join(dir, key+".pem"); !exists(path) {
			return nil, fmt.Errorf("--key %s: no such file, and no such team in %s: xpcsign keygen makes one", key, dir)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, badFile(fmt.Errorf("%s holds a private key, and others have access (mode %04o): chmod 600 %s", path, info.Mode().Perm(), path))
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	signer, err := codesign.ParseSigner(b)
	if err != nil {
		return nil, badFile(fmt.Errorf("%s: %w", path, err))
	}
	return signer, nil
}

// put writes the signature where it belongs.
func (t *tool) put(o *signFlags, e *codesign.Envelope) (written []string, err error) {
	_, mine, err := t.places()
	if err != nil {
		return nil, err
	}
	written = []string{o.output}
	if o.output == "" {
		written = nil
		for _, f := range e.Manifest.Files {
			written = append(written, codesign.SignaturePath(mine.Store, f.Digest))
		}
	}
	for _, path := range written {
		if !o.force && exists(path) {
			return nil, fmt.Errorf("%s is there already: --force replaces it", path)
		}
	}
	if o.output != "" {
		return written, codesign.WriteFile(o.output, e.Encode(), 0o644)
	}
	return codesign.StoreSignature(mine.Store, e)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
