package requirement

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Set is a set of requirements by what each is for (SecRequirementsCreateWithString):
// "host", "guest", "designated", "library", "plugin" or another number in decimal. A
// text without kinds is one requirement, with the key "". A peer is held against one
// requirement, not against a set. A nil Set is empty.
type Set map[string]*Requirement

// setKinds are the kinds that have names, in the order of their numbers.
var setKinds = []string{"", "host", "guest", "designated", "library", "plugin"}

// kindNumber is the number of a kind, -1 if it is none.
func kindNumber(s string) int {
	if n := slices.Index(setKinds[1:], s); n >= 0 {
		return n + 1
	}
	if n, err := strconv.ParseInt(s, 10, 32); err == nil && n >= 0 {
		return int(n)
	}
	return -1
}

func kindName(n int) string {
	if n > 0 && n < len(setKinds) {
		return setKinds[n]
	}
	return strconv.Itoa(n)
}

// ParseSet reads a set of requirements, or one requirement (see [Parse]):
//
//	designated => identifier "com.example.tool" and anchor apple generic
//	library => anchor apple
//
// The error is a [*SyntaxError].
func ParseSet(s string) (Set, error) {
	p, err := newParser(s)
	if err != nil {
		return nil, err
	}
	set := Set{}
	for p.tok.kind != endOfText {
		first := p.tok
		kind := kindNumber(first.text)
		if first.kind != word || kind < 0 {
			if len(set) == 0 {
				return single(s)
			}
			return nil, p.unexpected(`"and", "or", a kind (designated =>) or the end`)
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
		if !p.tok.is("=>") {
			if len(set) == 0 {
				return single(s)
			}
			return nil, p.unexpected(`"=>"`)
		}
		if set[kindName(kind)] != nil {
			return nil, p.fail(first.at, "the kind %s is there twice", kindName(kind))
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
		top, err := p.or()
		if err != nil {
			return nil, err
		}
		set[kindName(kind)] = &Requirement{top}
		if err := p.semicolons(); err != nil {
			return nil, err
		}
	}
	return set, nil
}

func single(s string) (Set, error) {
	r, err := Parse(s)
	if err != nil {
		return nil, err
	}
	return Set{"": r}, nil
}

// Kinds are the keys in the order of their numbers.
func (s Set) Kinds() []string {
	return slices.SortedFunc(maps.Keys(s), func(a, b string) int { return kindNumber(a) - kindNumber(b) })
}

// String is the set in the text language, a line each; ParseSet makes an equal one of it.
func (s Set) String() string {
	var lines []string
	for _, kind := range s.Kinds() {
		text := s[kind].String()
		if kind != "" {
			text = kind + " => " + text
		}
		lines = append(lines, text)
	}
	return strings.Join(lines, "\n")
}
