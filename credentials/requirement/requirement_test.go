package requirement

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/openxpc/openxpc/credentials"
	"github.com/openxpc/openxpc/integration/soak"
)

const (
	hashA = `H"0123456789abcdef0123456789abcdef01234567"`
	hashB = `H"ffffffffffffffffffffffffffffffffffffffff"`
)

func ref[T any](v T) *T { return &v }

// tool is a program signed by a team, which the kernel granted its marker.
func tool() *Facts {
	return &Facts{
		Credentials: credentials.Credentials{PID: 77, UID: 1000, GID: 100, Groups: credentials.NewGroupSet(4, 27)},
		Assurance:   Granted,
		Code: &Code{
			CDHash:     [20]byte{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01, 0x23, 0x45, 0x67},
			Identifier: "com.example.tool", Team: "EXAMPLE123", Category: 6, Trusted: true,
			Info: map[string]any{
				"CFBundleShortVersionString": "17.4", "Number": int64(5), "No": false, "Yes": true, "Real": 1.5,
				"Data": []byte{0xca, 0xfe}, "List": []any{"red", "green", []any{"blue"}}, "Empty": []any{}, "None": nil,
				"When": time.Date(2025, 6, 1, 0, 0, 0, 0, time.UTC), "Quote": `say "hi"\`, "BlankText": "",
			},
			Entitlements: map[string]any{
				"com.example.see": true, "com.example.no": false, "com.example.name": "value", "com.example.number": int64(3),
				"groups": []any{"group.one", "group.two"}, "numbers": []any{int64(1), int64(2)},
				"nested": map[string]any{"key.a": "x", "key.abc": "y", "other": []byte{1}},
			},
			Certificates: []Certificate{
				{
					SHA1:    [20]byte{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01, 0x23, 0x45, 0x67},
					Subject: map[string][]string{"CN": {"Example Signing"}, "OU": {"EXAMPLE123", "Second"}, "O": {"Example"}, "C": {"DE"}},
					Extensions: map[string][]byte{
						"1.2.840.113635.100.6.1.13": {5, 0},
						"1.2.3.4":                   append([]byte{0x17, 13}, "240131120000Z"...),
						"1.2.3.5":                   append([]byte{0x18, 15}, "20600131120000Z"...),
					},
					Policies: []string{"2.5.29.32.1"},
				},
				{Subject: map[string][]string{"CN": {"Example Intermediate"}}},
				{Subject: map[string][]string{"CN": {"Example Root"}, "O": {"Example"}}, Trusted: true},
			},
		},
		LaunchType: ref(int64(1)), IsInitProc: ref(false), IsSIPProtected: ref(true), OnSystemVolume: ref(true),
		Unit: "tool@1.service", Cgroup: "/system.slice/tool@1.service", Label: "tool_t", Host: ref(true),
	}
}

// cases are judged on tool.
var cases = []struct {
	text string
	want Verdict
}{
	// Apple's documented examples, with this tool's names.
	{`anchor apple`, False},
	{`anchor apple generic`, True},
	{`anchor generic apple`, True},
	{`anchor trusted`, True},
	{`certificate trusted`, True},
	{`cert trusted`, True},
	{`identifier "com.example.tool"`, True},
	{`identifier com.example.tool`, True},
	{`identifier = "com.example.tool"`, True},
	{`identifier == com.example.tool`, True},
	{`identifier com.example`, False},
	{`identifier "com.example.tool.more"`, False},
	{`identifier "COM.EXAMPLE.TOOL"`, False},
	{`anchor apple generic and certificate leaf[subject.OU] = "EXAMPLE123"`, True},
	{`anchor apple generic and certificate leaf[subject.OU] = EXAMPLE123 and identifier "com.example.tool"`, True},
	{`certificate leaf [subject.CN] = "Example Signing"`, True},
	{`certificate 0[subject.CN] = "Example Signing"`, True},
	{`cert leaf[subject.CN] = "Example"`, False},
	{`certificate root[subject.CN] = "Example Root"`, True},
	{`certificate -1[subject.CN] = "Example Root"`, True},
	{`certificate 2[subject.CN] = "Example Root"`, True},
	{`certificate -3[subject.CN] = "Example Signing"`, True},
	{`certificate 1[subject.CN] = "Example Intermediate"`, True},
	{`certificate -2[subject.CN] = "Example Intermediate"`, True},
	{`certificate 3[subject.CN] = "Example Root"`, False},
	{`certificate -4[subject.CN] exists`, False},
	{`certificate 3[subject.CN] absent`, False},
	{`anchor[subject.CN] = "Example Root"`, True},
	{`anchor [subject.O] = Example`, True},
	{`certificate leaf[field.1.2.840.113635.100.6.1.13] exists`, True},
	{`certificate leaf[field.1.2.840.113635.100.6.1.13]`, True},
	{`certificate leaf[extension.1.2.840.113635.100.6.1.13] exists`, True},
	{`certificate leaf[field.1.2.840.113635.100.6.1.14] exists`, False},
	{`certificate leaf[field.1.2.840.113635.100.6.1.14] absent`, True},
	{`certificate leaf[field.1.2.840.113635.100.6.1.13] = "x"`, False},
	{`certificate 1[field.1.2.840.113635.100.6.2.6] exists`, False},
	{`certificate leaf[policy.2.5.29.32.1] exists`, True},
	{`certificate leaf[policy.2.5.29.32.2] exists`, False},
	{`certificate leaf[policy.2.5.29.32.2] absent`, True},
	{`certificate leaf = ` + hashA, True},
	{`certificate leaf ` + hashA, True},
	{`certificate leaf = ` + hashB, False},
	{`certificate root = H"0000000000000000000000000000000000000000"`, True},
	{`anchor = H"0000000000000000000000000000000000000000"`, True},
	{`anchor H"0000000000000000000000000000000000000000"`, True},
	{`anchor = ` + hashA, False},
	{`certificate 7 = ` + hashA, False},
	{`certificate root trusted`, True},
	{`certificate leaf trusted`, False},
	{`certificate 9 trusted`, False},
	{`cdhash ` + hashA, True},
	{`cdhash = ` + hashA, True},
	{`cdhash H"0123456789ABCDEF0123456789ABCDEF01234567"`, True},
	{`cdhash ` + hashB, False},
	{`info[CFBundleShortVersionString] = "17.4"`, True},
	{`info [CFBundleShortVersionString] < "17.5"`, True},
	{`info[CFBundleShortVersionString] > "7.4"`, True},
	{`info["CFBundleShortVersionString"] >= 17.4`, True},
	{`info[CFBundleShortVersionString] <= 17.4`, True},
	{`info[CFBundleShortVersionString] < 17.4`, False},
	{`info[CFBundleShortVersionString] > 17.4`, False},
	{`info[CFBundleShortVersionString] == 17.4`, True},
	{`info[MISSING] exists`, False},
	{`info[MISSING] absent`, True},
	{`info[MISSING] = "x"`, False},
	{`info[MISSING] < "x"`, False},
	{`!info[MISSING] exists`, True},
	{`info[Number] exists`, True},
	{`info[Number]`, True},
	{`info[Number] = "5"`, False},
	{`info[Number] < "6"`, False},
	{`info[No] exists`, False},
	{`info[No] absent`, False},
	{`info[No] = "false"`, False},
	{`info[Yes] exists`, True},
	{`info[None] exists`, False},
	{`info[None] absent`, True},
	{`info[Empty] exists`, True},
	{`info[Empty] = "x"`, False},
	{`info[Real] exists`, True},
	{`info[BlankText] exists`, True},
	{`info[BlankText] = ""`, True},
	{`info[BlankText] < "a"`, True},
	{`info[Data] = 0xcafe`, True},
	{`info[Data] = 0xCAFE`, True},
	{`info[Data] = 0xcaff`, False},
	{`info[Data] = "cafe"`, False},
	{`info[CFBundleShortVersionString] = 0x31`, False},
	{`info[List] = "red"`, True},
	{`info[List] = green`, True},
	{`info[List] = blue`, True},
	{`info[List] = black`, False},
	{`info[List] = gre*`, True},
	{`info[List] = *lue`, True},
	{`info[List] = *ree*`, True},
	{`info[List] ~ ree`, True},
	{`info[List] ~ "eee"`, False},
	{`info[List] > "r"`, True},
	{`info[List] < "a"`, False},
	{`info[Quote] = "say \"hi\"\\"`, True},
	{`info[When] = timestamp "2025-06-01T00:00:00Z"`, True},
	{`info[When] = timestamp "2025-06-01"`, True},
	{`info[When] = timestamp "20250601000000Z"`, True},
	{`info[When] = timestamp "2025-06-01T02:00:00+02:00"`, True},
	{`info[When] > timestamp "2025-01-01"`, True},
	{`info[When] < timestamp "2025-01-01"`, False},
	{`info[When] >= timestamp "2025-06-01"`, True},
	{`info[When] <= timestamp "2025-06-01"`, True},
	{`info[When] > timestamp "2025-06-01"`, False},
	{`info[CFBundleShortVersionString] > timestamp "2025-06-01"`, False},
	{`info[When] = "2025-06-01"`, False},
	{`info[CFBundleShortVersionString] = timestamp`, False},
	{`certificate leaf[timestamp.1.2.3.4] exists`, True},
	{`certificate leaf[timestamp.1.2.3.4] < timestamp "2024-02-01"`, True},
	{`certificate leaf[timestamp.1.2.3.4] > timestamp "2024-02-01"`, False},
	{`certificate leaf[timestamp.1.2.3.5] > timestamp "2060-01-01"`, True},
	{`certificate leaf[timestamp.1.2.840.113635.100.6.1.13] exists`, False},
	{`certificate leaf[timestamp.1.2.9] absent`, True},
	{`entitlement["com.example.see"] exists`, True},
	{`entitlement[com.example.see]`, True},
	{`entitlement["com.example.no"] exists`, False},
	{`entitlement["com.example.no"]`, False},
	{`entitlement["com.example.other"] exists`, False},
	{`entitlement["com.example.other"] absent`, True},
	{`entitlement["com.example.name"] = value`, True},
	{`entitlement["com.example.name"] = "val"*`, True},
	{`entitlement["com.example.name"] = *"lue"`, True},
	{`entitlement["com.example.name"] = *"alu"*`, True},
	{`entitlement["com.example.name"] = *"value"*`, True},
	{`entitlement["com.example.name"] = *"xalu"*`, False},
	{`entitlement["com.example.name"] = "alue"*`, False},
	{`entitlement["com.example.name"] = *"valu"`, False},
	{`entitlement["com.example.name"] = "*alue"`, False},
	{`entitlement["groups"] = "group.two"`, True},
	{`entitlement["groups"] = "group.three"`, False},
	{`entitlement["nested"] = "x"`, False},
	{`entitlement["nested"] exists`, True},
	{`certificate leaf[subject.OU] = "Second"`, True},
	{`certificate leaf[subject.OU] = *"123"`, True},
	{`certificate leaf[subject.OU] > "EXAMPLE99"`, True},
	{`certificate leaf[subject.UID] exists`, False},
	{`certificate leaf[subject.UID] absent`, True},
	{`certificate leaf[subject.C] = DE`, True},
	{`certificate leaf["subject.C-O"] absent`, True},
	{`info[CFBundleShortVersionString] = 0x31372e34`, True}, // bytes of a text
	{`info[CFBundleShortVersionString] = 0x3137*`, True},
	{`info[CFBundleShortVersionString] = *0x2e34`, True},
	{`info[CFBundleShortVersionString] = *0x372e*`, True},
	{`info[CFBundleShortVersionString] ~ 0x2e`, True},
	{`info[CFBundleShortVersionString] > 0x372e34`, True},
	{`info[CFBundleShortVersionString] < 0x372e34`, False},
	{`info[List] = 0x726564`, True},
	{`info[Data] = 0xca*`, False}, // data is compared as a whole
	{`info[Data] ~ 0xfe`, False},
	{`info[Data] >= 0xcafe`, False},
	{`info[Number] = 0x35`, False},
	{`info[Data] exists`, True},
	{`info[When] exists`, True},
	{`info[When] absent`, False},
	{`info["When"] == timestamp "2025-06-01"`, True},
	{`info[List] exists`, True},
	{`info[List] absent`, False},
	{`info[List] >= red`, True},
	{`info[List] <= blue`, True},
	{`entitlement [ "com.example.see" ]`, True},
	{`entitlement["com.example.see"] = true`, False}, // a text is not a bool
	{`entitlement["com.example.number"] = 3`, False},
	{`entitlement["com.example.number"]`, True},
	{`entitlement["numbers"] = 1`, False},
	{`entitlement["groups"] = "group."*`, True},
	{`entitlement["groups"] ~ ".two"`, True},
	{`entitlement["groups"] = *".three"`, False},
	{`entitlement["nested"] absent`, False},
	{`entitlement["key.a"] exists`, False}, // a key is not a way into dictionaries
	{`certificate leaf[subject.O] = Example and certificate root[subject.O] = Example`, True},
	{`certificate leaf[subject.C] ~ D`, True},
	{`certificate leaf[subject.OU] = "Sec"*`, True},
	{`certificate leaf[subject.OU] = "Other"`, False},
	{`certificate 1[subject.OU] absent`, True},
	{`certificate 1[subject.OU]`, False},
	{`certificate -0[subject.CN] = "Example Signing"`, True},
	{`certificate leaf["field.1.2.840.113635.100.6.1.13"]`, True},
	{`certificate root[field.1.2.840.113635.100.6.1.13] absent`, True},
	{`certificate leaf[timestamp.1.2.3.4] = timestamp "20240131120000Z"`, True},
	{`certificate leaf[timestamp.1.2.3.4] >= timestamp "20240131120000Z"`, True},
	{`certificate leaf[timestamp.1.2.3.4] <= timestamp "2024-01-31"`, False},
	{`certificate leaf[timestamp.1.2.3.5] exists`, True},
	{`anchor trusted and certificate root trusted`, True},
	{`notarized or anchor apple generic`, True},
	{`notarized`, False},
	{`!notarized`, True},
	{`legacy`, False},

	// Logic: ! before and before or.
	{`always`, True}, {`true`, True}, {`never`, False}, {`false`, False},
	{`!always`, False}, {`!never`, True}, {`not never`, True}, {`!!always`, True}, {`! ! ! always`, False}, {`not !always`, True},
	{`always and never`, False}, {`always or never`, True},
	{`never or always and never`, False},
	{`always or always and never`, True},
	{`(always or always) and never`, False},
	{`!never and never`, False},
	{`!(never and never)`, True},
	{`!never or never`, True},
	{`!(never or always)`, False},
	{`never and never or always`, True},
	{`never and (never or always)`, False},
	{`((((always))))`, True},
	{`always;`, True}, {`always ; ;`, True},
	{`always and always and always and never`, False},
	{`never or never or never or always`, True},

	// Comments and space.
	{"always // and never", True},
	{"always # and never", True},
	{"always /* and never */ and always", True},
	{"/**/always", True}, {"always/* a * b ** */", True},
	{"// first\n#second\nalways\n", True},
	{"always\tand\r\nalways", True},
	{`info[CFBundleShortVersionString]/*x*/=/*y*/17.4`, True},
	{`info[ CFBundleShortVersionString ] = * "7." *`, True},

	// What this system adds.
	{`uid 1000`, True}, {`uid = 1000`, True}, {`uid 0`, False}, {`!uid 0`, True}, {`uid 0 or uid 1000`, True},
	{`gid 100`, True}, {`gid 27`, True}, {`gid 4`, True}, {`gid 5`, False}, {`gid = 5`, False},
	{`unit "tool@1.service"`, True}, {`unit = "tool@"*`, True}, {`unit "tool@"*`, True}, {`unit "other.service"`, False}, {`unit`, True}, {`unit exists`, True},
	{`cgroup "/system.slice/"*`, True}, {`cgroup = "/user.slice/"*`, False}, {`cgroup ~ "tool"`, True},
	{`label "tool_t"`, True}, {`label = "other_t"`, False},
	{`host`, True}, {`!host`, False}, {`container`, False}, {`!container`, True}, {`container "web"`, False}, {`container = "web"`, False},
	{`assurance credentials`, True}, {`assurance image`, True}, {`assurance granted`, True}, {`assurance >= granted`, True}, {`assurance enforced`, False},
	{`uid 1000 and anchor apple generic and assurance granted`, True},
	{`{"team-identifier": "EXAMPLE123"}`, True},
	{`{"team-identifier": "OTHER"}`, False},
	{`{"team-identifier": "EXAMPLE123"} and uid 1000`, True},
	{`!{"validation-category": {"$in": [1, 10]}}`, True},
	{`{"cdhash": ` + hashA + `, "launch-type": 1, "is-init-proc": false,}`, True},
	{`{"entitlements": {"$query": [[1, "com.example.number"], [7, 3]]}}`, True},
	{`{"launch-type": {"$gt": -1}}`, True},
}

func TestCasesOnASignedTool(t *testing.T) {
	f := tool()
	for _, c := range cases {
		r, err := Parse(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		got, why := r.Match(f)
		if got != c.want {
			t.Errorf("%s: got %v (%v), want %v", c.text, got, why, c.want)
		}
		if (why == nil) != (got == True) {
			t.Errorf("%s: %v with the mismatch %v", c.text, got, why)
		}
		roundTrip(t, r)
	}
}

// roundTrip: the text of a requirement makes the same requirement.
func roundTrip(t *testing.T, r *Requirement) {
	t.Helper()
	again, err := Parse(r.String())
	if err != nil {
		t.Errorf("%s: its own text is refused: %v", r, err)
	} else if !reflect.DeepEqual(r, again) || r.String() != again.String() {
		t.Errorf("%s became %s", r, again)
	}
}

func TestCollation(t *testing.T) {
	// Each is less than the next.
	ladder := []string{"", "0.9", "1", "1.0", "1.9", "1.10", "2", "7.4", "17", "17.3.9", "17.4", "17.4.1", "17.4b1", "17.4b2", "17.4b10", "100", "18446744073709551616", "A2", "A10", "B1", "a", "a1", "a2b", "a2c", "a10"}
	f := tool()
	for i, a := range ladder {
		f.Code.Info["v"] = a
		for j, b := range ladder {
			for o, want := range map[string]bool{"<": i < j, ">": i > j, "<=": i <= j, ">=": i >= j, "=": i == j} {
				r, err := Parse(fmt.Sprintf("info[v] %s %q", o, b))
				if err != nil {
					t.Fatal(err)
				}
				if got, _ := r.Match(f); got != verdict(want) {
					t.Errorf("%q %s %q: got %v", a, o, b, got)
				}
			}
		}
	}
	if collate("007", "7") != 0 || collate("1.01", "1.1") != 0 {
		t.Error("numbers are compared as numbers: zeros in front count for nothing")
	}
}

func TestWhatIsNotKnownIsIndeterminate(t *testing.T) {
	nothing := &Facts{Credentials: credentials.Unknown(), Why: "no registry answers: start xpcd"}
	for _, text := range []string{
		`anchor apple`, `anchor apple generic`, `identifier x`, `cdhash ` + hashA, `certificate leaf[subject.OU] = x`, `certificate leaf = ` + hashA,
		`certificate root trusted`, `info[x] absent`, `entitlement[x] absent`, `always`, `notarized`, `unit "a"`, `unit`, `cgroup "/"*`, `label "a"`, `container`,
		`container "a"`, `host`, `uid 0`, `gid 0`, `{"team-identifier": "X"}`, `{"launch-type": 0}`, `{"is-init-proc": false}`, `{"on-authorized-authapfs-volume": false}`,
		`{"entitlements": {"$query": [[1, "x"]]}}`, `{"validation-category": {"$lt": 20}}`,
	} {
		for _, not := range []string{"", "!"} {
			r, err := Parse(not + text)
			if err != nil {
				t.Fatal(err)
			}
			v, why := r.Match(nothing)
			if v != Indeterminate || why == nil {
				t.Errorf("%s: got %v, want indeterminate: neither it nor its opposite may pass", r, v)
			}
			if r.Needs().Code && !strings.Contains(why.Why, "start xpcd") {
				t.Errorf("%s: %q does not say what is missing", r, why)
			}
		}
	}
}

func TestKleene(t *testing.T) {
	words := map[Verdict]string{True: `uid 1000`, False: `uid 1`, Indeterminate: `container "x" and label "y"`}
	f := &Facts{Credentials: credentials.Credentials{UID: 1000}}
	for a, x := range words {
		for b, y := range words {
			check := func(text string, want Verdict) {
				t.Helper()
				r, err := Parse(text)
				if err != nil {
					t.Fatal(err)
				}
				if got, _ := r.Match(f); got != want {
					t.Errorf("%v, %v: %s is %v, want %v", a, b, text, got, want)
				}
			}
			check("("+x+") and ("+y+")", min(a, b))
			check("("+x+") or ("+y+")", max(a, b))
			check("!("+x+")", -a)
		}
	}
}

func TestAHardenedProgramNeedsTheKernelsWord(t *testing.T) {
	r, _ := Parse(`identifier "com.example.tool"`)
	f := tool()
	f.Code.Flags = Hardened
	if v, _ := r.Match(f); v != True {
		t.Errorf("granted: got %v", v)
	}
	f.Assurance = Image
	v, why := r.Match(f)
	if v != Indeterminate || !strings.Contains(why.Why, "hardened") {
		t.Errorf("not granted: got %v, %v", v, why)
	}
	f.Code.Flags = 0
	if v, _ := r.Match(f); v != True {
		t.Errorf("a program that is not hardened passes by its image: got %v", v)
	}
	f.Why = "it has no group"
	if v, why := r.Match(f.AtLeast(Granted)); v != Indeterminate || !strings.Contains(why.Why, "assurance image") || !strings.Contains(why.Why, f.Why) {
		t.Errorf("who demands more: got %v, %v", v, why)
	}
	if f.Code == nil {
		t.Error("AtLeast must not change the facts")
	}
	f.Assurance = CredentialsOnly
	if v, why := r.Match(f); v != Indeterminate || !strings.Contains(why.Why, "credentials") {
		t.Errorf("a signature that nothing ties to the process: got %v, %v", v, why)
	}
}

var refused = []struct {
	text         string
	line, column int
	part         string
}{
	{``, 1, 1, "the end stands where a requirement"},
	{`  // nothing`, 1, 13, "the end stands where a requirement"},
	{`identifer "x"`, 1, 1, `"identifer" begins no clause`},
	{`always and`, 1, 11, "the end stands where a clause"},
	{`always or`, 1, 10, "the end"},
	{`and always`, 1, 1, `"and" begins no clause`},
	{`always always`, 1, 8, `"and", "or" or the end`},
	{`(always`, 1, 8, `")"`},
	{`always)`, 1, 7, `"and", "or" or the end`},
	{`()`, 1, 2, "a clause"},
	{`!`, 1, 2, "a clause"},
	{`always and !`, 1, 13, "a clause"},
	{"always and\n  (never or\n    bogus)", 3, 5, `"bogus" begins`},
	{"/* ä */ x", 1, 9, `"x" begins`},
	{`/* never ends`, 1, 1, "comment does not end"},
	{`always /*`, 1, 8, "comment does not end"},
	{`identifier "x`, 1, 12, "does not end"},
	{`identifier "\x"`, 1, 13, "backslash"},
	{`identifier com.foo-bar`, 1, 19, "must be quoted"},
	{`identifier com.foo_bar`, 1, 19, "must be quoted"},
	{`identifier com.foo.`, 1, 19, "must be quoted"},
	{`identifier foo*`, 1, 15, "must be quoted"},
	{`identifier`, 1, 11, "an identifier"},
	{`identifier ""`, 1, 12, "empty"},
	{`identifier = `, 1, 14, "an identifier"},
	{`identifier != x`, 1, 12, "an identifier"},
	{`identifier exists and`, 1, 22, "a clause"},
	{`cdhash`, 1, 7, "a hash"},
	{`cdhash "0123"`, 1, 8, "a hash"},
	{`cdhash H"0123"`, 1, 8, "40 hexadecimal digits, not 4"},
	{`cdhash H"012345678"`, 1, 8, "not 9"},
	{`cdhash H"0123456789abcdef0123456789abcdef0123456g"`, 1, 8, "hexadecimal digits only"},
	{`cdhash H"0123456789abcdef0123456789abcdef01234567`, 1, 8, "does not end"},
	{`anchor`, 1, 7, "a hash"},
	{`anchor generic`, 1, 15, `"apple"`},
	{`anchor generic trusted`, 1, 16, `"apple"`},
	{`anchor = /`, 1, 10, "after every slash"},
	{`certificate`, 1, 12, `"leaf", "root"`},
	{`certificate x`, 1, 13, `"leaf", "root"`},
	{`certificate -leaf`, 1, 14, `"leaf"`},
	{`certificate 99999`, 1, 13, `"leaf"`},
	{`certificate "0"`, 1, 13, `"leaf"`},
	{`certificate leaf`, 1, 17, "a hash"},
	{`certificate leaf[`, 1, 18, "a key"},
	{`certificate leaf[]`, 1, 18, "a key"},
	{`certificate leaf[subject.CN`, 1, 28, `"]"`},
	{`certificate leaf[subject.XX] exists`, 1, 18, `not "XX"`},
	{`certificate leaf[subject] exists`, 1, 18, `not ""`},
	{`certificate leaf[email] = x`, 1, 18, "subject.X, field.OID"},
	{`certificate leaf[field.abc] exists`, 1, 18, "object identifier"},
	{`certificate leaf[field.1] exists`, 1, 18, "object identifier"},
	{`certificate leaf[field] exists`, 1, 18, "object identifier"},
	{`certificate leaf["policy.1..2"] exists`, 1, 18, "object identifier"},
	{`certificate leaf["timestamp.-1.2"] exists`, 1, 18, "object identifier"},
	{`info`, 1, 5, `"["`},
	{`info exists`, 1, 6, `"["`},
	{`info[""] exists`, 1, 6, "the key is empty"},
	{`info[a.b`, 1, 9, `"]"`},
	{`info[a] =`, 1, 10, "a value"},
	{`info[a] = *`, 1, 12, "a value"},
	{`info[a] = **`, 1, 12, "a value"},
	{`info[a] = (b)`, 1, 11, "a value"},
	{`info[a] <`, 1, 10, "a value"},
	{`info[a] < *"b"`, 1, 11, "a value"},
	{`info[a] < "b"*`, 1, 14, `"and", "or"`},
	{`info[a] != b`, 1, 9, `"and", "or"`},
	{`info[a] => b`, 1, 9, "a set of requirements"},
	{`info[a] = 0x`, 1, 11, "hexadecimal"},
	{`info[a] = 0x123`, 1, 11, "even number"},
	{`info[a] = 0xzz`, 1, 11, "hexadecimal"},
	{`info[a] = timestamp "yesterday"`, 1, 21, "is no time"},
	{`info[a] = *timestamp "2025-01-01"`, 1, 12, "only a text has wildcards"},
	{`info[a] ~`, 1, 10, "a value"},
	{`designated => always`, 1, 12, "a set of requirements"},
	{`host => always`, 1, 6, "a set of requirements"},
	{`library => always plugin => never`, 1, 9, "a set of requirements"},
	{`5 => always`, 1, 3, "a set of requirements"},
	{`always and (x y)`, 1, 13, `"x" begins`},
	{`("x" and always)`, 1, 2, "a clause"},
	{`always & never`, 1, 8, "not part of the language"},
	{`always and é`, 1, 12, "not part of the language"},
	{`uid`, 1, 4, "the number of a user"},
	{`uid root`, 1, 5, "the number of a user"},
	{`uid -1`, 1, 5, "the number of a user"},
	{`uid 4294967295`, 1, 5, "the number of a user"},
	{`gid "5"`, 1, 5, "the number of a user"},
	{`label tool`, 1, 7, `"and", "or"`},
	{`unit absent`, 1, 6, "may have wildcards"},
	{`unit < "a"`, 1, 6, "may have wildcards"},
	{`cgroup = 0xab`, 1, 8, "may have wildcards"},
	{`unit = timestamp "2025-01-01"`, 1, 6, "may have wildcards"},
	{`assurance`, 1, 10, "an assurance"},
	{`assurance best`, 1, 11, "credentials, image, granted or enforced"},
	{`assurance < image`, 1, 11, "an assurance"},
	{`{}`, 1, 1, "empty dictionary"},
	{`{`, 1, 2, "a key"},
	{`{"a"}`, 1, 5, `":"`},
	{`{a: 1}`, 1, 2, "a key in quotation marks"},
	{`{"launch-type": }`, 1, 17, "an integer"},
	{`{"launch-type": 1.5}`, 1, 17, "an integer"},
	{`{"launch-type": 99999999999999999999}`, 1, 17, "an integer"},
	{`{"launch-type": 1, "launch-type": 2}`, 1, 20, "there twice"},
	{`{"launch-type": 1 "x": 2}`, 1, 19, `"}"`},
	{`{"cdhash": H"012"}`, 1, 12, "even number"},
	{`always and {"colour": "red"}`, 1, 12, `"colour" is no fact`},
	{"identifier \"a\x00b\"", 1, 14, "NUL"},
	{"identifier \"\xff\"", 1, 1, "UTF-8"},
}

func TestWhatIsRefusedAndWhere(t *testing.T) {
	for _, c := range refused {
		r, err := Parse(c.text)
		se, ok := err.(*SyntaxError)
		if !ok || r != nil {
			t.Errorf("%s: got %v, %v, want a *SyntaxError", c.text, r, err)
			continue
		}
		if se.Line != c.line || se.Column != c.column || !strings.Contains(se.Problem, c.part) {
			t.Errorf("%s: got %v, want line %d, column %d and %q", c.text, se, c.line, c.column, c.part)
		}
	}
	if n := len(cases) + len(refused) + len(unknown) + len(sets); n < 400 {
		t.Errorf("%d cases of the language, 400 are asked for", n)
	}
}

func TestLimits(t *testing.T) {
	nest := func(n int) string { return strings.Repeat("(", n) + "always" + strings.Repeat(")", n) }
	if _, err := Parse(nest(MaxDepth)); err != nil {
		t.Errorf("%d deep: %v", MaxDepth, err)
	}
	for _, text := range []string{nest(MaxDepth + 1), strings.Repeat("!", MaxDepth+1) + "always", strings.Repeat(`{"$and":`, MaxDepth+1), strings.Repeat(`{"$in":[`, MaxDepth)} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), "deeper than 1000") {
			t.Errorf("%.20s...: got %v", text, err)
		}
	}
	long := "always" + strings.Repeat(" and always", MaxText)
	if _, err := Parse(long); err == nil || !strings.Contains(err.Error(), "the limit is 65536") {
		t.Errorf("a long text: got %v", err)
	}
	r, err := Parse(strings.Repeat("!(never or ", MaxDepth/2) + "always" + strings.Repeat(")", MaxDepth/2))
	if err != nil {
		t.Fatal(err)
	}
	_, why := r.Match(&Facts{})
	if len(why.String()) > 3*mostWords {
		t.Errorf("a deep requirement makes an explanation of %d bytes", len(why.String()))
	}
	roundTrip(t, r)
}

