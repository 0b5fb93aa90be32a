package main

import (
	"os"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// The man page and docs/signing.md are written by hand: they have every command, and
// the page every flag.
func TestDocumentsHaveEverything(t *testing.T) {
	page, guide := read(t, "../../docs/man/xpcsign.1"), read(t, "../../docs/signing.md")
	root := (&tool{}).command()
	flags := func(f *pflag.Flag) {
		if !strings.Contains(page, "Fl -"+f.Name) && (f.Shorthand == "" || !strings.Contains(page, "Fl "+f.Shorthand)) {
			t.Errorf("xpcsign.1 lacks --%s", f.Name)
		}
	}
	root.PersistentFlags().VisitAll(flags)
	for _, c := range commands(root) {
		words := strings.TrimPrefix(c.CommandPath(), "xpcsign ")
		if !strings.Contains(page, ".Cm "+words+"\n") {
			t.Errorf("xpcsign.1 lacks %s", words)
		}
		if !strings.Contains(guide, "`"+words) {
			t.Errorf("signing.md lacks %s", words)
		}
		c.Flags().VisitAll(flags)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
