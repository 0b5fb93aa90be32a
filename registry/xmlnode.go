package registry

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"
)

// xmlReader walks an XML property list and keeps what plist's decoder forgets: where things are.
type xmlReader struct {
	dec *xml.Decoder
	pos position // where the last token began
}

// readXML reads a whole document: one dictionary in a plist element.
func readXML(data []byte) (*node, error) {
	r := &xmlReader{dec: xml.NewDecoder(bytes.NewReader(data))}
	start, err := r.element()
	if err != nil {
		return nil, err
	}
	if start == nil || start.Name.Local != "plist" {
		return nil, syntaxAt(r.pos, "this is no property list: its outermost element must be <plist>")
	}
	first, err := r.element()
	if err != nil {
		return nil, err
	}
	if first == nil {
		return nil, syntaxAt(r.pos, "the property list is empty: a job is a <dict>")
	}
	root, err := r.value(first, 1)
	if err != nil {
		return nil, err
	}
	if err := r.end("plist"); err != nil {
		return nil, err
	}
	return root, r.nothingMore()
}

// token is the next one; pos is its beginning.
func (r *xmlReader) token() (xml.Token, error) {
	r.pos.line, r.pos.column = r.dec.InputPos()
	tok, err := r.dec.Token()
	if errors.Is(err, io.EOF) {
		return nil, io.EOF
	}
	if err != nil {
		// The decoder may have put a newline back without putting its line back.
		line, column := r.dec.InputPos()
		pos := position{line, max(column, 1)}
		var syntax *xml.SyntaxError
		if errors.As(err, &syntax) {
			return nil, syntaxAt(pos, "not well-formed XML: %s", syntax.Msg)
		}
		return nil, syntaxAt(pos, "not readable as XML: %s", strings.TrimPrefix(err.Error(), "xml: "))
	}
	return tok, nil
}

// element skips to the next start tag; nil is an end tag or the end of the document.
func (r *xmlReader) element() (*xml.StartElement, error) {
	for {
		tok, err := r.token()
		if err == io.EOF {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			return &tok, nil
		case xml.EndElement:
			return nil, nil
		case xml.CharData:
			if s := strings.TrimSpace(string(tok)); s != "" {
				return nil, syntaxAt(r.pos, "%s stands outside of any value", shorten(s))
			}
		}
	}
}

func (r *xmlReader) end(name string) error {
	el, err := r.element()
	if err == nil && el != nil {
		err = syntaxAt(r.pos, "<%s> is one value too many in <%s>", el.Name.Local, name)
	}
	return err
}

func (r *xmlReader) nothingMore() error {
	el, err := r.element()
	if err == nil && el != nil {
		err = syntaxAt(r.pos, "<%s> follows the end of the property list", el.Name.Local)
	}
	return err
}

var xmlKinds = map[string]kind{
	"dict": dictKind, "array": arrayKind, "string": stringKind, "integer": integerKind, "real": realKind,
	"true": boolKind, "false": boolKind, "date": dateKind, "data": dataKind,
}

func (r *xmlReader) value(start *xml.StartElement, depth int) (*node, error) {
	name := start.Name.Local
	n := &node{pos: r.pos, kind: xmlKinds[name]}
	switch n.kind {
	case dictKind:
		return n, r.dict(n, depth)
	case arrayKind:
		return n, r.array(n, depth)
	case boolKind:
		n.text = name
		return n, r.end(name)
	case 0:
		return nil, syntaxAt(n.pos, "<%s> is no element of a property list", name)
	}
	text, _, err := r.text(name)
	if err != nil {
		return nil, err
	}
	n.text = text
	if !validScalar(n.kind, text) {
		return nil, syntaxAt(n.pos, "%s is not %s", shorten(text), n.kind.withArticle())
	}
	return n, nil
}

func (r *xmlReader) dict(n *node, depth int) error {
	if depth > MaxDepth {
		return tooDeep(n.pos)
	}
	for {
		el, err := r.element()
		if err != nil || el == nil {
			return err
		}
		if el.Name.Local != "key" {
			return syntaxAt(r.pos, "<%s> has no <key> before it", el.Name.Local)
		}
		m := member{}
		if m.key, m.pos, err = r.text("key"); err != nil {
			return err
		}
		if el, err = r.element(); err != nil {
			return err
		}
		if el == nil || el.Name.Local == "key" {
			return syntaxAt(m.pos, "key %q has no value", m.key)
		}
		if m.value, err = r.value(el, depth+1); err != nil {
			return err
		}
		n.members = append(n.members, m)
	}
}

func (r *xmlReader) array(n *node, depth int) error {
	if depth > MaxDepth {
		return tooDeep(n.pos)
	}
	for {
		el, err := r.element()
		if err != nil || el == nil {
			return err
		}
		item, err := r.value(el, depth+1)
		if err != nil {
			return err
		}
		n.items = append(n.items, item)
	}
}

// text reads up to the end tag; pos is where the text begins.
func (r *xmlReader) text(name string) (text string, pos position, err error) {
	var b strings.Builder
	for first := true; ; first = false {
		tok, err := r.token()
		if err != nil {
			return "", r.pos, err
		}
		if first {
			pos = r.pos
		}
		switch tok := tok.(type) {
		case xml.CharData:
			b.Write(tok)
		case xml.EndElement:
			return b.String(), pos, nil
		case xml.StartElement:
			return "", pos, syntaxAt(r.pos, "<%s> stands inside <%s>, which holds text", tok.Name.Local, name)
		}
	}
}

// validScalar holds text against what plist's decoder accepts.
func validScalar(k kind, text string) bool {
	var err error
	switch k {
	case integerKind:
		_, err = integer(text)
	case realKind:
		_, err = strconv.ParseFloat(text, 64)
	case dateKind:
		_, err = time.Parse(time.RFC3339, text)
	case dataKind:
		_, err = base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	}
	return err == nil
}

// integer is a property list's: decimal, or hexadecimal after 0x.
func integer(text string) (int64, error) {
	digits, negative := strings.CutPrefix(text, "-")
	base := 10
	if len(digits) > 2 && (digits[:2] == "0x" || digits[:2] == "0X") {
		digits, base = digits[2:], 16
	}
	if digits == "" || digits[0] == '-' || digits[0] == '+' {
		return 0, strconv.ErrSyntax
	}
	if negative {
		digits = "-" + digits
	}
	return strconv.ParseInt(digits, base, 64)
}

// shorten quotes what a file holds, at most a few words of it.
func shorten(s string) string {
	const most = 40
	if len(s) > most {
		s = s[:most] + "..."
	}
	return strconv.Quote(s)
}
