package requirement

import (
	"bytes"
	"fmt"
	"strings"
)

// The operations of an entitlement query.
const (
	selectKey            = 1
	selectIndex          = 2
	matchString          = 3
	matchPrefix          = 4
	matchBool            = 5
	stringAllowed        = 6
	matchInteger         = 7
	prefixAllowed        = 8
	selectKeyWithPrefix  = 9
	integerAllowed       = 10
	matchType            = 11
	matchData            = 12
	dataAllowed          = 13
	lastQueryOperation   = dataAllowed
	lastTypeOfEntitlment = 5
)

// step is one operation; with is a string, int64, bool or []byte as the operation demands.
type step struct {
	op   int64
	with any
}

// query walks through the entitlements: every step selects a part of the present
// value or tests it, and a step that cannot be done fails the query.
type query struct {
	steps  []step
	source any
}

func compileQuery(v any) (node, error) {
	list, ok := v.([]any)
	if !ok || len(list) == 0 {
		return nil, fmt.Errorf("$query takes a list of [operation, parameter] that is not empty")
	}
	q := query{source: v}
	for i, item := range list {
		pair, ok := item.([]any)
		if !ok || len(pair) != 2 {
			return nil, fmt.Errorf("$query: step %d is not [operation, parameter]", i+1)
		}
		op, ok := pair[0].(int64)
		if !ok || op < selectKey || op > lastQueryOperation {
			return nil, fmt.Errorf("$query: step %d: %v is no operation; they are numbered 1 to %d", i+1, pair[0], lastQueryOperation)
		}
		if err := checkParameter(op, pair[1]); err != nil {
			return nil, fmt.Errorf("$query: step %d: operation %d %w", i+1, op, err)
		}
		q.steps = append(q.steps, step{op, pair[1]})
	}
	return q, nil
}

func checkParameter(op int64, v any) error {
	want, ok := "a string", false
	switch op {
	case matchBool:
		want = "a bool"
		_, ok = v.(bool)
	case matchData, dataAllowed:
		want = "data"
		_, ok = v.([]byte)
	case matchInteger, integerAllowed:
		want = "an integer"
		_, ok = v.(int64)
	case selectIndex:
		want = "an index"
		n, isInt := v.(int64)
		ok = isInt && n >= 0
	case matchType:
		want = "1 (dictionary), 2 (array), 3 (integer), 4 (string) or 5 (bool)"
		n, isInt := v.(int64)
		ok = isInt && n >= 1 && n <= lastTypeOfEntitlment
	default:
		_, ok = v.(string)
	}
	if !ok {
		return fmt.Errorf("takes %s, not %v", want, v)
	}
	return nil
}

func (q query) eval(f *Facts) Verdict {
	c := signed(f)
	if c == nil {
		return Indeterminate
	}
	var v any = c.Entitlements
	for _, s := range q.steps {
		var ok bool
		if v, ok = s.take(v); !ok {
			return False
		}
	}
	return True
}

// take does the step on v and returns the value to go on with.
func (s step) take(v any) (any, bool) {
	switch s.op {
	case selectKey:
		m, _ := v.(map[string]any)
		e, ok := m[s.with.(string)]
		return e, ok
	case selectIndex:
		list, _ := v.([]any)
		i := s.with.(int64)
		if i >= int64(len(list)) {
			return nil, false
		}
		return list[i], true
	case selectKeyWithPrefix:
		m, _ := v.(map[string]any)
		return longestKey(m, s.with.(string))
	case matchType:
		return v, typeOf(v) == s.with.(int64)
	case matchString, matchBool, matchInteger, matchData, matchPrefix:
		return v, s.fits(v)
	}
	list, isList := v.([]any) // stringAllowed, prefixAllowed, integerAllowed, dataAllowed
	if !isList {
		return v, s.fits(v)
	}
	for _, e := range list {
		if s.fits(e) {
			return v, true
		}
	}
	return v, false
}

// fits compares one value.
func (s step) fits(v any) bool {
	switch w := s.with.(type) {
	case []byte:
		d, ok := v.([]byte)
		return ok && bytes.Equal(d, w)
	case string:
		t, ok := v.(string)
		if s.op == matchPrefix || s.op == prefixAllowed {
			return ok && strings.HasPrefix(t, w)
		}
		return ok && t == w
	}
	return v == s.with
}

// longestKey is the entry with the longest key that begins with prefix; of several
// the first in order.
func longestKey(m map[string]any, prefix string) (any, bool) {
	best, found := "", false
	for k := range m {
		longer := len(k) > len(best) || len(k) == len(best) && k < best
		if strings.HasPrefix(k, prefix) && (!found || longer) {
			best, found = k, true
		}
	}
	return m[best], found
}

func typeOf(v any) int64 {
	switch v.(type) {
	case map[string]any:
		return 1
	case []any:
		return 2
	case int64:
		return 3
	case string:
		return 4
	case bool:
		return 5
	}
	return 0
}

func (q query) why(f *Facts) string {
	c := signed(f)
	if c == nil {
		return unsigned(f)
	}
	var v any = c.Entitlements
	for i, s := range q.steps {
		next, ok := s.take(v)
		if ok {
			v = next
			continue
		}
		if i == 0 {
			return "the program has no such entitlement"
		}
		return fmt.Sprintf("step %d fails: %s", i+1, found(v, true))
	}
	return "met"
}
func (q query) write(b *strings.Builder) {
	b.WriteString(`"entitlements": `)
	writeObject(b, map[string]any{"$query": q.source})
}
func (q query) need(n *Needs) { n.Code = true }
