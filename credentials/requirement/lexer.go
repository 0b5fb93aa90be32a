package requirement

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxText and MaxDepth bound what Parse takes: bytes of text, and how deep
// parentheses, negations and dictionaries nest.
const (
	MaxText  = 64 << 10
	MaxDepth = 1000
)

// SyntaxError says where a text is no requirement and why. Lines and columns count
// from 1, columns in characters.
type SyntaxError struct {
	Line, Column int
	Problem      string
}

// Error is one line with the place in it.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("requirement: line %d, column %d: %s", e.Line, e.Column, e.Problem)
}

type tokenKind uint8

const (
	endOfText tokenKind = iota
	word                // letters, digits and periods
	quoted
	hexData // H"..."
	path
	symbol
)

type token struct {
	kind tokenKind
	text string // without quotes
	at   int    // where it begins
}

func (t token) is(s string) bool     { return t.kind == symbol && t.text == s }
func (t token) isWord(s string) bool { return t.kind == word && t.text == s }

func (t token) String() string {
	switch t.kind {
	case endOfText:
		return "the end"
	case quoted:
		return quote(t.text)
	case hexData:
		return `H"` + t.text + `"`
	}
	return fmt.Sprintf("%q", t.text)
}

type lexer struct {
	text string
	at   int
}

func (l *lexer) fail(at int, format string, args ...any) error {
	before := l.text[:at]
	start := strings.LastIndexByte(before, '\n') + 1
	return &SyntaxError{strings.Count(before, "\n") + 1, utf8.RuneCountInString(before[start:]) + 1, fmt.Sprintf(format, args...)}
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
func inWord(c byte) bool   { return isLetter(c) || isDigit(c) }

func (l *lexer) next() (token, error) {
	if err := l.skip(); err != nil {
		return token{}, err
	}
	start := l.at
	if start == len(l.text) {
		return token{endOfText, "", start}, nil
	}
	switch c := l.text[start]; {
	case c == 'H' && strings.HasPrefix(l.text[start:], `H"`):
		l.at++
		t, err := l.quoted(start)
		t.kind = hexData
		return t, err
	case inWord(c):
		l.run(true)
		return token{word, l.text[start:l.at], start}, nil
	case c == '"':
		return l.quoted(start)
	case c == '/':
		return l.path(start)
	}
	for _, s := range []string{"==", "=>", "<=", ">=", "(", ")", "[", "]", "{", "}", "!", "=", "<", ">", "*", "~", "-", ",", ":", ";"} {
		if strings.HasPrefix(l.text[start:], s) {
			l.at += len(s)
			return token{symbol, s, start}, nil
		}
	}
	r, _ := utf8.DecodeRuneInString(l.text[start:])
	return token{}, l.fail(start, "%q is not part of the language; names with anything but letters, digits and periods must be quoted", r)
}

// run passes over a word; with dots also over periods that have word on both sides.
func (l *lexer) run(dots bool) {
	for l.at < len(l.text) {
		switch c := l.text[l.at]; {
		case inWord(c):
		case dots && c == '.' && l.at+1 < len(l.text) && inWord(l.text[l.at+1]):
		default:
			return
		}
		l.at++
	}
}

func (l *lexer) skip() error {
	for l.at < len(l.text) {
		rest := l.text[l.at:]
		switch {
		case strings.ContainsRune(" \t\r\n\f", rune(rest[0])):
			l.at++
		case rest[0] == '#', strings.HasPrefix(rest, "//"):
			n := strings.IndexByte(rest, '\n')
			if n < 0 {
				n = len(rest)
			}
			l.at += n
		case strings.HasPrefix(rest, "/*"):
			n := strings.Index(rest[2:], "*/")
			if n < 0 {
				return l.fail(l.at, "this comment does not end")
			}
			l.at += n + 4
		default:
			return nil
		}
	}
	return nil
}

func (l *lexer) quoted(start int) (token, error) {
	var b strings.Builder
	for i := l.at + 1; i < len(l.text); i++ {
		switch c := l.text[i]; {
		case c == '"':
			l.at = i + 1
			return token{quoted, b.String(), start}, nil
		case c == '\\' && i+1 < len(l.text) && (l.text[i+1] == '"' || l.text[i+1] == '\\'):
			i++
			b.WriteByte(l.text[i])
		case c == '\\':
			return token{}, l.fail(i, `a backslash stands before a quotation mark or another backslash only`)
		default:
			b.WriteByte(c)
		}
	}
	return token{}, l.fail(start, "this text in quotation marks does not end")
}

func (l *lexer) path(start int) (token, error) {
	for l.at < len(l.text) && l.text[l.at] == '/' {
		l.at++
		before := l.at
		l.run(true)
		if l.at == before {
			return token{}, l.fail(start, "a path has a name after every slash")
		}
	}
	return token{path, l.text[start:l.at], start}, nil
}