func TestMismatchNamesTheClause(t *testing.T) {
	for text, want := range map[string]string{
		`uid 1000 and identifier "x" and never`:          `identifier "x": it is "com.example.tool"`,
		`anchor apple`:                                   `anchor apple: "com.example.tool" is not of the platform: neither its anchor nor the trust cache says so`,
		`uid 0 or uid 1`:                                 `uid 0 or uid 1: none of these is met: uid 0: it is pid 77 uid 1000 gid 100; uid 1: it is pid 77 uid 1000 gid 100`,
		`!uid 1000`:                                      `!uid 1000: it is so`,
		`always and !(uid 1000 and gid 100)`:             `!(uid 1000 and gid 100): it is so`,
		`entitlement["com.example.other"]`:               `entitlement["com.example.other"] exists: it has none`,
		`info[CFBundleShortVersionString] >= 18`:         `info["CFBundleShortVersionString"] >= "18": it is "17.4"`,
		`certificate 5[subject.OU] = x`:                  `certificate 5[subject.OU] = "x": it has no such certificate, but 3`,
		`certificate leaf = ` + hashB:                    `certificate leaf = ` + hashB + `: it is ` + hashA,
		`container "web" and uid 0`:                      `container = "web": its container is not known, or it has none`,
		`{"team-identifier": "A", "launch-type": 1}`:     `"team-identifier": "A": it is "EXAMPLE123"`,
		`{"entitlements": {"$query": [[1, "nothing"]]}}`: `"entitlements": {"$query": [[1, "nothing"]]}: the program has no such entitlement`,
		`{"entitlements": {"$query": [[1, "com.example.name"], [3, "other"]]}}`: `"entitlements": {"$query": [[1, "com.example.name"], [3, "other"]]}: step 2 fails: it is "value"`,
		`assurance enforced`: `assurance enforced: it is granted`,
	} {
		r, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if _, why := r.Match(tool()); why.String() != want {
			t.Errorf("%s:\n got %s\nwant %s", text, why, want)
		}
	}
	for _, r := range []*Requirement{nil, {}, Or(), And(), Not(nil), And(nil)} {
		if v, why := r.Match(tool()); v != False || why.Why == "" {
			t.Errorf("an empty requirement is met by nobody: got %v, %v", v, why)
		}
	}
	if v, _ := Host().Match(nil); v != Indeterminate {
		t.Errorf("no facts: got %v", v)
	}
}

