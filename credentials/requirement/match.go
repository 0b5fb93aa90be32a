package requirement

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// op is how a value is compared.
type op uint8

const (
	exists op = iota
	absent
	equal
	contains
	begins
	ends
	less
	greater
	atMost
	atLeast
)

var orders = map[string]op{"<": less, ">": greater, "<=": atMost, ">=": atLeast}

// match is a test of one value of a property list. What it compares with is a
// string, a []byte or a time.Time. The bytes (0x...) are those of a text, or of data.
type match struct {
	op   op
	with any
}

// holds says whether a value passes; present is false for one that is not there,
// which only absent accepts. Of an array any element may pass.
func (m match) holds(v any, present bool) bool {
	if !present || v == nil {
		return m.op == absent
	}
	switch m.op {
	case exists:
		return v != false
	case absent:
		return false
	}
	if list, ok := v.([]any); ok {
		for _, e := range list {
			if m.holds(e, true) {
				return true
			}
		}
		return false
	}
	switch w := m.with.(type) {
	case string:
		s, ok := v.(string)
		return ok && m.op.compareText(s, w)
	case []byte:
		if d, ok := v.([]byte); ok {
			return m.op == equal && bytes.Equal(d, w)
		}
		s, ok := v.(string)
		return ok && m.op.compareText(s, string(w))
	case time.Time:
		t, ok := v.(time.Time)
		return ok && m.op.order(t.Compare(w))
	}
	return false
}

func (o op) compareText(s, w string) bool {
	switch o {
	case equal:
		return s == w
	case contains:
		return strings.Contains(s, w)
	case begins:
		return strings.HasPrefix(s, w)
	case ends:
		return strings.HasSuffix(s, w)
	}
	return o.order(collate(s, w))
}

func (o op) order(c int) bool {
	switch o {
	case equal:
		return c == 0
	case less:
		return c < 0
	case greater:
		return c > 0
	case atMost:
		return c <= 0
	case atLeast:
		return c >= 0
	}
	return false
}

// collate compares texts with the numbers in them compared as numbers: "17.4" is
// more than "7.4".
func collate(a, b string) int {
	for a != "" && b != "" {
		m, n := digits(a), digits(b)
		if m == 0 || n == 0 {
			if a[0] != b[0] {
				return int(a[0]) - int(b[0])
			}
			a, b = a[1:], b[1:]
			continue
		}
		x, y := strings.TrimLeft(a[:m], "0"), strings.TrimLeft(b[:n], "0")
		if len(x) != len(y) {
			return len(x) - len(y)
		}
		if c := strings.Compare(x, y); c != 0 {
			return c
		}
		a, b = a[m:], b[n:]
	}
	return len(a) - len(b)
}

// shorten keeps an explanation readable.
func shorten(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}

func digits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

// write appends the match to what it is applied to.
func (m match) write(b *strings.Builder) {
	switch m.op {
	case exists:
		b.WriteString(" exists")
		return
	case absent:
		b.WriteString(" absent")
		return
	case less, greater, atMost, atLeast:
		for word, o := range orders {
			if o == m.op {
				b.WriteString(" " + word + " ")
			}
		}
	default:
		b.WriteString(" = ")
	}
	if m.op == contains || m.op == ends {
		b.WriteByte('*')
	}
	switch w := m.with.(type) {
	case string:
		b.WriteString(quote(w))
	case []byte:
		b.WriteString("0x" + hex.EncodeToString(w))
	case time.Time:
		b.WriteString("timestamp " + quote(w.UTC().Format(time.RFC3339)))
	}
	if m.op == contains || m.op == begins {
		b.WriteByte('*')
	}
}

func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// found says what a value is, for an explanation.
func found(v any, present bool) string {
	if !present || v == nil {
		return "it has none"
	}
	s := fmt.Sprintf("%v", v)
	switch v := v.(type) {
	case string:
		s = quote(v)
	case []byte:
		s = "0x" + hex.EncodeToString(v)
	case time.Time:
		s = v.UTC().Format(time.RFC3339)
	}
	return "it is " + shorten(s, 200)
}
