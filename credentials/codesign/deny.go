package codesign

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Denied is one line of a deny list: what it names counts for nothing, whoever vouches for it.
type Denied struct {
	// Kind is what Value names: "cdhash" a signature, "digest" a program, whoever signed
	// it, "key" a certificate's public key ([KeyHash]), "team" a team.
	Kind string
	// Value is hexadecimal, or the team.
	Value string
	// Note is a comment; "" for none.
	Note string
}

var deniedKinds = []string{"cdhash", "digest", "key", "team"}

// String is the line: kind, value, and the note behind a "#".
func (d Denied) String() string {
	if d.Note == "" {
		return d.Kind + " " + d.Value
	}
	return d.Kind + " " + d.Value + " # " + d.Note
}

// Check finds mistakes: an unknown kind, or a value that is none of its kind.
func (d Denied) Check() error {
	if strings.ContainsAny(d.Note, "\r\n") {
		return fmt.Errorf("a note is one line")
	}
	return checkItem([]string{d.Kind, d.Value}, deniedKinds)
}

// ParseDenyList reads a deny list. A mistake is an error that names the list and the line.
func ParseDenyList(name string, b []byte) ([]Denied, error) {
	return parseItems(name, b, deniedKinds)
}

func parseItems(name string, b []byte, kinds []string) (list []Denied, err error) {
	for n, line := range strings.Split(string(b), "\n") {
		line, note, _ := strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if err := checkItem(words, kinds); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, n+1, err)
		}
		list = append(list, Denied{words[0], words[1], strings.TrimSpace(note)})
	}
	return list, nil
}

// items are a deny list, or a list of the trust cache (of cdhashes alone), to look things
// up in. The zero value is empty.
type items map[string]bool

func (l items) add(name string, b []byte, kinds ...string) error {
	list, err := parseItems(name, b, kinds)
	for _, d := range list {
		l[d.Kind+" "+d.Value] = true
	}
	return err
}

func (l items) has(kind string, value []byte) bool { return l[kind+" "+hex.EncodeToString(value)] }

var listBytes = map[string]int{"cdhash": 20, "digest": 32, "key": 32}

func checkItem(words, kinds []string) error {
	switch {
	case !slices.Contains(kinds, words[0]):
		return fmt.Errorf("unknown kind %q: there are %s", words[0], strings.Join(kinds, ", "))
	case len(words) != 2:
		return fmt.Errorf("a line is a kind and a value, not %d words", len(words))
	case words[0] == "team":
		return CheckTeam(words[1])
	}
	b, err := hex.DecodeString(words[1])
	if err != nil || len(b) != listBytes[words[0]] || strings.ToLower(words[1]) != words[1] {
		return fmt.Errorf("%q is not %d hexadecimal digits in lower case", words[1], 2*listBytes[words[0]])
	}
	return nil
}
