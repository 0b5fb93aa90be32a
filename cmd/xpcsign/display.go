package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/openxpc/openxpc/credentials/codesign"
)

func (t *tool) displayCommand() *cobra.Command {
	var signature string
	var entitlements bool
	c := &cobra.Command{
		Use:   "display [flags] PROGRAM",
		Short: "Show a signature, valid or not",
		Long: `display shows what a signature says, without asking whether it is valid. PROGRAM may
also be a file that holds a signature (.xsig). Key is how a deny list names the key
that signed; Requirement is met by this program and its later versions.`,
		Example: `  xpcsign display ./tool
  xpcsign display --entitlements tool.xsig`,
		Args: between(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			path, e, err := t.envelopeOf(args[0], signature)
			if err != nil {
				return err
			}
			switch {
			case t.json:
				d := signatureJSON(e)
				d["signature"] = path
				return t.printJSON(d)
			case entitlements:
				text, err := formatPlist(e.Manifest.Entitlements)
				t.printf("%s", text)
				return err
			}
			t.display(path, e)
			return nil
		},
	}
	c.Flags().StringVar(&signature, "signature", "", "the `file` of the signature; otherwise the stores are searched")
	c.Flags().BoolVar(&entitlements, "entitlements", false, "print the entitlements alone, as a property list")
	return c
}

// envelopeOf finds the signature to show: the named one, the file itself, or the first in the stores.
func (t *tool) envelopeOf(path, signature string) (string, *codesign.Envelope, error) {
	if signature == "" && strings.HasSuffix(path, ".xsig") {
		signature = path
	}
	if signature == "" {
		places, _, err := t.places()
		if err != nil {
			return "", nil, err
		}
		p, err := openProgram(path)
		if err != nil {
			return "", nil, err
		}
		defer p.file.Close()
		found := codesign.Signatures(places, p.digest)
		if len(found) == 0 {
			return "", nil, &statusError{exitUnsigned, fmt.Errorf("%s has no signature: no store has one for digest %s", path, p.digest)}
		}
		signature = found[0]
	}
	e, err := codesign.ReadEnvelope(signature)
	return signature, e, err
}

func (t *tool) display(path string, e *codesign.Envelope) {
	m := e.Manifest
	line := func(key, format string, a ...any) { t.printf("%s=%s\n", key, oneLine(fmt.Sprintf(format, a...))) }
	line("Signature", "%s", path)
	line("Identifier", "%s", m.Identifier)
	line("TeamIdentifier", "%s", or(m.Team, "not set"))
	line("CDHash", "%x", e.CDHash)
	line("Algorithm", "%s", e.Algorithm)
	for _, c := range e.Certificates {
		line("Authority", "%s (valid to %s)", c.Subject, c.NotAfter.UTC().Format(time.RFC3339))
		line("Key", "%x", codesign.KeyHash(c))
	}
	if n := len(e.Certificates); n > 0 {
		line("Issuer", "%s", e.Certificates[n-1].Issuer)
	}
	line("Timestamp", "%s", m.Created.Format(time.RFC3339))
	line("Flags", "%s", or(strings.Join(flagNames(m), ","), "none"))
	line("Marker", "%s", or(m.Marker, "none"))
	for _, f := range m.Files {
		line("File", "%s %d bytes %s", f.Digest, f.Size, f.Arch)
	}
	line("Info", "%d keys", len(m.Info))
	line("Entitlements", "%s", or(strings.Join(slices.Sorted(maps.Keys(m.Entitlements)), ","), "none"))
	line("Requirement", "%s", designated(e))
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func flagNames(m *codesign.Manifest) []string {
	names := []string{}
	for _, name := range slices.Sorted(maps.Keys(codeFlags)) {
		if m.Flags&codeFlags[name] != 0 {
			names = append(names, name)
		}
	}
	return names
}

// designated is the requirement that tells this program from others, as codesign makes it.
func designated(e *codesign.Envelope) string {
	if e.Algorithm == codesign.AdHoc {
		return fmt.Sprintf(`cdhash H"%x"`, e.CDHash)
	}
	return fmt.Sprintf(`identifier %q and anchor apple generic and certificate leaf[subject.OU] = %q`, e.Manifest.Identifier, e.Manifest.Team)
}

func signatureJSON(e *codesign.Envelope) map[string]any {
	m := e.Manifest
	files := []any{}
	for _, f := range m.Files {
		files = append(files, map[string]any{"digest": f.Digest.String(), "size": f.Size, "arch": f.Arch})
	}
	certificates := []any{}
	for _, c := range e.Certificates {
		certificates = append(certificates, map[string]any{
			"subject": c.Subject.String(), "issuer": c.Issuer.String(), "not_after": c.NotAfter.UTC(),
			"key": fmt.Sprintf("%x", codesign.KeyHash(c)),
		})
	}
	return map[string]any{
		"identifier": m.Identifier, "team": m.Team, "cdhash": fmt.Sprintf("%x", e.CDHash), "algorithm": e.Algorithm,
		"created": m.Created, "flags": flagNames(m), "marker": m.Marker, "programs": files, "certificates": certificates,
		"entitlements": orEmpty(m.Entitlements), "info": orEmpty(m.Info), "requirement": designated(e),
	}
}

func orEmpty(m map[string]any) map[string]any {
	if m == nil {
		return map[string]any{}
	}
	return m
}
