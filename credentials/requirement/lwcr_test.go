package requirement

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/openxpc/openxpc/credentials"
	"github.com/openxpc/openxpc/integration/soak"
)

// The three verdicts as facts: launch-type is 1, validation-category is not known.
var truth = map[Verdict][2]any{
	True:          {"launch-type", map[string]any{"$in": []any{int64(1)}}},
	False:         {"launch-type", map[string]any{"$in": []any{int64(2)}}},
	Indeterminate: {"validation-category", map[string]any{"$in": []any{int64(1)}}},
}

func launched() *Facts { return &Facts{Credentials: credentials.Unknown(), LaunchType: ref(int64(1))} }

func judge(t *testing.T, m map[string]any, f *Facts) Verdict {
	t.Helper()
	r, err := LightweightCode(m)
	if err != nil {
		t.Fatalf("%v: %v", m, err)
	}
	roundTrip(t, r)
	v, _ := r.Match(f)
	return v
}

// pair is a list of two one-entry dictionaries with the verdicts a and b, to be put
// where keys would collide.
func pair(a, b Verdict) (map[string]any, map[string]any) {
	one := func(v Verdict) map[string]any {
		e := truth[v]
		return map[string]any{e[0].(string): e[1]}
	}
	return one(a), one(b)
}

func TestTruthTables(t *testing.T) {
	all := []Verdict{False, Indeterminate, True}
	check := func(name string, m map[string]any, want Verdict) {
		t.Helper()
		if got := judge(t, m, launched()); got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
	opt := func(m map[string]any) map[string]any { return map[string]any{"$optional": m} }
	for _, a := range all {
		x, _ := pair(a, a)
		known := a
		if a == Indeterminate {
			known = True
		}
		check(fmt.Sprint("$and of ", a), map[string]any{"$and": x}, a)
		check(fmt.Sprint("$or of ", a), map[string]any{"$or": x}, a)
		check(fmt.Sprint("$optional of ", a, " at the top"), opt(x), known)
		check(fmt.Sprint("$optional of ", a, " in $and"), map[string]any{"$and": opt(x)}, known)
		inOr := False
		if a == True {
			inOr = True
		}
		check(fmt.Sprint("$optional of ", a, " in $or"), map[string]any{"$or": opt(x)}, inOr)
		check(fmt.Sprint("$optional of ", a, " in $or-array"), map[string]any{"$or-array": []any{[]any{"$optional", x}}}, inOr)
		check(fmt.Sprint("$optional of ", a, " in $and-array"), map[string]any{"$and-array": []any{[]any{"$optional", x}}}, known)
		check(fmt.Sprint("$optional of ", a, " in $and in $or"), map[string]any{"$or": map[string]any{"$and": opt(x)}}, known)
		for _, b := range all {
			x, y := pair(a, b)
			for _, op := range []string{"$and", "$or"} {
				want, wantAny := min(a, b), max(a, b)
				name := fmt.Sprintf("%v, %v (%s)", a, b, op)
				check("$and-array: "+name, map[string]any{"$and-array": []any{[]any{op, x}, []any{op, y}}}, want)
				check("$or-array: "+name, map[string]any{"$or-array": []any{[]any{op, x}, []any{op, y}}}, wantAny)
			}
			check("two entries", map[string]any{"$and": x, "$and-array": []any{[]any{"$and", y}}}, min(a, b))
			check("$or of two", map[string]any{"$or": map[string]any{"$and": x, "$and-array": []any{[]any{"$and", y}}}}, max(a, b))
		}
	}
}

func TestComparisons(t *testing.T) {
	for n := int64(0); n < 4; n++ {
		f := &Facts{LaunchType: ref(n)}
		for op, want := range map[string]bool{"$lt": n < 2, "$lte": n <= 2, "$gt": n > 2, "$gte": n >= 2} {
			m := map[string]any{"launch-type": map[string]any{op: int64(2)}}
			if got := judge(t, m, f); got != verdict(want) {
				t.Errorf("%d %s 2: got %v", n, op, got)
			}
			if got := judge(t, m, &Facts{}); got != Indeterminate {
				t.Errorf("not known %s 2: got %v", op, got)
			}
		}
		both := map[string]any{"launch-type": map[string]any{"$gt": 0, "$lt": 3}}
		if got := judge(t, both, f); got != verdict(n > 0 && n < 3) {
			t.Errorf("two operators in one fact, %d: got %v", n, got)
		}
		either := map[string]any{"launch-type": map[string]any{"$or": map[string]any{"$lt": 1, "$in": []any{3}}}}
		if got := judge(t, either, f); got != verdict(n < 1 || n == 3) {
			t.Errorf("$or over one fact, %d: got %v", n, got)
		}
		array := map[string]any{"launch-type": map[string]any{"$or-array": []any{[]any{"$and", map[string]any{"$gte": 1, "$lte": 1}}, []any{"$optional", map[string]any{"$gt": 2}}}}}
		if got := judge(t, array, f); got != verdict(n == 1 || n > 2) {
			t.Errorf("$or-array over one fact, %d: got %v", n, got)
		}
	}
}

func TestFactsOfADictionary(t *testing.T) {
	f := tool()
	h := f.Code.CDHash
	for key, v := range map[string][2]any{ // what it is, what it is not
		"cdhash":              {h[:], make([]byte, 20)},
		"signing-identifier":  {"com.example.tool", "com.example"},
		"team-identifier":     {"EXAMPLE123", "OTHER"},
		"validation-category": {int64(6), int64(1)},
		"launch-type":         {int64(1), int64(0)},
		"is-init-proc":        {false, true},
		"is-sip-protected":    {true, false},
		"on-system-volume":    {true, false},
	} {
		if got := judge(t, map[string]any{key: v[0]}, f); got != True {
			t.Errorf("%s %v: got %v", key, v[0], got)
		}
		if got := judge(t, map[string]any{key: v[1]}, f); got != False {
			t.Errorf("%s %v: got %v", key, v[1], got)
		}
		if got := judge(t, map[string]any{key: v[0]}, &Facts{}); got != Indeterminate {
			t.Errorf("%s of who is not known: got %v", key, got)
		}
		if _, isBool := v[0].(bool); isBool {
			continue
		}
		if got := judge(t, map[string]any{key: map[string]any{"$in": []any{v[1], v[0]}}}, f); got != True {
			t.Errorf("%s $in: got %v", key, got)
		}
	}
	for _, v := range []bool{true, false} {
		if got := judge(t, map[string]any{"on-authorized-authapfs-volume": v}, f); got != Indeterminate {
			t.Errorf("there is no such volume: got %v", got)
		}
		if got := judge(t, map[string]any{"$optional": map[string]any{"on-authorized-authapfs-volume": v}}, f); got != True {
			t.Errorf("only $optional lets it pass: got %v", got)
		}
	}
	// Apple's sample in xpc/peer_requirement.h (R194).
	sample := map[string]any{"$or": map[string]any{"team-identifier": "EXAMPLE123", "validation-category": int64(1)}}
	if got := judge(t, sample, f); got != True {
		t.Errorf("the sample of the header: got %v", got)
	}
}

func TestQueries(t *testing.T) {
	f := tool()
	see := func(steps ...any) map[string]any {
		return map[string]any{"entitlements": map[string]any{"$query": steps}}
	}
	s := func(op int, v any) []any { return []any{op, v} }
	for _, c := range []struct {
		want  Verdict
		steps []any
	}{
		{True, []any{s(1, "com.example.see")}},
		{True, []any{s(1, "com.example.no")}}, // it is there, whatever it is
		{False, []any{s(1, "missing")}},
		{True, []any{s(1, "com.example.see"), s(5, true)}},
		{False, []any{s(1, "com.example.see"), s(5, false)}},
		{True, []any{s(1, "com.example.no"), s(5, false)}},
		{False, []any{s(1, "com.example.name"), s(5, true)}},
		{True, []any{s(1, "com.example.name"), s(3, "value")}},
		{False, []any{s(1, "com.example.name"), s(3, "val")}},
		{True, []any{s(1, "com.example.name"), s(4, "val")}},
		{False, []any{s(1, "com.example.name"), s(4, "alue")}},
		{True, []any{s(1, "com.example.name"), s(6, "value")}},
		{True, []any{s(1, "groups"), s(6, "group.two")}},
		{False, []any{s(1, "groups"), s(6, "group.three")}},
		{False, []any{s(1, "groups"), s(3, "group.two")}},
		{True, []any{s(1, "groups"), s(8, "group.")}},
		{False, []any{s(1, "groups"), s(8, "roup")}},
		{True, []any{s(1, "com.example.name"), s(8, "va")}},
		{False, []any{s(1, "groups"), s(4, "group.")}},
		{True, []any{s(1, "groups"), s(2, 0), s(3, "group.one")}},
		{True, []any{s(1, "groups"), s(2, 1), s(3, "group.two")}},
		{False, []any{s(1, "groups"), s(2, 2)}},
		{False, []any{s(2, 0)}},
		{True, []any{s(1, "com.example.number"), s(7, 3)}},
		{False, []any{s(1, "com.example.number"), s(7, 4)}},
		{False, []any{s(1, "com.example.see"), s(7, 1)}},
		{True, []any{s(1, "com.example.number"), s(10, 3)}},
		{True, []any{s(1, "numbers"), s(10, 2)}},
		{False, []any{s(1, "numbers"), s(10, 3)}},
		{False, []any{s(1, "numbers"), s(7, 2)}},
		{True, []any{s(1, "nested"), s(11, 1), s(1, "key.a"), s(3, "x")}},
		{True, []any{s(1, "nested"), s(9, "key."), s(3, "y")}}, // key.abc is longer than key.a
		{False, []any{s(1, "nested"), s(9, "none")}},
		{False, []any{s(1, "groups"), s(9, "g")}},
		{True, []any{s(1, "nested"), s(1, "other"), s(12, []byte{1})}},
		{False, []any{s(1, "nested"), s(1, "other"), s(12, []byte{2})}},
		{True, []any{s(1, "nested"), s(1, "other"), s(13, []byte{1})}},
		{True, []any{s(11, 1)}}, {False, []any{s(11, 2)}},
		{True, []any{s(1, "groups"), s(11, 2)}},
		{True, []any{s(1, "com.example.number"), s(11, 3)}},
		{True, []any{s(1, "com.example.name"), s(11, 4)}},
		{True, []any{s(1, "com.example.see"), s(11, 5)}},
		{False, []any{s(1, "com.example.see"), s(11, 4)}},
		{False, []any{s(1, "com.example.see"), s(1, "deeper")}},
	} {
		if got := judge(t, see(c.steps...), f); got != c.want {
			t.Errorf("%v: got %v, want %v", c.steps, got, c.want)
		}
		if got := judge(t, see(c.steps...), &Facts{}); got != Indeterminate {
			t.Errorf("%v of who is not known: got %v", c.steps, got)
		}
	}
	bare := tool()
	bare.Code.Entitlements = nil
	if got := judge(t, see(s(1, "com.example.see")), bare); got != False {
		t.Errorf("a program without entitlements has none: got %v", got)
	}
}

var badDictionaries = []map[string]any{
	nil,
	{},
	{"unknown": true},
	{"Team-Identifier": "X"},
	{"apple-internal": true},
	{"info-plist-hash": []byte{1}},
	{"$xor": map[string]any{"launch-type": 1}},
	{"$in": []any{"x"}},
	{"$lt": 1},
	{"$query": []any{}},
	{"$and": map[string]any{}},
	{"$or": map[string]any{}},
	{"$and": []any{}},
	{"$or": "x"},
	{"$optional": map[string]any{}},
	{"$optional": map[string]any{"launch-type": 1, "is-init-proc": true}},
	{"$optional": true},
	{"$and-array": []any{}},
	{"$and-array": map[string]any{"launch-type": 1}},
	{"$or-array": []any{"$and"}},
	{"$or-array": []any{[]any{"$and"}}},
	{"$or-array": []any{[]any{"$in", []any{"x"}}}},
	{"$or-array": []any{[]any{"launch-type", 1}}},
	{"$or-array": []any{[]any{"$and", map[string]any{"launch-type": 1}, 3}}},
	{"$or-array": []any{[]any{1, map[string]any{"launch-type": 1}}}},
	{"launch-type": "1"},
	{"launch-type": true},
	{"launch-type": 1.0},
	{"launch-type": nil},
	{"launch-type": []any{1}},
	{"launch-type": uint8(1)},
	{"launch-type": map[string]any{}},
	{"launch-type": map[string]any{"$in": []any{}}},
	{"launch-type": map[string]any{"$in": 1}},
	{"launch-type": map[string]any{"$in": []any{"1"}}},
	{"launch-type": map[string]any{"$lt": "1"}},
	{"launch-type": map[string]any{"$query": []any{[]any{1, "x"}}}},
	{"launch-type": map[string]any{"is-init-proc": true}},
	{"launch-type": map[string]any{"$and": map[string]any{"is-init-proc": true}}},
	{"team-identifier": ""},
	{"team-identifier": 5},
	{"team-identifier": "a\x00"},
	{"team-identifier": "\xff"},
	{"team-identifier": map[string]any{"$lt": 1}},
	{"team-identifier": map[string]any{"$in": []any{""}}},
	{"cdhash": "0123"},
	{"cdhash": []byte{1}},
	{"cdhash": map[string]any{"$in": []any{"x"}}},
	{"is-init-proc": 1},
	{"is-init-proc": map[string]any{"$in": []any{true}}},
	{"entitlements": true},
	{"entitlements": map[string]any{"com.example.see": true}},
	{"entitlements": map[string]any{"$in": []any{"x"}}},
	{"entitlements": map[string]any{"$query": []any{}}},
	{"entitlements": map[string]any{"$query": "x"}},
	{"entitlements": map[string]any{"$query": []any{1, "x"}}},
	{"entitlements": map[string]any{"$query": []any{[]any{1}}}},
	{"entitlements": map[string]any{"$query": []any{[]any{0, 0}}}},
	{"entitlements": map[string]any{"$query": []any{[]any{14, "x"}}}},
	{"entitlements": map[string]any{"$query": []any{[]any{int64(1)<<62 | 1, "x"}}}},
	{"entitlements": map[string]any{"$query": []any{[]any{"1", "x"}}}},
	{"entitlements": map[string]any{"$query": []any{[]any{1, 5}}}},
	{"entitlements": map[string]any{"$query": []any{[]any{2, -1}}}},
	{"entitlements": map[string]any{"$query": []any{[]any{2, "0"}}}},
	{"entitlements": map[string]any{"$query": []any{[]any{3, true}}}},
	{"entitlements": map[string]any{"$query": []any{[]any{5, "true"}}}},
	{"entitlements": map[string]any{"$query": []any{[]any{6, []any{"a"}}}}},
	{"entitlements": map[string]any{"$query": []any{[]any{7, "1"}}}},
	{"entitlements": map[string]any{"$query": []any{[]any{10, true}}}},
	{"entitlements": map[string]any{"$query": []any{[]any{11, 0}}}},
	{"entitlements": map[string]any{"$query": []any{[]any{11, 6}}}},
	{"entitlements": map[string]any{"$query": []any{[]any{12, "data"}}}},
}

func TestBadDictionariesFailWhenSet(t *testing.T) {
	for _, m := range badDictionaries {
		if r, err := LightweightCode(m); err == nil || r != nil || !strings.HasPrefix(err.Error(), "requirement: ") {
			t.Errorf("%v: got %v, %v", m, r, err)
		}
		if m == nil {
			continue
		}
		deep := map[string]any{"$or": map[string]any{"launch-type": 1, "$and": m}}
		if _, err := LightweightCode(deep); err == nil {
			t.Errorf("%v beside something good: no error", m)
		}
	}
	nested := map[string]any{"launch-type": 1}
	for range maxDictionaryDepth + 1 {
		nested = map[string]any{"$and": nested}
	}
	many := make([]any, maxDictionaryParts)
	for i := range many {
		many[i] = int64(i)
	}
	for want, m := range map[string]map[string]any{"deeper": nested, "parts": {"launch-type": map[string]any{"$in": many}}} {
		if _, err := LightweightCode(m); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestADictionaryIsCopied(t *testing.T) {
	in := []any{"A"}
	m := map[string]any{"team-identifier": map[string]any{"$in": in}, "cdhash": make([]byte, 20)}
	r, err := LightweightCode(m)
	if err != nil {
		t.Fatal(err)
	}
	before := r.String()
	in[0] = "B"
	m["cdhash"].([]byte)[0] = 2
	if r.String() != before {
		t.Errorf("it changed with the dictionary: %s", r)
	}
}

// TestInvalidNeverPasses spoils good dictionaries at random: what is still accepted
// must be what it says, and read again from its text.
func TestInvalidNeverPasses(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 2))
	f := tool()
	n := soak.Times(20_000, 1_000_000)
	accepted := 0
	for i := range n {
		m := randomDictionary(rnd, 3)
		r, err := LightweightCode(m)
		if err != nil {
			if r != nil {
				t.Fatalf("seed %d, round %d: %v: both %v and %v", seed, i, m, r, err)
			}
			continue
		}
		accepted++
		again, err := Parse(r.String())
		if err != nil || !reflect.DeepEqual(r, again) {
			t.Fatalf("seed %d, round %d: %s became %v, %v", seed, i, r, again, err)
		}
		if v, why := r.Match(f); (v == True) != (why == nil) {
			t.Fatalf("seed %d, round %d: %s: %v with %v", seed, i, r, v, why)
		}
		if v, _ := r.Match(&Facts{}); v == True && !strings.Contains(r.String(), "$optional") {
			t.Fatalf("seed %d, round %d: %s is met by who is not known", seed, i, r)
		}
	}
	if accepted == 0 {
		t.Error("nothing was accepted: the test says nothing")
	}
}

func randomDictionary(r *rand.Rand, depth int) map[string]any {
	keys := []string{"$and", "$or", "$optional", "$and-array", "$or-array", "launch-type", "team-identifier", "is-init-proc", "entitlements", "cdhash", "$in", "bogus"}
	m := map[string]any{}
	for range 1 + r.IntN(2) {
		k := keys[r.IntN(len(keys))]
		switch {
		case strings.HasSuffix(k, "array"):
			m[k] = []any{[]any{keys[r.IntN(3)], randomValue(r, depth-1)}}
		case strings.HasPrefix(k, "$") && depth > 0:
			m[k] = randomDictionary(r, depth-1)
		default:
			m[k] = randomValue(r, depth-1)
		}
	}
	return m
}

func randomValue(r *rand.Rand, depth int) any {
	switch r.IntN(9) {
	case 0:
		return int64(r.IntN(3))
	case 1:
		return []string{"EXAMPLE123", "X", ""}[r.IntN(3)]
	case 2:
		return r.IntN(2) == 0
	case 3:
		return []byte{1}
	case 4:
		return map[string]any{"$in": []any{int64(r.IntN(3))}}
	case 5:
		return map[string]any{"$query": []any{[]any{int64(r.IntN(15)), "groups"}}}
	case 6:
		return map[string]any{[]string{"$lt", "$gte", "$gt", "$lte"}[r.IntN(4)]: int64(r.IntN(3))}
	case 7:
		return nil
	}
	if depth > 0 {
		return randomDictionary(r, depth-1)
	}
	return int64(1)
}
