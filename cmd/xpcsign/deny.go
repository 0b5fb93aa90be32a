package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/openxpc/openxpc/credentials/codesign"
)

func (t *tool) denyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "deny COMMAND",
		Short:   "Say what counts for nothing, whoever vouches for it",
		Example: "  xpcsign deny list",
		Args:    cobra.ArbitraryArgs,
		RunE:    noCommand,
	}
	c.AddCommand(t.denyAddCommand(), t.denyListCommand(), t.denyRemoveCommand())
	return c
}

func (t *tool) denyAddCommand() *cobra.Command {
	var note string
	c := &cobra.Command{
		Use:   "add [flags] KIND VALUE",
		Short: "Deny a signature, a program, a key or a team",
		Long: `add puts a line on your deny list (root: the administrator's). It counts within a
second, also for programs that are running and for what their verifiers remember.
KIND and VALUE, as display and trust list --json show them, are

  cdhash  one signature
  digest  one program, whoever signed it
  key     the public key of a certificate: of a signer, or of whom it has its own from
  team    a team, by all anchors`,
		Example: `  sudo xpcsign deny add --note 'lost its key' team EXAMPLE123
  sudo xpcsign deny add cdhash 2d711642b726b04401627ca9fbac32f5c8530fb1`,
		Args: between(2, 2),
		RunE: func(_ *cobra.Command, args []string) error {
			return t.editDenied("denied", codesign.Denied{Kind: args[0], Value: args[1], Note: note}, addDenied)
		},
	}
	c.Flags().StringVar(&note, "note", "", "`text` that says why, for who reads the list")
	return c
}

func (t *tool) denyRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "remove KIND VALUE",
		Short:   "Deny it no more",
		Long:    "remove takes a line from your deny list (root: the administrator's).",
		Example: "  sudo xpcsign deny remove team EXAMPLE123",
		Args:    between(2, 2),
		RunE: func(_ *cobra.Command, args []string) error {
			return t.editDenied("denied no more", codesign.Denied{Kind: args[0], Value: args[1]}, removeDenied)
		},
	}
}

// editDenied changes the list of the domain; its comments stay.
func (t *tool) editDenied(done string, d codesign.Denied, edit func(path string, b []byte, d codesign.Denied) ([]byte, error)) error {
	if err := d.Check(); err != nil {
		return badFile(err)
	}
	_, mine, err := t.places()
	if err != nil {
		return err
	}
	b, err := readDenied(mine.Deny)
	if err != nil {
		return err
	}
	if b, err = edit(mine.Deny, b, d); err != nil {
		return err
	}
	if b != nil {
		if err := writeTrusted(mine, mine.Deny, b); err != nil {
			return err
		}
	}
	return t.printDenied(done+": ", d, mine.Deny)
}

// readDenied reads a list that may not be there, and refuses to touch one with a mistake.
func readDenied(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		if _, err = codesign.ParseDenyList(path, b); err != nil {
			err = badFile(fmt.Errorf("%w: nothing is verified until that is mended", err))
		}
	}
	return b, err
}

// addDenied returns nil if the list has it already.
func addDenied(path string, b []byte, d codesign.Denied) ([]byte, error) {
	list, err := codesign.ParseDenyList(path, b)
	if err != nil || slices.ContainsFunc(list, func(e codesign.Denied) bool { return e.Kind == d.Kind && e.Value == d.Value }) {
		return nil, err
	}
	if len(b) > 0 && !bytes.HasSuffix(b, []byte("\n")) {
		b = append(b, '\n')
	}
	return append(b, d.String()+"\n"...), nil
}

func removeDenied(path string, b []byte, d codesign.Denied) ([]byte, error) {
	kept := []byte{}
	found := false
	for line := range strings.Lines(string(b)) {
		list, err := codesign.ParseDenyList(path, []byte(line))
		if err != nil {
			return nil, err
		}
		if len(list) == 1 && list[0].Kind == d.Kind && list[0].Value == d.Value {
			found = true
			continue
		}
		kept = append(kept, line...)
	}
	if !found {
		return nil, fmt.Errorf("%s does not deny %s: see xpcsign deny list", path, d)
	}
	return kept, nil
}

func (t *tool) denyListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "Show what is denied here",
		Example: "  xpcsign deny list",
		Args:    between(0, 0),
		RunE: func(*cobra.Command, []string) error {
			places, _, err := t.places()
			if err != nil {
				return err
			}
			for _, p := range places {
				b, err := readDenied(p.Deny)
				if err != nil {
					return err
				}
				list, _ := codesign.ParseDenyList(p.Deny, b)
				for _, d := range list {
					if err := t.printDenied("", d, p.Deny); err != nil {
						return err
					}
				}
			}
			return codesign.LoadTrust(places).Broken
		},
	}
}

func (t *tool) printDenied(done string, d codesign.Denied, path string) error {
	if t.json {
		return t.printJSON(map[string]any{"kind": d.Kind, "value": d.Value, "note": d.Note, "path": path})
	}
	t.printf("%s%s, in %s\n", done, d, path)
	return nil
}
