package requirement

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxDictionaryDepth and maxDictionaryParts bound a lightweight code requirement.
const (
	maxDictionaryDepth = 64
	maxDictionaryParts = 4096
)

// LightweightCode makes a requirement of the dictionary of a lightweight code
// requirement (LWCR): facts, or operators over them, that must all be true. Values
// are string, int64, bool, []byte, []any and map[string]any; the dictionary is
// copied. What is unknown, of a wrong type or empty is an error, so that nothing is
// met by mistake. An int counts as an int64.
//
// Facts: cdhash, entitlements, is-init-proc, is-sip-protected, launch-type,
// on-authorized-authapfs-volume (never known here), on-system-volume,
// signing-identifier, team-identifier, validation-category.
// Operators: $and $or $and-array $or-array $in $lt $lte $gt $gte $optional $query.
func LightweightCode(dictionary map[string]any) (*Requirement, error) {
	parts := 0
	m, err := checkedCopy(dictionary, 0, &parts)
	if err != nil {
		return nil, fmt.Errorf("requirement: %w", err)
	}
	top, err := compile(m.(map[string]any))
	if err != nil {
		return nil, fmt.Errorf("requirement: %w", err)
	}
	return &Requirement{lightweight{top, m.(map[string]any)}}, nil
}

// checkedCopy copies what can stand in a dictionary.
func checkedCopy(v any, depth int, parts *int) (any, error) {
	if *parts++; *parts > maxDictionaryParts {
		return nil, fmt.Errorf("it has more than %d parts", maxDictionaryParts)
	}
	if depth > maxDictionaryDepth {
		return nil, fmt.Errorf("it nests deeper than %d", maxDictionaryDepth)
	}
	switch v := v.(type) {
	case int64, bool:
		return v, nil
	case int:
		return int64(v), nil
	case string:
		if !utf8.ValidString(v) || strings.ContainsRune(v, 0) {
			return nil, fmt.Errorf("%q is not text", v)
		}
		return v, nil
	case []byte:
		return bytes.Clone(v), nil
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			c, err := checkedCopy(e, depth+1, parts)
			if err != nil {
				return nil, err
			}
			list[i] = c
		}
		return list, nil
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, e := range v {
			c, err := checkedCopy(e, depth+1, parts)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", k, err)
			}
			if _, err := checkedCopy(k, depth, parts); err != nil {
				return nil, err
			}
			m[k] = c
		}
		return m, nil
	}
	return nil, fmt.Errorf("a %T cannot stand in a dictionary of a requirement", v)
}

// lightweight is a whole dictionary: what it means, and how it was written.
type lightweight struct {
	top    node
	source map[string]any
}

func (l lightweight) eval(f *Facts) Verdict    { return l.top.eval(f) }
func (l lightweight) why(f *Facts) string      { return l.top.why(f) }
func (l lightweight) write(b *strings.Builder) { writeObject(b, l.source) }
func (l lightweight) need(n *Needs)            { l.top.need(n) }

func writeObject(b *strings.Builder, v any) {
	switch v := v.(type) {
	case string:
		b.WriteString(quote(v))
	case []byte:
		b.WriteString(`H"` + hex.EncodeToString(v) + `"`)
	case []any:
		b.WriteByte('[')
		for i, e := range v {
			if i > 0 {
				b.WriteString(", ")
			}
			writeObject(b, e)
		}
		b.WriteByte(']')
	case map[string]any:
		b.WriteByte('{')
		for i, k := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(quote(k) + ": ")
			writeObject(b, v[k])
		}
		b.WriteByte('}')
	default:
		fmt.Fprint(b, v)
	}
}

// factKind is the type of a fact's value.
type factKind uint8

const (
	dataFact factKind = iota
	textFact
	intFact
	boolFact
	queryFact
)

var kindNames = [...]string{"data", "a string", "an integer", "a bool", "{\"$query\": [...]}"}

// fact is one thing that a dictionary can ask of a process.
type fact struct {
	key  string
	kind factKind
	get  func(*Facts) any // nil: not known
	code bool             // it is the signature's
	// never: nobody can know it on this system.
	never bool
}

func ofCode(get func(*Code) any) func(*Facts) any {
	return func(f *Facts) any {
		if c := signed(f); c != nil {
			return get(c)
		}
		return nil
	}
}

func pointed[T any](get func(*Facts) *T) func(*Facts) any {
	return func(f *Facts) any {
		if p := get(f); p != nil {
			return *p
		}
		return nil
	}
}