func TestExplain(t *testing.T) {
	r, err := Parse(`uid 1000 and (anchor apple or identifier "x") and !{"$or": {"launch-type": 1, "team-identifier": "A"}}`)
	if err != nil {
		t.Fatal(err)
	}
	want := `false         all of
  true          uid 1000
  false         any of
    false         anchor apple: "com.example.tool" is not of the platform: neither its anchor nor the trust cache says so
    false         identifier "x": it is "com.example.tool"
  false         !{"$or": {"launch-type": 1, "team-identifier": "A"}}: it is so
`
	if got := r.Explain(tool()); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if got := (*Requirement)(nil).Explain(tool()); got != "no requirement\n" {
		t.Errorf("got %q", got)
	}
}

func TestNeeds(t *testing.T) {
	for text, want := range map[string]Needs{
		`uid 0 or gid 5`:                         {},
		`never`:                                  {},
		`always`:                                 {Code: true},
		`uid 0 and !anchor apple`:                {Code: true},
		`unit "a" or cgroup "/"*`:                {Unit: true, Cgroup: true},
		`label "a" and host`:                     {Label: true, Container: true},
		`container "x"`:                          {Container: true},
		`assurance image`:                        {Assurance: true},
		`{"launch-type": 1}`:                     {System: true},
		`{"$optional": {"team-identifier":"x"}}`: {Code: true},
	} {
		r, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Needs(); got != want || got.CredentialsOnly() != (want == Needs{}) {
			t.Errorf("%s: got %+v, want %+v", text, got, want)
		}
	}
	if !(*Requirement)(nil).Needs().CredentialsOnly() {
		t.Error("no requirement needs nothing")
	}
}

