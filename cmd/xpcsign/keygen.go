package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/openxpc/openxpc/credentials/codesign"
)

type keygenFlags struct {
	team, algorithm, category, output string
	entitlements                      []string
	days                              int
	noTrust, force                    bool
}

func (t *tool) keygenCommand() *cobra.Command {
	var o keygenFlags
	c := &cobra.Command{
		Use:   "keygen [flags]",
		Short: "Make a team: a signing key, and an anchor to trust",
		Long: `keygen makes a key to sign with, TEAM.pem, and the anchor that vouches for it,
TEAM.anchor.pem, in ~/.config/xpc/keys, and trusts the anchor in the user's place
(root: the system's). Others trust the team by xpcsign trust add TEAM.anchor.pem.

The team can grant the entitlements that --entitlement names, and no other. The
anchor's own key is thrown away: a new key is a new anchor.`,
		Example: `  xpcsign keygen --team EXAMPLE123 --entitlement 'com.example.*'`,
		Args:    between(0, 0),
		RunE:    func(c *cobra.Command, _ []string) error { return t.keygen(c, &o) },
	}
	f := c.Flags()
	f.StringVar(&o.team, "team", "", "`name` of the team, the certificates' organizational unit")
	f.StringArrayVar(&o.entitlements, "entitlement", nil, "an entitlement that it may grant; a `name`, or the beginning of names and *")
	f.StringVar(&o.algorithm, "algorithm", codesign.ECDSA, "`name` of the algorithm: "+codesign.ECDSA+" or "+codesign.Ed25519)
	f.StringVar(&o.category, "category", string(codesign.Developer), "what its signatures are worth: developer or local")
	f.IntVar(&o.days, "days", 3650, "for how many `days` it is valid")
	f.StringVar(&o.output, "output", "", "`folder` of the two files, instead of ~/.config/xpc/keys")
	f.BoolVar(&o.noTrust, "no-trust", false, "do not trust it here")
	f.BoolVarP(&o.force, "force", "f", false, "replace a team of the same name")
	return c
}

func (t *tool) keygen(c *cobra.Command, o *keygenFlags) error {
	if err := codesign.CheckTeam(o.team); err != nil {
		return usageOf(c, "--team: %v", err)
	}
	if o.days <= 0 || o.days > 36500 {
		return usageOf(c, "--days %d is not from 1 to 36500", o.days)
	}
	anchor := &codesign.Anchor{Category: codesign.Category(o.category), Teams: []string{o.team}, Entitlements: o.entitlements}
	from := now().Add(-skew)
	signer, certificate, err := codesign.NewTeam(o.team, o.algorithm, from, from.AddDate(0, 0, o.days))
	if err != nil {
		return usageOf(c, "--algorithm: %v", err)
	}
	anchor.Certificate = certificate
	text := anchor.Format()
	if _, err := codesign.ParseAnchor(o.team, text); err != nil { // the flags' mistakes
		return usageOf(c, "%v", err)
	}
	key, err := signer.Format()
	if err != nil {
		return err
	}
	return t.keep(o, key, text)
}

// skew allows for clocks that are behind this one.
const skew = 5 * 60 * 1e9

// keep writes the key and the anchor.
func (t *tool) keep(o *keygenFlags, key, anchor []byte) (err error) {
	dir := o.output
	if dir == "" {
		if dir, err = keys(); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	keyFile, anchorFile := filepath.Join(dir, o.team+".pem"), filepath.Join(dir, o.team+".anchor.pem")
	if !o.force && exists(keyFile) {
		return fmt.Errorf("%s is there already: --force replaces it, and what it signed is valid only as long as its anchor is trusted", keyFile)
	}
	if err := codesign.WriteFile(keyFile, key, 0o600); err != nil {
		return err
	}
	if err := codesign.WriteFile(anchorFile, anchor, 0o644); err != nil {
		return err
	}
	answer := map[string]any{"team": o.team, "key": keyFile, "anchor": anchorFile}
	if !o.noTrust {
		_, mine, err := t.places()
		if err != nil {
			return err
		}
		trusted := filepath.Join(mine.Trust, o.team+".pem")
		if err := writeTrusted(mine, trusted, anchor); err != nil {
			return err
		}
		answer["trusted"] = trusted
	}
	if t.json {
		return t.printJSON(answer)
	}
	t.printf("key: %s\nanchor: %s\n", keyFile, anchorFile)
	if trusted := answer["trusted"]; trusted != nil {
		t.printf("trusted: %s\n", trusted)
	}
	return nil
}

// writeTrusted writes a file of a place, and asks whether the place will accept it.
func writeTrusted(p codesign.Place, path string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := codesign.CheckOwner(filepath.Dir(path), p.Owner); err != nil {
		return err
	}
	return codesign.WriteFile(path, b, 0o644)
}
