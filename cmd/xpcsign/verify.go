package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/openxpc/openxpc/credentials"
	"github.com/openxpc/openxpc/credentials/codesign"
	"github.com/openxpc/openxpc/credentials/requirement"
)

func (t *tool) verifyCommand() *cobra.Command {
	var signature, text string
	c := &cobra.Command{
		Use:   "verify [flags] PROGRAM...",
		Short: "Say whether programs have valid signatures",
		Long: `verify looks for the signature of each PROGRAM as a service's registry does: in the
stores, by the trust of the domain. With --signature it takes the one in that file.
With --requirement the program must meet it too.`,
		Example: `  xpcsign verify ./tool
  xpcsign verify -R 'anchor apple generic and certificate leaf[subject.OU] = "EXAMPLE123"' ./tool`,
		Args: between(1, -1),
		RunE: func(c *cobra.Command, args []string) error {
			var r *requirement.Requirement
			if c.Flags().Changed("requirement") {
				var err error
				if r, err = requirement.Parse(text); err != nil {
					return err
				}
			}
			places, _, err := t.places()
			if err != nil {
				return err
			}
			v := codesign.NewVerifier(places, nil)
			t.warnProblems(v.Trust())
			return t.verifyAll(v, args, signature, r)
		},
	}
	c.Flags().StringVar(&signature, "signature", "", "the `file` of the signature; otherwise the stores are searched")
	c.Flags().StringVarP(&text, "requirement", "R", "", "`text` of a requirement to meet")
	return c
}

// verifyAll tells of each program; the first failure is the command's.
func (t *tool) verifyAll(v *codesign.Verifier, paths []string, signature string, r *requirement.Requirement) error {
	var first error
	for _, path := range paths {
		p, err := verify(v, path, signature)
		if err == nil && r != nil {
			err = meet(r, p, path)
		}
		if t.json {
			if e := t.printJSON(verdictJSON(path, p, err)); e != nil {
				return e
			}
		} else if err == nil {
			t.printf("%s: valid, %s\n", path, summary(p))
		}
		if err != nil && first != nil {
			fmt.Fprintln(t.err, "xpcsign: "+oneLine(first.Error()))
			first = nil
		}
		if first == nil {
			first = err
		}
	}
	return first
}

func verify(v *codesign.Verifier, path, signature string) (*codesign.Program, error) {
	if signature != "" {
		return verifyWith(v.Trust(), path, signature)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return v.Verify(context.Background(), f)
}

func verifyWith(trust *codesign.Trust, path, signature string) (*codesign.Program, error) {
	e, err := codesign.ReadEnvelope(signature)
	if err != nil {
		return nil, err
	}
	p, err := openProgram(path)
	if err != nil {
		return nil, err
	}
	defer p.file.Close()
	return trust.Check(e, p.digest, p.size, now())
}

// factsOf is what would be known of a process that runs the file as it was installed,
// as far as the file decides.
func factsOf(p *codesign.Program) *requirement.Facts {
	return &requirement.Facts{Credentials: credentials.Unknown(), Assurance: requirement.Granted, Code: p.Code}
}

func meet(r *requirement.Requirement, p *codesign.Program, path string) error {
	if v, mismatch := r.Match(factsOf(p)); v != requirement.True {
		return &statusError{exitRefused, fmt.Errorf("%s is valid, but does not meet the requirement: %s", path, mismatch)}
	}
	return nil
}

// summary is one clause.
func summary(p *codesign.Program) string {
	switch {
	case p.Anchor != nil && p.Code.Platform && p.Anchor.Category != codesign.Platform:
		return fmt.Sprintf("%s of team %s, by anchor %s, in the trust cache", p.Code.Identifier, p.Code.Team, p.Anchor.Name)
	case p.Anchor != nil:
		return fmt.Sprintf("%s of team %s, by %s anchor %s", p.Code.Identifier, p.Code.Team, p.Anchor.Category, p.Anchor.Name)
	case p.Code.Platform:
		return p.Code.Identifier + " of the platform, in the trust cache"
	}
	return p.Code.Identifier + ", ad hoc: nobody vouches for it"
}

func verdictJSON(path string, p *codesign.Program, err error) map[string]any {
	d := map[string]any{"path": path, "valid": err == nil}
	if err != nil {
		d["error"] = err.Error()
		if reason := reasonOf(err); reason != "" {
			d["reason"] = string(reason)
		}
	}
	if p != nil {
		d["identifier"], d["team"], d["category"] = p.Code.Identifier, p.Code.Team, p.Code.Category
		d["cdhash"], d["digest"], d["platform"] = fmt.Sprintf("%x", p.Code.CDHash), p.Digest.String(), p.Code.Platform
		if p.Anchor != nil {
			d["anchor"] = p.Anchor.Name
		}
	}
	return d
}
