package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"unicode/utf8"
)

// jsonReader walks a JSON document token by token, for duplicate keys and positions.
type jsonReader struct {
	data []byte
	dec  *json.Decoder
	pos  position // where the last token began
	seen int      // offset up to which lines have been counted
	line int      // lines that ended before seen
	from int      // offset at which the line of seen begins
}

func readJSON(data []byte) (*node, error) {
	if i := invalidUTF8(data); i >= 0 {
		return nil, syntaxAt(place(data, i), "this byte is not UTF-8")
	}
	r := &jsonReader{data: data, dec: json.NewDecoder(bytes.NewReader(data))}
	r.dec.UseNumber()
	tok, err := r.token()
	if err != nil {
		return nil, err
	}
	root, err := r.value(tok, 1)
	if err != nil {
		return nil, err
	}
	if _, err := r.dec.Token(); err != io.EOF {
		return nil, syntaxAt(r.next(), "something follows the end of the job")
	}
	return root, nil
}

func invalidUTF8(data []byte) int {
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

// next is where the next token begins.
func (r *jsonReader) next() position {
	i := int(r.dec.InputOffset())
	for i < len(r.data) && strings.IndexByte(" \t\r\n,:", r.data[i]) >= 0 {
		i++
	}
	return r.place(i)
}

// place is the position of an offset that is not before the last one asked for;
// counting from the start each time would take the square of a file's size.
func (r *jsonReader) place(offset int) position {
	passed := r.data[r.seen:offset]
	if n := bytes.Count(passed, []byte("\n")); n > 0 {
		r.line += n
		r.from = r.seen + bytes.LastIndexByte(passed, '\n') + 1
	}
	r.seen = offset
	return position{r.line + 1, offset - r.from + 1}
}

func (r *jsonReader) token() (json.Token, error) {
	r.pos = r.next()
	tok, err := r.dec.Token()
	if err == nil {
		return tok, nil
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		at := min(max(int(syntax.Offset)-1, 0), len(r.data))
		return nil, syntaxAt(place(r.data, at), "not valid JSON: %s", syntax.Error())
	}
	return nil, syntaxAt(r.pos, "not valid JSON: it ends too early")
}

func (r *jsonReader) value(tok json.Token, depth int) (*node, error) {
	n := &node{pos: r.pos}
	switch tok := tok.(type) {
	case json.Delim:
		if depth > MaxDepth {
			return nil, tooDeep(n.pos)
		}
		if tok == '{' {
			n.kind = dictKind
			return n, r.dict(n, depth)
		}
		n.kind = arrayKind
		return n, r.array(n, depth)
	case string:
		n.kind, n.text = stringKind, tok
	case json.Number:
		n.kind, n.text = realKind, tok.String()
		if _, err := integer(n.text); err == nil {
			n.kind = integerKind
		}
	case bool:
		n.kind, n.text = boolKind, map[bool]string{true: "true", false: "false"}[tok]
	case nil:
		n.kind = nullKind
	}
	return n, nil
}

func (r *jsonReader) dict(n *node, depth int) error {
	for {
		tok, err := r.token()
		if err != nil {
			return err
		}
		key, ok := tok.(string)
		if !ok {
			return nil // the closing brace
		}
		if strings.IndexByte(key, 0) >= 0 { // it would stand in every text about it
			return syntaxAt(r.pos, "the key %q contains a NUL character", key)
		}
		m := member{key: key, pos: r.pos}
		if tok, err = r.token(); err != nil {
			return err
		}
		if m.value, err = r.value(tok, depth+1); err != nil {
			return err
		}
		n.members = append(n.members, m)
	}
}

func (r *jsonReader) array(n *node, depth int) error {
	for {
		tok, err := r.token()
		if err != nil {
			return err
		}
		if tok == json.Delim(']') {
			return nil
		}
		item, err := r.value(tok, depth+1)
		if err != nil {
			return err
		}
		n.items = append(n.items, item)
	}
}
