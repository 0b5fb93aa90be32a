package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/openxpc/openxpc/credentials/codesign"
	"github.com/openxpc/openxpc/credentials/identity"
)

func (t *tool) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Look for what keeps signatures from meaning what they say",
		Long: `doctor looks at the trust store, the deny list, the trust cache, the stores, the
marker groups and what the kernel offers, a line each: ok, warning or error. The exit
code is 1 if there is an error.`,
		Example: "  xpcsign doctor",
		Args:    between(0, 0),
		RunE: func(*cobra.Command, []string) error {
			places, _, err := t.places()
			if err != nil {
				return err
			}
			d := &doctor{t: t}
			d.trust(places)
			for _, p := range places {
				d.store(p)
			}
			d.markers()
			d.kernel()
			if d.errors > 0 {
				return &statusError{exitError, fmt.Errorf("%d errors", d.errors)}
			}
			return nil
		},
	}
}

// doctor counts what it found.
type doctor struct {
	t      *tool
	errors int
}

func (d *doctor) say(level, format string, a ...any) {
	text := oneLine(fmt.Sprintf(format, a...))
	if level == "error" {
		d.errors++
	}
	if d.t.json {
		d.t.printJSON(map[string]any{"level": level, "text": text})
		return
	}
	d.t.printf("%s: %s\n", level, text)
}

// soon is how early the end of an anchor is told.
const soon = 30 * 24 * time.Hour

func (d *doctor) trust(places []codesign.Place) {
	trust := codesign.LoadTrust(places)
	for _, err := range trust.Problems {
		d.say("error", "not trusted: %v", err)
	}
	if trust.Broken != nil {
		d.say("error", "%v", trust.Broken)
	}
	for _, a := range trust.Anchors {
		switch left := time.Until(a.Certificate.NotAfter); {
		case left < 0:
			d.say("error", "anchor %s (%s) expired on %s: nothing that it vouched for is valid", a.Name, a.Path, a.Certificate.NotAfter.Format(time.DateOnly))
		case left < soon:
			d.say("warning", "anchor %s (%s) expires on %s", a.Name, a.Path, a.Certificate.NotAfter.Format(time.DateOnly))
		default:
			d.say("ok", "anchor %s (%s): %s", a.Name, a.Path, a.Category)
		}
		if a.AllowsEntitlement(codesign.Any) && a.Category != codesign.Platform {
			d.say("warning", "anchor %s (%s) may grant every entitlement: name those of its teams", a.Name, a.Path)
		}
	}
	if len(trust.Anchors) == 0 {
		d.say("warning", "no anchor is trusted: requirements that ask for a team are met by nobody; xpcsign keygen makes a team, xpcsign trust add trusts one")
	}
}

// store asks that nobody else can take signatures away.
func (d *doctor) store(p codesign.Place) {
	err := codesign.CheckOwner(p.Store, p.Owner)
	switch {
	case errors.Is(err, os.ErrNotExist):
		d.say("ok", "store %s is empty", p.Store)
	case err != nil:
		d.say("warning", "store: %v", err)
	default:
		d.say("ok", "store %s", p.Store)
	}
}

// markers looks at every marker group of the system.
func (d *doctor) markers() {
	etc := filepath.Join("/", d.t.root, "etc")
	b, err := os.ReadFile(filepath.Join(etc, "group"))
	if err != nil {
		d.say("warning", "marker groups: %v", err)
		return
	}
	n := 0
	for line := range strings.Lines(string(b)) {
		name, _, _ := strings.Cut(line, ":")
		if !strings.HasPrefix(name, "_xpc_") {
			continue
		}
		n++
		if _, err := identity.MarkerGroup(etc, name); err != nil {
			d.say("error", "%v", err)
		}
	}
	d.say("ok", "%d marker groups", n)
}
