package main

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "write docs/man/xpcctl.1 anew")

const manPage = "../../docs/man/xpcctl.1"

// The man page is made of the commands' own help, so that it cannot say anything else.
func TestManPage(t *testing.T) {
	want := manual((&tool{}).root())
	if *update {
		if err := os.WriteFile(manPage, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(manPage)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s does not say what xpcctl --help says: go test ./cmd/xpcctl -run TestManPage -update", manPage)
	}
}

// roff writes text that no line of can be taken for a request.
func roff(b *bytes.Buffer, text string) {
	for line := range strings.Lines(text) {
		line = strings.ReplaceAll(strings.TrimRight(line, "\n"), `\`, `\e`)
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			line = `\&` + line
		}
		fmt.Fprintln(b, strings.ReplaceAll(line, "-", `\-`))
	}
}

// verbatim is what stands as it is: examples.
func verbatim(b *bytes.Buffer, text string) {
	b.WriteString(".Bd -literal -offset indent\n")
	for line := range strings.Lines(text) {
		roff(b, strings.TrimPrefix(line, "  "))
	}
	b.WriteString(".Ed\n")
}

func paragraphs(b *bytes.Buffer, text string) {
	for i, p := range strings.Split(text, "\n\n") {
		if i > 0 {
			b.WriteString(".Pp\n")
		}
		roff(b, p+"\n")
	}
}

func manual(root *cobra.Command) []byte {
	var b bytes.Buffer
	b.WriteString(`.\" Made by go test ./cmd/xpcctl -run TestManPage -update of what xpcctl --help says.
.Dd November 25, 2026
.Dt XPCCTL 1
.Os
.Sh NAME
.Nm xpcctl
.Nd call XPC services and manage the jobs that provide them
.Sh SYNOPSIS
.Nm
.Op Fl \-registry Ar path
.Op Fl j
.Op Fl q
.Op Fl \-timeout Ar time
.Ar command
.Op Ar argument ...
.Sh DESCRIPTION
`)
	about, _, _ := strings.Cut(root.Long, "\n\nExit codes:")
	paragraphs(&b, about)
	b.WriteString(".Pp\nThe options for every command are:\n")
	options(&b, root.PersistentFlags())
	b.WriteString(".Sh COMMANDS\n")
	commands := root.Commands()
	slices.SortFunc(commands, func(x, y *cobra.Command) int { return strings.Compare(x.Name(), y.Name()) })
	for _, c := range commands {
		fmt.Fprintf(&b, ".Ss ")
		roff(&b, c.Use)
		paragraphs(&b, c.Short+".")
		if c.Long != "" {
			b.WriteString(".Pp\n")
			paragraphs(&b, c.Long)
		}
		if len(c.Aliases) > 0 {
			fmt.Fprintf(&b, ".Pp\nAlso called %s.\n", strings.Join(c.Aliases, ", "))
		}
		options(&b, c.LocalNonPersistentFlags())
		verbatim(&b, c.Example)
	}
	b.WriteString(`.Sh ENVIRONMENT
.Bl -tag -width Ds
.It Ev XPC_REGISTRY
The registry's socket.
.It Ev XDG_RUNTIME_DIR
Where the user's registry is;
.Pa /tmp/xpc\-UID
is in its place.
.It Ev PATH
Where
.Cm run
finds xpcd and its command.
.El
.Sh EXIT STATUS
.Bl -tag -width Ds
`)
	for _, code := range slices.Sorted(maps.Keys(exitMeanings)) {
		fmt.Fprintf(&b, ".It %d\n", code)
		roff(&b, strings.ToUpper(exitMeanings[code][:1])+exitMeanings[code][1:]+".")
	}
	b.WriteString(`.It 128+N
A signal ended the command of
.Cm run ;
130 also when one ended xpcctl's own waiting.
.El
.Sh SEE ALSO
.Xr xpc\-service 5 ,
.Xr openxpc 7 ,
.Xr xpcd 8
`)
	return b.Bytes()
}

func options(b *bytes.Buffer, flags *pflag.FlagSet) {
	if !flags.HasAvailableFlags() {
		return
	}
	b.WriteString(".Bl -tag -width Ds\n")
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Name == "help" {
			return
		}
		argument, text := pflag.UnquoteUsage(f)
		if argument != "" {
			argument = " Ar " + argument
		}
		if f.Shorthand != "" {
			fmt.Fprintf(b, ".It Fl %s%s , Fl \\-%s%s\n", f.Shorthand, argument, strings.ReplaceAll(f.Name, "-", `\-`), argument)
		} else {
			fmt.Fprintf(b, ".It Fl \\-%s%s\n", strings.ReplaceAll(f.Name, "-", `\-`), argument)
		}
		roff(b, strings.ToUpper(text[:1])+text[1:]+".")
	})
	b.WriteString(".El\n")
}

// The page for the web has every command too.
func TestCommandsAreInTheDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/xpcctl.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]bool{}
	for line := range strings.Lines(string(page)) {
		if cell, ok := strings.CutPrefix(line, "| `"); ok {
			cell, _, _ = strings.Cut(cell, " |")
			for part := range strings.SplitSeq(cell, "`") {
				name, _, _ := strings.Cut(part, " ")
				rows[name] = true
			}
		}
	}
	for _, c := range (&tool{}).root().Commands() {
		if !rows[c.Name()] {
			t.Errorf("docs/xpcctl.md has no row for %s", c.Name())
		}
	}
}
