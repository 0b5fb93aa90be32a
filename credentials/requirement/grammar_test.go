package requirement

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

func mustParse(text string) *Requirement {
	r, err := Parse(text)
	if err != nil {
		panic(err)
	}
	return r
}

// unknown are clauses of Apple's language that no other system can judge: each parses,
// has a normal form and a remedy, and is neither true nor false.
var unknown = []struct{ text, normal, remedy string }{
	{`platform = 2`, `platform = 2`, "anchor apple"},
	{`platform 14`, `platform = 14`, "anchor apple"},
	{`platform == 0`, `platform = 0`, "anchor apple"},
	{`anchor apple mac`, `anchor apple "mac"`, "hash of its certificate"},
	{`anchor apple com.example.root`, `anchor apple "com.example.root"`, "hash"},
	{`anchor apple "generic"`, `anchor apple "generic"`, "hash"},
	{`anchor apple "x y"`, `anchor apple "x y"`, "hash"},
	{`anchor = /etc/cert.pem`, `certificate root = "/etc/cert.pem"`, "openssl x509"},
	{`anchor /etc/cert`, `certificate root = "/etc/cert"`, "openssl x509"},
	{`anchor = "/etc/my-cert.pem"`, `certificate root = "/etc/my-cert.pem"`, "openssl x509"},
	{`certificate leaf = /a/b/c`, `certificate leaf = "/a/b/c"`, "openssl x509"},
	{`cert 1 == "/a b"`, `certificate 1 = "/a b"`, "openssl x509"},
	{`certificate -2 /a/b`, `certificate -2 = "/a/b"`, "openssl x509"},
	{`(named)`, `("named")`, "write it out"},
	{`("a name")`, `("a name")`, "write it out"},
	{`(com.example.tool)`, `("com.example.tool")`, "write it out"},
	{`((named))`, `("named")`, "write it out"},
	{`platform = 2 and anchor apple generic`, `platform = 2 and anchor apple generic`, "anchor apple"},
	{`never or platform = 2`, `never or platform = 2`, "none of these"},
	{`!(platform = 2)`, `!platform = 2`, "anchor apple"},
	{`!(named)`, `!("named")`, "write it out"},
}

