package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/openxpc/openxpc/credentials"
	"github.com/openxpc/openxpc/credentials/codesign"
	"github.com/openxpc/openxpc/credentials/requirement"
)

// maxText bounds what is read for a requirement; the language itself has a limit too.
const maxText = 1 << 20

func (t *tool) requirementCommand() *cobra.Command {
	var signature string
	c := &cobra.Command{
		Use:   "requirement [flags] TEXT [PROGRAM]",
		Short: "Check a requirement, and explain it for a program",
		Long: `requirement reads TEXT, a requirement in the language of codesign or a lightweight
code requirement ({...}), or a set of requirements (designated => ...), and prints its
normal form; "-" reads it from the standard input. A mistake is told with its line and
column, and so is a requirement that nobody can meet on this system.

With PROGRAM it tells the verdict on every clause, a line each, for a process that
runs the program as it was installed. What only a process has (its user, its unit) is
then not known.`,
		Example: `  xpcsign requirement 'identifier "com.example.tool" and anchor apple generic'
  xpcsign requirement 'entitlement["com.example.read"] exists' ./tool`,
		Args: between(1, 2),
		RunE: func(_ *cobra.Command, args []string) error {
			set, err := t.parseRequirements(args[0])
			if err != nil {
				return err
			}
			if len(args) == 1 {
				return t.printRequirements(set)
			}
			return t.explainAll(set, args[1], signature)
		},
	}
	c.Flags().StringVar(&signature, "signature", "", "the `file` of the program's signature; otherwise the stores are searched")
	return c
}

func (t *tool) parseRequirements(text string) (requirement.Set, error) {
	if text == "-" {
		b, err := io.ReadAll(io.LimitReader(t.in, maxText))
		if err != nil {
			return nil, err
		}
		text = string(b)
	}
	set, err := requirement.ParseSet(text)
	if err != nil {
		return nil, badFile(err)
	}
	return set, nil
}

func (t *tool) printRequirements(set requirement.Set) error {
	for _, kind := range set.Kinds() {
		r := set[kind]
		unmet := r.Supported()
		if t.json {
			d := map[string]any{"requirement": r.String(), "credentials_only": r.Needs().CredentialsOnly(), "supported": unmet == nil}
			if kind != "" {
				d["kind"] = kind
			}
			if err := t.printJSON(d); err != nil {
				return err
			}
		} else {
			t.printf("%s\n", requirement.Set{kind: r})
		}
		if unmet != nil {
			t.warn("%v", unmet)
		}
	}
	return nil
}

// explainAll asks for a program; without a valid signature the requirements are explained
// all the same, for what is known then.
func (t *tool) explainAll(set requirement.Set, path, signature string) error {
	places, _, err := t.places()
	if err != nil {
		return err
	}
	facts := &requirement.Facts{Credentials: credentials.Unknown()}
	p, err := verify(codesign.NewVerifier(places, nil), path, signature)
	switch {
	case err == nil:
		facts = factsOf(p)
	case reasonOf(err) == "":
		return err
	default:
		facts.Why = err.Error()
	}
	var unmet error
	for _, kind := range set.Kinds() {
		mismatch, err := t.explain(set[kind], kind, path, facts)
		if err != nil {
			return err
		}
		if mismatch != nil && unmet == nil {
			unmet = &statusError{exitRefused, fmt.Errorf("%s does not meet the requirement: %s", path, mismatch)}
		}
	}
	return unmet
}

func (t *tool) explain(r *requirement.Requirement, kind, path string, facts *requirement.Facts) (*requirement.Mismatch, error) {
	verdict, mismatch := r.Match(facts)
	if !t.json {
		if kind != "" {
			t.printf("%s =>\n", kind)
		}
		t.printf("%s", r.Explain(facts))
		return mismatch, nil
	}
	d := map[string]any{"path": path, "requirement": r.String(), "verdict": verdict.String(), "explanation": lines(r.Explain(facts))}
	if kind != "" {
		d["kind"] = kind
	}
	if mismatch != nil {
		d["clause"], d["why"] = mismatch.Clause, mismatch.Why
	}
	return mismatch, t.printJSON(d)
}

func lines(text string) []string { return strings.Split(strings.TrimSuffix(text, "\n"), "\n") }

// readInput reads a list of words from the standard input, for "-".
func (t *tool) readInput() ([]string, error) {
	b, err := io.ReadAll(io.LimitReader(t.in, maxText))
	return strings.FieldsFunc(string(b), func(r rune) bool { return r == '\n' }), err
}

func isExecutable(info os.FileInfo) bool {
	return info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
}