func TestConstructors(t *testing.T) {
	must := func(r *Requirement, err error) *Requirement {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for want, r := range map[string]*Requirement{
		`uid 0 or uid 1000`:                must(UID(0, 1000)),
		`gid 27`:                           must(GID(27)),
		`never`:                            must(UID()),
		`unit = "a.service"`:               must(Unit("a.service")),
		`cgroup = "/a" or cgroup = "/a/"*`: must(Cgroup("/a/")),
		`cgroup = "/" or cgroup = "/"*`:    must(Cgroup("/")),
		`label = "x_t"`:                    must(Label("x_t")),
		`container`:                        must(Container("")),
		`container = "web"`:                must(Container("web")),
		`host`:                             Host(),
		`assurance granted`:                must(MinAssurance(Granted)),
		`entitlement["a b"] exists`:        must(EntitlementExists("a b")),
		`{"entitlements": {"$query": [[1, "n"], [5, true]]}}`:                                                  must(EntitlementMatches("n", true)),
		`{"entitlements": {"$query": [[1, "n"], [3, "v"]]}}`:                                                   must(EntitlementMatches("n", "v")),
		`{"entitlements": {"$query": [[1, "n"], [7, -3]]}}`:                                                    must(EntitlementMatches("n", int64(-3))),
		`{"validation-category": 1}`:                                                                           must(Platform("")),
		`{"signing-identifier": "i", "validation-category": 1}`:                                                must(Platform("i")),
		`{"signing-identifier": "i", "team-identifier": "T", "validation-category": {"$in": [2, 3, 4, 5, 6]}}`: must(Team("T", "i")),
		`host and !(uid 0 or uid 1)`:                                                                           And(Host(), Not(must(UID(0, 1)))),
		`host or uid 1 and gid 2`:                                                                              Or(Host(), And(must(UID(1)), must(GID(2)))),
		`(host or uid 1) and gid 2`:                                                                            And(Or(Host(), must(UID(1))), must(GID(2))),
		`!host`:                                                                                                Not(Not(Not(Host()))),
		`uid 1 and uid 2 and uid 3`:                                                                            And(And(must(UID(1)), must(UID(2))), must(UID(3))),
	} {
		if r.String() != want {
			t.Errorf("got %s, want %s", r, want)
		}
		roundTrip(t, r)
	}
	for what, err := range map[string]error{
		"uid -1":          second(UID(-1)),
		"gid beyond":      second(GID(-2)),
		"empty unit":      second(Unit("")),
		"relative cgroup": second(Cgroup("a")),
		"NUL in label":    second(Label("a\x00")),
		"container":       second(Container("\xff")),
		"assurance":       second(MinAssurance(9)),
		"entitlement":     second(EntitlementExists("")),
		"its name":        second(EntitlementMatches("", true)),
		"its value":       second(EntitlementMatches("n", 5)),
		"its value's NUL": second(EntitlementMatches("n", "\x00")),
		"no team":         second(Team("", "i")),
	} {
		if err == nil || !strings.HasPrefix(err.Error(), "requirement: ") {
			t.Errorf("%s: got %v", what, err)
		}
	}
}

func second(_ *Requirement, err error) error { return err }

// TestRandomRoundTrips makes random trees and reads their texts again.
func TestRandomRoundTrips(t *testing.T) {
	n := soak.Times(20_000, 1_000_000)
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 1))
	f := tool()
	for i := range n {
		r := &Requirement{randomNode(rnd, 4)}
		s := r.String()
		again, err := Parse(s)
		if err != nil {
			t.Fatalf("seed %d, round %d: %s: %v", seed, i, s, err)
		}
		if !reflect.DeepEqual(r, again) {
			t.Fatalf("seed %d, round %d: %s became %s", seed, i, s, again)
		}
		a, _ := r.Match(f)
		b, _ := again.Match(f)
		if a != b {
			t.Fatalf("seed %d, round %d: %s: %v and %v", seed, i, s, a, b)
		}
	}
}