func TestWhatIsNeverKnownHere(t *testing.T) {
	for _, c := range unknown {
		r, err := Parse(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if r.String() != c.normal {
			t.Errorf("%s: its normal form is %s, want %s", c.text, r, c.normal)
		}
		roundTrip(t, r)
		v, why := r.Match(tool())
		if v != Indeterminate || !strings.Contains(why.Why, c.remedy) {
			t.Errorf("%s: got %v, %v, want indeterminate and a remedy with %q", c.text, v, why, c.remedy)
		}
		if text := r.Explain(tool()); !strings.Contains(text, "indeterminate") {
			t.Errorf("%s is not explained: %s", c.text, text)
		}
	}
}

// TestSupported: what nobody can meet here is told at once, naming the clause; what
// somebody can meet, whatever the clause that cannot be judged, is not.
func TestSupported(t *testing.T) {
	for text, clause := range map[string]string{
		`platform = 2`: `platform = 2: `,
		`identifier x and (platform = 2 or platform = 3)`: `platform = 2: `,
		`!platform = 2`:                     `platform = 2: `,
		`(named)`:                           `("named"): `,
		`anchor = /a/b`:                     `certificate root = "/a/b": `,
		`anchor apple mac and identifier x`: `anchor apple "mac": `,
		`uid 0 and !(uid 1 or !(never or platform = 2))`:     `platform = 2: `,
		`(uid 0 or platform = 4) and platform = 5`:           `platform = 5: `,
		`{"on-authorized-authapfs-volume": true}`:            `"on-authorized-authapfs-volume": true: this system has no such volumes`,
		`{"$and": {"on-authorized-authapfs-volume": false}}`: `"on-authorized-authapfs-volume": false: `,
		`identifier x or platform = 2`:                       "",
		`always`:                                             "",
		`never`:                                              "", // it says so itself
		`never and platform = 2`:                             "",
		`always or !platform = 2`:                            "",
		`notarized`:                                          "", // nothing is notarized, which is known
		`!notarized`:                                         "",
		`uid 0`:                                              "",
		`{"$optional": {"on-authorized-authapfs-volume": true}}`:                                  "",
		`{"$or": {"on-authorized-authapfs-volume": true, "team-identifier": "X"}}`:                "",
		`{"$or": {"$optional": {"on-authorized-authapfs-volume": true}, "team-identifier": "X"}}`: "",
	} {
		err := mustParse(text).Supported()
		switch {
		case clause == "" && err != nil:
			t.Errorf("%s: %v", text, err)
		case clause != "" && (err == nil || !strings.Contains(err.Error(), "on this system: "+clause)):
			t.Errorf("%s: got %v, want the clause %s", text, err, clause)
		}
	}
	if err := (*Requirement)(nil).Supported(); err != nil {
		t.Error(err)
	}
}

// TestSupportedIsTrueOfAll: what is not supported is met by no facts.
func TestSupportedHoldsForTheTable(t *testing.T) {
	for _, c := range cases {
		if err := mustParse(c.text).Supported(); err != nil && c.want != Indeterminate {
			t.Errorf("%s is %v for somebody, and yet: %v", c.text, c.want, err)
		}
	}
}

var sets = []struct{ text, normal string }{
	{`designated => identifier "com.example.tool" and anchor apple generic`, `designated => identifier "com.example.tool" and anchor apple generic`},
	{`host => anchor apple guest => never`, "host => anchor apple\nguest => never"},
	{`library => anchor apple; plugin => always;`, "library => anchor apple\nplugin => always"},
	{`plugin => always; ; library => anchor apple`, "library => anchor apple\nplugin => always"},
	{`1 => always 2 => never`, "host => always\nguest => never"},
	{`3 => identifier x 77 => never 5 => info[a]`, "designated => identifier \"x\"\nplugin => info[\"a\"] exists\n77 => never"},
	{`0 => always`, "0 => always"},
	{"// what it is\ndesignated => identifier x /* and */ or never # end", `designated => identifier "x" or never`},
	{`designated => (named) library => platform = 2`, "designated => (\"named\")\nlibrary => platform = 2"},
	{`designated => unit host => host`, "host => host\ndesignated => unit"}, // host is a kind and a clause
	{`identifier x and never`, `identifier "x" and never`},
	{`host`, `host`},
	{`always;`, `always`},
}

func TestSets(t *testing.T) {
	for _, c := range sets {
		set, err := ParseSet(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if set.String() != c.normal {
			t.Errorf("%s: got\n%s\nwant\n%s", c.text, set, c.normal)
		}
		again, err := ParseSet(set.String())
		if err != nil || !maps.EqualFunc(set, again, func(a, b *Requirement) bool { return a.String() == b.String() }) {
			t.Errorf("%s became %s, %v", set, again, err)
		}
		for _, kind := range set.Kinds() {
			roundTrip(t, set[kind])
		}
		if _, one := set[""]; !one { // a setter takes no set
			if _, err := Parse(c.text); err == nil || !strings.Contains(err.Error(), "a set of requirements") {
				t.Errorf("%s as one requirement: %v", c.text, err)
			}
		}
	}
	if got := (Set{"plugin": mustParse("always"), "host": mustParse("always"), "9": mustParse("always"), "designated": mustParse("always")}).Kinds(); !slices.Equal(got, []string{"host", "designated", "plugin", "9"}) {
		t.Errorf("the kinds are in the order of their numbers: got %v", got)
	}
}

func TestBadSets(t *testing.T) {
	for _, c := range []struct {
		text   string
		column int
		part   string
	}{
		{``, 1, "the end stands where a requirement"},
		{`designated =>`, 14, "a clause"},
		{`designated => always designated => never`, 22, "the kind designated is there twice"},
		{`designated => always 3 => never`, 22, "the kind designated is there twice"},
		{`designated => always never`, 22, `a kind (designated =>)`},
		{`designated => always guest`, 27, `"=>"`},
		{`designated => always "guest" => never`, 22, `a kind`},
		{`designated => bogus`, 15, `"bogus" begins no clause`},
		{`always guest => never`, 8, `"and", "or" or the end`},
		{`other => always`, 7, "a set of requirements"},
		{`99999999999 => always`, 13, "a set of requirements"},
	} {
		set, err := ParseSet(c.text)
		se, ok := err.(*SyntaxError)
		if !ok || set != nil || se.Line != 1 || se.Column != c.column || !strings.Contains(se.Problem, c.part) {
			t.Errorf("%s: got %v, %v, want column %d and %q", c.text, set, err, c.column, c.part)
		}
	}
}
