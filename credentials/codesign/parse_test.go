package codesign

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestManifestRoundTrip(t *testing.T) {
	m := manifest("content")
	m.Entitlements = map[string]any{
		"string": "é", "int": int64(math.MinInt64), "big": int64(math.MaxInt64), "bool": false, "real": 0.1, "inf": math.Inf(-1),
		"data": []byte{0, 255}, "date": time.Date(1969, 1, 1, 0, 0, 0, 0, time.UTC), "array": []any{[]any{}, map[string]any{}}, "": int64(24),
	}
	b, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseManifest(b)
	if err != nil || !cmp.Equal(got, m) {
		t.Errorf("%v\n%s", err, cmp.Diff(m, got))
	}
}

func TestManifestMistakes(t *testing.T) {
	deep := any("x")
	for range maxDepth + 1 {
		deep = []any{deep}
	}
	for _, c := range []struct {
		want string
		do   func(m *Manifest)
	}{
		{"identifier is empty", func(m *Manifest) { m.Identifier = "" }},
		{"other characters", func(m *Manifest) { m.Identifier = "com.example/tool" }},
		{"begins with", func(m *Manifest) { m.Identifier = "-s" }},
		{"256 bytes", func(m *Manifest) { m.Identifier = strings.Repeat("x", 256) }},
		{"team", func(m *Manifest) { m.Team = "a b" }},
		{"marker", func(m *Manifest) { m.Marker = MarkerName("OTHER", m.Identifier) }},
		{"flags", func(m *Manifest) { m.Flags = 1 << 20 }},
		{"created is missing", func(m *Manifest) { m.Created = time.Time{} }},
		{"whole seconds", func(m *Manifest) { m.Created = m.Created.Add(1) }},
		{"no file", func(m *Manifest) { m.Files = nil }},
		{"65 files", func(m *Manifest) { m.Files = make([]File, MaxFiles+1) }},
		{"order", func(m *Manifest) { m.Files = append(m.Files, m.Files[0]) }},
		{"size", func(m *Manifest) { m.Files[0].Size = -1 }},
		{"entitlements: x: a value of type int", func(m *Manifest) { m.Entitlements["x"] = 1 }},
		{"NaN", func(m *Manifest) { m.Info["x"] = math.NaN() }},
		{"UTF-8", func(m *Manifest) { m.Info["x"] = "\xff" }},
		{"deeper than", func(m *Manifest) { m.Info["x"] = deep }},
		{"more than the 65536", func(m *Manifest) { m.Info["x"] = make([]byte, MaxManifest) }},
	} {
		m := manifest("content")
		c.do(m)
		if _, err := m.Encode(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

// Each line is one way in which bytes are not the encoding of a map.
func TestNotCanonical(t *testing.T) {
	for _, c := range []struct{ name, bytes string }{
		{"nothing", ""},
		{"no map", "\x01"},
		{"two values", "\xa0\xa0"},
		{"a long head", "\xb8\x00"},
		{"a long integer", "\xa1\x61a\x18\x01"},
		{"keys out of order", "\xa2\x61b\x01\x61a\x01"},
		{"keys in the order of words", "\xa2\x62aa\x01\x61b\x01"},
		{"a key twice", "\xa2\x61a\x01\x61a\x02"},
		{"a key that is a number", "\xa1\x01\x01"},
		{"an indefinite map", "\xbf\xff"},
		{"a short float", "\xa1\x61a\xfa\x00\x00\x00\x00"},
		{"null", "\xa1\x61a\xf6"},
		{"an unknown tag", "\xa1\x61a\xc2\x01"},
		{"a date that is text", "\xa1\x61a\xc1\x61a"},
		{"a date in a far year", "\xa1\x61a\xc1\x1b\x7f\xff\xff\xff\xff\xff\xff\xff"},
		{"a text that is not UTF-8", "\xa1\x61a\x61\xff"},
		{"a text with a NUL", "\xa1\x61a\x61\x00"},
		{"a key with a NUL", "\xa1\x61\x00\x61a"},
		{"2^64 - 1", "\xa1\x61a\x1b\xff\xff\xff\xff\xff\xff\xff\xff"},
		{"2^64 - 1 elements", "\xa1\x61a\x9b\xff\xff\xff\xff\xff\xff\xff\xff"},
		{"2^64 - 1 bytes", "\xa1\x61a\x5b\xff\xff\xff\xff\xff\xff\xff\xff"},
		{"true in two bytes", "\xa1\x61a\xf8\xf5"},
		{"deep", strings.Repeat("\xa1\x61a", maxDepth+1) + "\xa0"},
	} {
		if m, err := decodeMap([]byte(c.bytes)); err == nil {
			t.Errorf("%s is accepted: %v", c.name, m)
		}
	}
}

func TestAnchorMistakes(t *testing.T) {
	w := newWorld(t)
	good := string(w.anchor.Format())
	certificate := good[strings.Index(good, "-----BEGIN"):]
	leaf := *w.anchor
	leaf.Certificate = w.signer.Certificates[0]
	for _, c := range []struct{ text, want string }{
		{"", "no certificate"},
		{"category: developer\n", "no certificate"},
		{certificate, `category ""`},
		{"category: vip\n" + certificate, `category "vip"`},
		{"category: local\ncategory: local\n" + certificate, "line 2: a second category"},
		{"category: local\nteams: X\n" + certificate, "line 2: unknown key"},
		{"category: local\nteam\n" + certificate, "line 2"},
		{"category: local\nteam: a b\n" + certificate, "team"},
		{"category: local\nentitlement: com.*.x\n" + certificate, "before its end"},
		{"category: local\nvalid: later\n" + certificate, "valid"},
		{good + good, "follows"},
		{good + "text", "follows"},
		{string(leaf.Format()), "not an authority"},
		{strings.Repeat("#\n", maxAnchor), "more than"},
		{"category: local\n" + strings.Repeat("team: X\n", maxAllowances+1) + certificate, "more than"},
		{"category: local\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "x509"},
	} {
		if _, err := ParseAnchor("example", []byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "anchor example") {
			t.Errorf("%.60q: %v, want %q", c.text, err, c.want)
		}
	}
}

func TestListMistakes(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"x", "deny:1: unknown kind"},
		{"\n# c\ncdhash", "deny:3: a line is"},
		{"team a b", "deny:1"},
		{"team a/b", "other characters"},
		{"cdhash 12", "40 hexadecimal"},
		{"cdhash " + strings.Repeat("A", 40), "lower case"},
		{"digest " + strings.Repeat("0", 40), "64 hexadecimal"},
		{"key " + strings.Repeat("x", 64), "64 hexadecimal"},
	} {
		if err := (items{}).add("deny", []byte(c.text), "cdhash", "digest", "key", "team"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.text, err, c.want)
		}
	}
}

func TestSignerMistakes(t *testing.T) {
	w := newWorld(t)
	b, err := w.signer.Format()
	w.ok(err)
	s, err := ParseSigner(b)
	if err != nil || s.Team() != "EXAMPLE123" {
		t.Fatalf("%v, %v", s, err)
	}
	good := string(b)
	key, certificate, _ := strings.Cut(good, "-----BEGIN CERT")
	certificate = "-----BEGIN CERT" + certificate
	other, _, err := NewTeam("OTHER", Ed25519, present, present)
	w.ok(err)
	otherBytes, err := other.Format()
	w.ok(err)
	otherKey, _, _ := strings.Cut(string(otherBytes), "-----BEGIN CERT")
	for _, c := range []struct{ text, want string }{
		{"", "no private key"},
		{certificate, "no private key"},
		{key, "no certificate"},
		{otherKey + certificate, "is not the private key's"},
		{key + key + certificate, "another one"},
		{good + "text", "not PEM"},
		{strings.ReplaceAll(key, "PRIVATE KEY", "EC PRIVATE KEY") + certificate, "neither"},
	} {
		if _, err := ParseSigner([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.60q: %v, want %q", c.text, err, c.want)
		}
	}
	for _, team := range []string{"", "a b", strings.Repeat("x", 65)} {
		if _, _, err := NewTeam(team, "", present, present); err == nil {
			t.Errorf("team %q is accepted", team)
		}
	}
	if _, _, err := NewTeam("X", "rsa", present, present); err == nil {
		t.Error("algorithm rsa is accepted")
	}
}

// Teams and identifiers do not run into each other.
func TestMarkerName(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range [][2]string{{"A", "B"}, {"AB", ""}, {"", "AB"}, {"B", "A"}} {
		name := MarkerName(c[0], c[1])
		if len(name) != 21 || seen[name] {
			t.Errorf("%v: %s", c, name)
		}
		seen[name] = true
	}
}

func TestReasons(t *testing.T) {
	if got := fmt.Sprint(ErrUnsigned, " ", fail(ErrUnsigned, "x has none")); got != "codesign: unsigned x has none" {
		t.Errorf("%q", got)
	}
}
