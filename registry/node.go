package registry

import (
	"bytes"
	"fmt"
)

// MaxDepth is how deeply containers of a job file may nest.
const MaxDepth = 32

// kind is a type of property list value.
type kind uint8

const (
	dictKind kind = iota + 1
	arrayKind
	stringKind
	integerKind
	realKind
	boolKind
	dateKind
	dataKind
	nullKind // JSON only, and wrong everywhere
)

var kindNames = [...]string{"", "dictionary", "array", "string", "integer", "real", "boolean", "date", "data", "null"}

func (k kind) String() string { return kindNames[k] }

func (k kind) withArticle() string {
	if k == arrayKind || k == integerKind {
		return "an " + k.String()
	}
	return "a " + k.String()
}

// position is a place in the file, both from 1, columns in bytes.
type position struct{ line, column int }

// node is a value with its place. The values themselves are decoded by the
// format's own decoder; a node knows what the checks need.
type node struct {
	pos     position
	kind    kind
	text    string // of a string, an integer, a boolean
	members []member
	items   []*node
}

type member struct {
	key   string
	pos   position
	value *node
}

// syntaxError is what makes a file unreadable; a reader stops at the first.
type syntaxError struct {
	pos  position
	text string
}

func (e *syntaxError) Error() string { return e.text }

func syntaxAt(pos position, format string, args ...any) error {
	return &syntaxError{pos, fmt.Sprintf(format, args...)}
}

func tooDeep(pos position) error {
	return syntaxAt(pos, "values nest more than %d deep: no job needs that", MaxDepth)
}

// place is the position of an offset in data.
func place(data []byte, offset int) position {
	before := data[:offset]
	return position{bytes.Count(before, []byte("\n")) + 1, offset - bytes.LastIndexByte(before, '\n')}
}
