package main

import (
	"io"
	"os"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// The man page has every option, and no other.
func TestManPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/man/xpcd.8")
	if err != nil {
		t.Fatal(err)
	}
	options := map[string]bool{}
	for line := range strings.Lines(string(page)) {
		if rest, ok := strings.CutPrefix(line, ".It Fl "); ok {
			for word := range strings.FieldsSeq(rest) {
				if name, ok := strings.CutPrefix(word, `\-`); ok {
					options[strings.ReplaceAll(name, `\-`, "-")] = true
				}
			}
		}
	}
	c := command(strings.NewReader(""), io.Discard)
	c.InitDefaultHelpFlag()
	c.InitDefaultVersionFlag()
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if !options[f.Name] {
			t.Errorf("xpcd(8) does not describe --%s", f.Name)
		}
		delete(options, f.Name)
	})
	for name := range options {
		t.Errorf("xpcd(8) describes --%s, which there is not", name)
	}
}
