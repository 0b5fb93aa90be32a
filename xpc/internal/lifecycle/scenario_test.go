package lifecycle

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the effects that happen into testdata")

// TestScenarios runs testdata/*.txt. A line is a comment, "kind" (a new
// connection), or an event; the indented lines under an event are its effects
// and the state where it changed. -update writes them; the diff is the review.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, file, string(text), play(t, string(text)))
		})
	}
}

func golden(t *testing.T, file, want, got string) {
	t.Helper()
	if got == want {
		return
	}
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			t.Fatalf("%s:%d: got %q, want %q (-update accepts it)", file, i+1, g[i], w[i])
		}
	}
	t.Fatalf("%s: got %d lines, want %d (-update accepts it)", file, len(g), len(w))
}

// play repeats the scenario with the effects that happen.
func play(t *testing.T, text string) string {
	t.Helper()
	var b strings.Builder
	var m Machine
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || line[0] == '#':
			fmt.Fprintln(&b, line)
		case line[0] == ' ':
		case words[0] == "kind":
			fmt.Fprintln(&b, line)
			m = New(Kind(index(t, kindNames[:], words[1])))
		default:
			fmt.Fprintln(&b, line)
			tell(&b, &m, parseEvent(t, words))
		}
	}
	return b.String()
}

func tell(b *strings.Builder, m *Machine, ev Event) {
	before := m.State()
	for _, e := range m.Step(ev) {
		fmt.Fprintf(b, "    %v\n", e)
	}
	if m.State() != before {
		fmt.Fprintf(b, "    -> %v\n", m.State())
	}
}

func parseEvent(t *testing.T, words []string) Event {
	t.Helper()
	ev := Event{Op: Op(index(t, opNames[:], words[0]))}
	for _, w := range words[1:] {
		switch {
		case w == "call":
			ev.Call = true
		case slices.Contains(outcomeNames[:], w):
			ev.Outcome = Outcome(index(t, outcomeNames[:], w))
		case w[0] == 'e':
			ev.Epoch = Epoch(number(t, w[1:]))
		default:
			ev.ID = ID(number(t, w))
		}
	}
	if got := ev.String(); got != strings.Join(words, " ") {
		t.Fatalf("%q is read as %q", strings.Join(words, " "), got)
	}
	return ev
}

func index(t *testing.T, names []string, name string) int {
	t.Helper()
	i := slices.Index(names, name)
	if i < 0 {
		t.Fatalf("%q is not one of %q", name, names)
	}
	return i
}

func number(t *testing.T, s string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		t.Fatalf("%q is no number: %v", s, err)
	}
	return n
}