var facts = map[string]*fact{}

func init() {
	for _, f := range []*fact{
		{"cdhash", dataFact, ofCode(func(c *Code) any { return c.CDHash[:] }), true, false},
		{"entitlements", queryFact, ofCode(func(c *Code) any { return c.Entitlements }), true, false},
		{"signing-identifier", textFact, ofCode(func(c *Code) any { return c.Identifier }), true, false},
		{"team-identifier", textFact, ofCode(func(c *Code) any { return c.Team }), true, false},
		{"validation-category", intFact, ofCode(func(c *Code) any { return c.Category }), true, false},
		{"is-init-proc", boolFact, pointed(func(f *Facts) *bool { return f.IsInitProc }), false, false},
		{"is-sip-protected", boolFact, pointed(func(f *Facts) *bool { return f.IsSIPProtected }), false, false},
		{"launch-type", intFact, pointed(func(f *Facts) *int64 { return f.LaunchType }), false, false},
		{"on-authorized-authapfs-volume", boolFact, func(*Facts) any { return nil }, false, true},
		{"on-system-volume", boolFact, pointed(func(f *Facts) *bool { return f.OnSystemVolume }), false, false},
	} {
		facts[f.key] = f
	}
}

// compile makes the meaning of a dictionary.
func compile(m map[string]any) (node, error) { return compileAll(m, nil, false) }

// compileAll is a dictionary whose entries must all be true, or with any at least
// one. With a fact its entries are operators over it, else facts and operators.
func compileAll(m map[string]any, about *fact, any bool) (node, error) {
	if len(m) == 0 {
		return nil, fmt.Errorf("an empty dictionary requires nothing")
	}
	var list []node
	for _, k := range slices.Sorted(maps.Keys(m)) {
		n, err := compileEntry(k, m[k], about, any)
		if err != nil {
			return nil, err
		}
		list = append(list, n)
	}
	return gather(list, any), nil
}

func gather(list []node, any bool) node {
	if any {
		return anyOf(list)
	}
	return allOf(list)
}

func compileEntry(key string, v any, about *fact, inAny bool) (node, error) {
	if !strings.HasPrefix(key, "$") {
		f := facts[key]
		switch {
		case about != nil:
			return nil, fmt.Errorf("%s: the fact %q cannot stand inside another", about.key, key)
		case f == nil:
			return nil, fmt.Errorf("%q is no fact that is known here", key)
		}
		return compileValue(f, v, inAny)
	}
	switch key {
	case "$and", "$or":
		m, ok := v.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("%s takes a dictionary", key)
		}
		return compileAll(m, about, key == "$or")
	case "$and-array", "$or-array":
		return compileArray(key, v, about)
	case "$optional":
		m, ok := v.(map[string]any)
		if !ok || len(m) != 1 {
			return nil, fmt.Errorf("$optional takes a dictionary with one entry")
		}
		x, err := compileAll(m, about, false)
		return optional{x, inAny}, err
	case "$in", "$lt", "$lte", "$gt", "$gte", "$query":
		if about == nil {
			return nil, fmt.Errorf("%s stands in the value of a fact only", key)
		}
		return compileOperator(key, v, about)
	}
	return nil, fmt.Errorf("%q is no operator", key)
}

// compileArray is a list of [operator, dictionary].
func compileArray(key string, v any, about *fact) (node, error) {
	items, ok := v.([]any)
	if !ok || len(items) == 0 {
		return nil, fmt.Errorf("%s takes a list of [operator, dictionary] that is not empty", key)
	}
	var list []node
	for _, item := range items {
		pair, ok := item.([]any)
		if !ok || len(pair) != 2 {
			return nil, fmt.Errorf("%s takes a list of [operator, dictionary]", key)
		}
		switch pair[0] {
		case "$and", "$or", "$optional":
		default:
			return nil, fmt.Errorf("%s: %v is not $and, $or or $optional", key, pair[0])
		}
		n, err := compileEntry(pair[0].(string), pair[1], about, key == "$or-array")
		if err != nil {
			return nil, err
		}
		list = append(list, n)
	}
	return gather(list, key == "$or-array"), nil
}

// compileValue is what a fact's value must be.
func compileValue(f *fact, v any, inAny bool) (node, error) {
	if m, ok := v.(map[string]any); ok {
		// All entries must be true, wherever the fact stands; a single one stands
		// where the fact does, and so does what is optional in it.
		return compileAll(m, f, inAny && len(m) == 1)
	}
	if err := f.takes(v); err != nil {
		return nil, err
	}
	return isIn{f, []any{v}}, nil
}

