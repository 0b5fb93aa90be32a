package requirement

import (
	"fmt"
	"strings"
)

// node is a part of a requirement. Its text alone says what it is.
type node interface {
	eval(*Facts) Verdict
	// why says what was found, of a leaf that is not True.
	why(*Facts) string
	write(*strings.Builder)
	need(*Needs)
}

func text(n node) string {
	var b strings.Builder
	n.write(&b)
	return b.String()
}

func verdict(b bool) Verdict {
	if b {
		return True
	}
	return False
}

// branch is a node that has others in it.
type branch interface{ parts() []node }

type and []node
type or []node
type not struct{ x node }

// allOf and anyOf keep lists flat, and so trees shallow and their texts unique.
func allOf(list []node) node {
	if len(list) == 1 {
		return list[0]
	}
	flat := make(and, 0, len(list))
	for _, n := range list {
		if inner, ok := n.(and); ok {
			flat = append(flat, inner...)
		} else {
			flat = append(flat, n)
		}
	}
	return flat
}

func anyOf(list []node) node {
	if len(list) == 1 {
		return list[0]
	}
	flat := make(or, 0, len(list))
	for _, n := range list {
		if inner, ok := n.(or); ok {
			flat = append(flat, inner...)
		} else {
			flat = append(flat, n)
		}
	}
	return flat
}

func negate(n node) node {
	if inner, ok := n.(not); ok {
		return inner.x
	}
	return not{n}
}

func (n and) parts() []node { return n }
func (n or) parts() []node  { return n }
func (n not) parts() []node { return []node{n.x} }

func (n and) eval(f *Facts) Verdict {
	v := True
	for _, x := range n {
		v = min(v, x.eval(f))
	}
	return v
}

func (n or) eval(f *Facts) Verdict {
	v := False
	for _, x := range n {
		v = max(v, x.eval(f))
	}
	return v
}

func (n not) eval(f *Facts) Verdict { return -n.x.eval(f) }

func (n and) why(f *Facts) string { return mismatch(n, f).Why }

func (n or) why(f *Facts) string {
	all := make([]string, len(n))
	for i, x := range n {
		all[i] = mismatch(x, f).String()
	}
	return "none of these is met: " + strings.Join(all, "; ")
}

func (n not) why(f *Facts) string {
	if n.x.eval(f) == True {
		return "it is so"
	}
	return mismatch(n.x, f).Why
}

func (n and) write(b *strings.Builder) {
	for i, x := range n {
		if i > 0 {
			b.WriteString(" and ")
		}
		_, group := x.(or)
		enclose(b, x, group)
	}
}

func (n or) write(b *strings.Builder) {
	for i, x := range n {
		if i > 0 {
			b.WriteString(" or ")
		}
		x.write(b)
	}
}

func (n not) write(b *strings.Builder) {
	b.WriteByte('!')
	_, group := n.x.(branch)
	enclose(b, n.x, group)
}

func enclose(b *strings.Builder, n node, group bool) {
	if !group {
		n.write(b)
		return
	}
	b.WriteByte('(')
	n.write(b)
	b.WriteByte(')')
}

func needAll(list []node, need *Needs) {
	for _, x := range list {
		x.need(need)
	}
}

func (n and) need(need *Needs) { needAll(n, need) }
func (n or) need(need *Needs)  { needAll(n, need) }
func (n not) need(need *Needs) { n.x.need(need) }

// mostWords is how long, in bytes, a clause and a reason can get in a Mismatch.
const mostWords = 2000

// mismatch names the clause to blame: of several that must all be true the first
// that is false, or else the first that nobody knows.
func mismatch(n node, f *Facts) *Mismatch {
	v := n.eval(f)
	switch n := n.(type) {
	case and:
		for _, x := range n {
			if x.eval(f) == v {
				return mismatch(x, f)
			}
		}
	case lightweight:
		return mismatch(n.top, f)
	}
	if v == True {
		return &Mismatch{shorten(text(n), mostWords), "met", v}
	}
	return &Mismatch{shorten(text(n), mostWords), shorten(n.why(f), mostWords), v}
}

func explain(b *strings.Builder, n node, f *Facts, depth int) {
	if l, ok := n.(lightweight); ok {
		n = l.top
	}
	v := n.eval(f)
	fmt.Fprintf(b, "%s%-13s ", strings.Repeat("  ", depth), v)
	var parts []node
	switch n := n.(type) {
	case and:
		b.WriteString("all of\n")
		parts = n
	case or:
		b.WriteString("any of\n")
		parts = n
	default:
		b.WriteString(text(n))
		if v != True {
			b.WriteString(": " + n.why(f))
		}
		b.WriteByte('\n')
	}
	for _, x := range parts {
		explain(b, x, f, depth+1)
	}
}
