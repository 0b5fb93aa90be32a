package main

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/openxpc/openxpc/credentials/codesign"
)

func (t *tool) trustCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "trust COMMAND",
		Short:   "Say whose signatures count, and for what",
		Example: "  xpcsign trust list",
		Args:    cobra.ArbitraryArgs,
		RunE:    noCommand,
	}
	c.AddCommand(t.trustAddCommand(), t.trustListCommand(), t.trustRemoveCommand())
	return c
}

type trustFlags struct {
	name, category      string
	teams, entitlements []string
	validNow, force     bool
}

func (t *tool) trustAddCommand() *cobra.Command {
	var o trustFlags
	c := &cobra.Command{
		Use:   "add [flags] FILE",
		Short: "Trust an anchor",
		Long: `add trusts the authority whose certificate is in FILE, in PEM, to vouch for teams.
What stands before the certificate says what for, as keygen writes it (category: ...,
team: ..., entitlement: ..., valid: now); flags count instead of it.`,
		Example: `  sudo xpcsign trust add EXAMPLE123.anchor.pem
  sudo xpcsign trust add --category developer --team EXAMPLE123 --entitlement 'com.example.*' ca.pem`,
		Args: between(1, 1),
		RunE: func(c *cobra.Command, args []string) error { return t.trustAdd(c, &o, args[0]) },
	}
	f := c.Flags()
	f.StringVar(&o.name, "name", "", "`name` of the anchor; the file's if not given")
	f.StringVar(&o.category, "category", "", "what its signatures are worth: platform, developer or local")
	f.StringArrayVar(&o.teams, "team", nil, "a `team` that it vouches for; * for all")
	f.StringArrayVar(&o.entitlements, "entitlement", nil, "an entitlement that it may grant; a `name`, or the beginning of names and *")
	f.BoolVar(&o.validNow, "valid-now", false, "certificates have to be valid now, not only when they signed")
	f.BoolVarP(&o.force, "force", "f", false, "replace an anchor of the same name")
	return c
}

func (t *tool) trustAdd(c *cobra.Command, o *trustFlags, path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	a, err := o.anchor(c, path, b)
	if err != nil {
		return err
	}
	_, mine, err := t.places()
	if err != nil {
		return err
	}
	if mine.User && a.Category == codesign.Platform {
		return fmt.Errorf("%s: no user can add to the platform: --system, as root, can", path)
	}
	if t.root == "" && !mine.User && os.Geteuid() != 0 {
		return fmt.Errorf("%s: only root adds to the system's trust: sudo xpcsign trust add", path)
	}
	if a.Path = filepath.Join(mine.Trust, a.Name+".pem"); !o.force && exists(a.Path) {
		return fmt.Errorf("%s is there already: --force replaces it", a.Path)
	}
	if err := writeTrusted(mine, a.Path, a.Format()); err != nil {
		return err
	}
	return t.printAnchor(a)
}

// anchor reads the file, and changes it by the flags.
func (o *trustFlags) anchor(c *cobra.Command, path string, b []byte) (*codesign.Anchor, error) {
	name := o.name
	if name == "" {
		name = strings.TrimSuffix(strings.TrimSuffix(filepath.Base(path), ".pem"), ".anchor")
	}
	if err := codesign.CheckIdentifier(name); err != nil {
		return nil, usageOf(c, "--name: %v", err)
	}
	a, err := codesign.ParseAnchor(name, b)
	if err != nil && (o.category == "" || !bare(b)) {
		if bare(b) {
			return nil, usageOf(c, "--category is missing: %s does not say what it is trusted for", path)
		}
		return nil, badFile(fmt.Errorf("%s: %w", path, err))
	}
	if err != nil { // a certificate alone
		block, _ := pem.Decode(b)
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, badFile(fmt.Errorf("%s: %w", path, err))
		}
		a = &codesign.Anchor{Name: name, Certificate: certificate}
	}
	if o.category != "" {
		a.Category = codesign.Category(o.category)
	}
	if o.teams != nil {
		a.Teams = o.teams
	}
	if o.entitlements != nil {
		a.Entitlements = o.entitlements
	}
	a.ValidNow = a.ValidNow || o.validNow
	if a, err = codesign.ParseAnchor(name, a.Format()); err != nil {
		return nil, badFile(fmt.Errorf("%s: %w", path, err))
	}
	return a, nil
}

// bare says whether there is a certificate without a word on what it is trusted for.
func bare(b []byte) bool {
	block, _ := pem.Decode(b)
	return block != nil && block.Type == "CERTIFICATE" && !strings.Contains(string(b), "category:")
}

func (t *tool) trustListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "Show the anchors that count here, and the files that do not",
		Example: "  xpcsign trust list",
		Args:    between(0, 0),
		RunE: func(*cobra.Command, []string) error {
			places, _, err := t.places()
			if err != nil {
				return err
			}
			trust := codesign.LoadTrust(places)
			t.warnProblems(trust)
			for _, a := range trust.Anchors {
				if err := t.printAnchor(a); err != nil {
					return err
				}
			}
			return trust.Broken
		},
	}
}

func (t *tool) printAnchor(a *codesign.Anchor) error {
	if t.json {
		return t.printJSON(map[string]any{
			"name": a.Name, "path": a.Path, "category": a.Category, "teams": a.Teams, "entitlements": a.Entitlements,
			"valid_now": a.ValidNow, "subject": a.Certificate.Subject.String(), "not_after": a.Certificate.NotAfter.UTC(),
			"key": fmt.Sprintf("%x", codesign.KeyHash(a.Certificate)),
		})
	}
	t.printf("%s: %s, teams %s, entitlements %s, valid to %s, in %s\n", a.Name, a.Category,
		or(strings.Join(a.Teams, " "), "none"), or(strings.Join(a.Entitlements, " "), "none"),
		a.Certificate.NotAfter.UTC().Format(time.DateOnly), a.Path)
	return nil
}

func (t *tool) trustRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "remove NAME",
		Short:   "Trust an anchor no more",
		Long:    "remove takes an anchor out of your place (root: the administrator's). What it vouched for is refused within a second.",
		Example: "  xpcsign trust remove EXAMPLE123",
		Args:    between(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := codesign.CheckIdentifier(args[0]); err != nil {
				return usageOf(c, "argument NAME: %v", err)
			}
			_, mine, err := t.places()
			if err != nil {
				return err
			}
			path := filepath.Join(mine.Trust, args[0]+".pem")
			err = os.Remove(path)
			if errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("no anchor %s is in %s: see xpcsign trust list", args[0], mine.Trust)
			}
			if err == nil && t.json {
				return t.printJSON(map[string]any{"removed": path})
			}
			if err == nil {
				t.printf("removed: %s\n", path)
			}
			return err
		},
	}
}