func (f *fact) takes(v any) error {
	ok := false
	switch f.kind {
	case dataFact:
		var b []byte
		if b, ok = v.([]byte); ok && len(b) != len(Code{}.CDHash) {
			return fmt.Errorf("%s is compared with data of %d bytes, and has %d", f.key, len(b), len(Code{}.CDHash))
		}
	case textFact:
		if v == "" {
			return fmt.Errorf("%s is compared with an empty string", f.key)
		}
		_, ok = v.(string)
	case intFact:
		_, ok = v.(int64)
	case boolFact:
		_, ok = v.(bool)
	}
	if !ok {
		return fmt.Errorf("%s is compared with %s, not with a %T", f.key, kindNames[f.kind], v)
	}
	return nil
}

func compileOperator(key string, v any, f *fact) (node, error) {
	switch key {
	case "$query":
		if f.kind != queryFact {
			return nil, fmt.Errorf("$query stands in entitlements only")
		}
		return compileQuery(v)
	case "$in":
		list, ok := v.([]any)
		if !ok || len(list) == 0 {
			return nil, fmt.Errorf("%s: $in takes a list that is not empty", f.key)
		}
		if f.kind > intFact {
			return nil, fmt.Errorf("%s: $in is for strings, data and integers", f.key)
		}
		for _, e := range list {
			if err := f.takes(e); err != nil {
				return nil, err
			}
		}
		return isIn{f, list}, nil
	}
	n, ok := v.(int64)
	if !ok || f.kind != intFact {
		return nil, fmt.Errorf("%s: %s compares integers only", f.key, key)
	}
	return ordered{f, key, n}, nil
}

// optional: what is not known does no harm, except that it does not make a $or true.
type optional struct {
	x     node
	inAny bool
}

func (o optional) eval(f *Facts) Verdict { return o.of(o.x.eval(f)) }

func (o optional) of(v Verdict) Verdict {
	switch {
	case v != Indeterminate:
		return v
	case o.inAny:
		return False
	}
	return True
}
func (o optional) why(f *Facts) string { return mismatch(o.x, f).Why }
func (o optional) write(b *strings.Builder) {
	b.WriteString("$optional(")
	o.x.write(b)
	b.WriteByte(')')
}
func (o optional) need(n *Needs) { o.x.need(n) }

// isIn is a fact that is one of some values.
type isIn struct {
	fact *fact
	list []any
}

func (i isIn) eval(f *Facts) Verdict {
	v := i.fact.get(f)
	if v == nil {
		return Indeterminate
	}
	for _, e := range i.list {
		if d, ok := e.([]byte); ok {
			if bytes.Equal(v.([]byte), d) {
				return True
			}
		} else if v == e {
			return True
		}
	}
	return False
}
func (i isIn) why(f *Facts) string { return i.fact.why(f) }
func (i isIn) write(b *strings.Builder) {
	b.WriteString(quote(i.fact.key) + ": ")
	if len(i.list) == 1 {
		writeObject(b, i.list[0])
		return
	}
	writeObject(b, map[string]any{"$in": i.list})
}
func (i isIn) need(n *Needs) { i.fact.need(n) }

func (f *fact) why(facts *Facts) string {
	v := f.get(facts)
	switch {
	case v != nil:
		return found(v, true)
	case f.code:
		return unsigned(facts)
	case f.never:
		return "this system has no such volumes; within $optional it does no harm"
	}
	return "it is not known"
}

func (f *fact) need(n *Needs) {
	if f.code {
		n.Code = true
	} else {
		n.System = true
	}
}

// ordered is a fact that is more or less than a number.
type ordered struct {
	fact *fact
	op   string
	than int64
}

func (o ordered) eval(f *Facts) Verdict {
	v, ok := o.fact.get(f).(int64)
	if !ok {
		return Indeterminate
	}
	switch o.op {
	case "$lt":
		return verdict(v < o.than)
	case "$lte":
		return verdict(v <= o.than)
	case "$gt":
		return verdict(v > o.than)
	}
	return verdict(v >= o.than)
}
func (o ordered) why(f *Facts) string { return o.fact.why(f) }
func (o ordered) write(b *strings.Builder) {
	b.WriteString(quote(o.fact.key) + `: {` + quote(o.op) + ": " + strconv.FormatInt(o.than, 10) + "}")
}
func (o ordered) need(n *Needs) { o.fact.need(n) }