func randomNode(r *rand.Rand, depth int) node {
	if depth > 0 && r.IntN(3) > 0 {
		switch r.IntN(3) {
		case 0:
			return negate(randomNode(r, depth-1))
		case 1:
			return anyOf([]node{randomNode(r, depth-1), randomNode(r, depth-1)})
		}
		return allOf([]node{randomNode(r, depth-1), randomNode(r, depth-1), randomNode(r, depth-1)})
	}
	switch r.IntN(15) {
	case 13:
		return mustParse(`platform = ` + fmt.Sprint(r.IntN(20))).top
	case 0:
		return always{}
	case 1:
		return never{}
	case 2:
		return identifier(randomText(r) + "x")
	case 3:
		return cdhash{0: byte(r.IntN(256)), 19: byte(r.IntN(256))}
	case 4:
		return origin(r.IntN(5))
	case 5:
		return certTrusted{slot(r.IntN(9) - 4)}
	case 6:
		return certHash{slot(r.IntN(9) - 4), [20]byte{5: byte(r.IntN(256))}}
	case 7:
		return certField{slot(r.IntN(9) - 4), "subject", []string{"CN", "C-O", "OU"}[r.IntN(3)], randomMatch(r)}
	case 8:
		return certField{slot(r.IntN(9) - 4), []string{"field", "policy", "timestamp"}[r.IntN(3)], "1.2.3", randomMatch(r)}
	case 9:
		return id{r.IntN(2) == 0, r.IntN(1 << 20)}
	case 10:
		return place{placeKind(r.IntN(4)), match{equal + op(r.IntN(4)), randomText(r)}}
	case 11:
		return host{}
	case 12:
		return assured(r.IntN(4))
	}
	return property{r.IntN(2) == 0, randomText(r) + "k", randomMatch(r)}
}

func randomMatch(r *rand.Rand) match {
	o := op(r.IntN(int(atLeast) + 1))
	switch {
	case o == exists || o == absent:
		return match{op: o}
	case r.IntN(3) == 0:
		return match{o, []byte{byte(r.IntN(256)), 7}}
	case o != contains && o != begins && o != ends && r.IntN(3) == 0:
		return match{o, time.Unix(r.Int64N(1<<33), 0).UTC()}
	}
	return match{o, randomText(r)}
}

func randomText(r *rand.Rand) string {
	b := make([]rune, r.IntN(6))
	for i := range b {
		b[i] = []rune("aZ9._-\"\\*/# \n(){}[]=<>!é✓\u2028")[r.IntN(24)]
	}
	return string(b)
}

func FuzzParse(f *testing.F) {
	for _, c := range cases {
		f.Add(c.text)
	}
	for _, c := range refused {
		f.Add(c.text)
	}
	for _, c := range unknown {
		f.Add(c.text)
	}
	facts := tool()
	f.Fuzz(func(t *testing.T, s string) {
		r, err := Parse(s)
		if err != nil {
			if _, ok := err.(*SyntaxError); !ok || r != nil {
				t.Fatalf("%q: %v, %v", s, r, err)
			}
			return
		}
		again, err := Parse(r.String())
		if len(r.String()) > MaxText {
			return // quotation marks can make it longer
		}
		if err != nil || !reflect.DeepEqual(r, again) {
			t.Fatalf("%q: %s became %v, %v", s, r, again, err)
		}
		if v, why := r.Match(facts); (v == True) != (why == nil) {
			t.Fatalf("%q: %v with %v", s, v, why)
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	for name, text := range map[string]string{
		"text": `anchor apple generic and certificate leaf[subject.OU] = "EXAMPLE123" and identifier "com.example.tool" and entitlement["com.example.see"] exists`,
		"LWCR": `{"team-identifier": "EXAMPLE123", "validation-category": {"$in": [2, 3, 4, 5, 6]}, "entitlements": {"$query": [[1, "com.example.name"], [3, "value"]]}}`,
		"uid":  `uid 0 or uid 1000`,
	} {
		r, err := Parse(text)
		if err != nil {
			b.Fatal(err)
		}
		f := tool()
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if v, why := r.Match(f); v != True {
					b.Fatal(why)
				}
			}
		})
	}
}
