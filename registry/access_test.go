package registry

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLookUpOfAJob(t *testing.T) {
	want := map[string]Access{
		"com.example.both":    {Users: []int{0, 1000}, Groups: []int{50}},
		"com.example.nobody":  {},
		"com.example.nobody2": {},
	}
	for format, text := range map[string]string{
		"JSON": `{"Label": "a", "Program": "/p", "MachServices": {
			"com.example.both": {"LookUp": {"Users": ["root", 1000], "Groups": [50]}},
			"com.example.nobody": {"LookUp": {}}, "com.example.nobody2": {"LookUp": {"Users": []}},
			"com.example.all": true, "com.example.open": {}}}`,
		"XML": head + `<dict><key>Label</key><string>a</string><key>Program</key><string>/p</string><key>MachServices</key><dict>
			<key>com.example.both</key><dict><key>LookUp</key><dict>
				<key>Users</key><array><string>root</string><integer>0x3e8</integer></array>
				<key>Groups</key><array><integer>50</integer></array></dict></dict>
			<key>com.example.nobody</key><dict><key>LookUp</key><dict/></dict>
			<key>com.example.nobody2</key><dict><key>LookUp</key><dict><key>Users</key><array/></dict></dict>
			<key>com.example.all</key><true/><key>com.example.open</key><dict/></dict></dict></plist>`,
	} {
		j, err := ParseJob("", []byte(text))
		if err != nil {
			t.Errorf("%s: %v", format, err)
			continue
		}
		if diff := cmp.Diff(want, j.LookUp); diff != "" {
			t.Errorf("%s: names become ids when the file is read (-want +got):\n%s", format, diff)
		}
	}
}

func TestAllows(t *testing.T) {
	a := Access{Users: []int{1000}, Groups: []int{50}}
	in := func(groups ...int) func(int) bool {
		return func(gid int) bool {
			for _, g := range groups {
				if g == gid {
					return true
				}
			}
			return false
		}
	}
	for _, tt := range []struct {
		why      string
		a        Access
		uid, gid int
		groups   func(int) bool
		want     bool
	}{
		{"the user", a, 1000, 7, nil, true},
		{"another user of the group", a, 7, 50, nil, true},
		{"a member of the group", a, 7, 7, in(3, 50), true},
		{"nobody of these", a, 7, 7, in(3, 1000), false},
		{"a user id is no group id", a, 50, 1000, nil, false},
		{"root is not on the list: the daemon decides about root", a, 0, 0, nil, false},
		{"who is not known", Access{Users: []int{-1}, Groups: []int{-1}}, -1, -1, nil, false},
		{"an empty list", Access{}, 0, 0, in(0), false},
	} {
		if got := tt.a.Allows(tt.uid, tt.gid, tt.groups); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.why, got, tt.want)
		}
	}
}

// What a file names costs a look into the system's database each, and room.
func TestAccessIsBounded(t *testing.T) {
	list := func(item string, n int) string { return strings.Repeat(item+",", n-1) + item }
	file := func(users string) []byte {
		return []byte(`{"Label":"a","Program":"/p","MachServices":{"n":{"LookUp":{"Users":[` + users + `]}}}}`)
	}
	if j, err := ParseJob("", file(list("7", MaxAccess))); err != nil || len(j.LookUp["n"].Users) != MaxAccess {
		t.Errorf("at the limit: %v", err)
	}
	_, err := ParseJob("", file(list("7", MaxAccess+50)))
	if want := "more than 1000 users and groups are named: use a group. Nothing"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("beyond: got %v, want one finding that says %q", err, want)
	}
	var bad *JobError
	if _, err := ParseJob("", file(list(`"no-such-user"`, MaxAccess))); !errors.As(err, &bad) || len(bad.Findings) != maxFindings {
		t.Errorf("got %v, want %d findings", err, maxFindings)
	}
	if _, err := ParseAccess(make([]string, MaxAccess), []string{"1"}); err == nil {
		t.Error("a command line may name as many as it likes")
	}
}

func TestParseAccess(t *testing.T) {
	a, err := ParseAccess([]string{"root", "1000"}, []string{"0", "4294967294"})
	if err != nil {
		t.Fatal(err)
	}
	large := int64(4294967294)
	if diff := cmp.Diff(Access{Users: []int{0, 1000}, Groups: []int{0, int(large)}}, a); diff != "" {
		t.Error(diff)
	}
	for want, f := range map[string]func() (Access, error){
		`no user is called "no-such-user" on this system`:   func() (Access, error) { return ParseAccess([]string{"no-such-user"}, nil) },
		`no group is called "no-such-group" on this system`: func() (Access, error) { return ParseAccess(nil, []string{"no-such-group"}) },
		`no user is called "4294967295"`:                    func() (Access, error) { return ParseAccess([]string{"4294967295"}, nil) },
		`no user is called "-1"`:                            func() (Access, error) { return ParseAccess([]string{"-1"}, nil) },
	} {
		if a, err := f(); err == nil || !strings.Contains(err.Error(), want) || a.Users != nil || a.Groups != nil {
			t.Errorf("got %v, %v; want nothing and %q", a, err, want)
		}
	}
}

// The longest name is good in a job file, one byte more is not (R213).
func TestLengthOfNames(t *testing.T) {
	for n, want := range map[int]string{127: "", 128: "1:46: bad service name: 128 bytes, the limit is 127"} {
		name := strings.Repeat("n", n)
		_, err := ParseJob("", []byte(fmt.Sprintf(`{"Label":"a","Program":"/p","MachServices":{ %q: true}}`, name)))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("a name of %d bytes: %v, want %q", n, err, want)
		}
	}
}

func ExampleAccess() {
	a := Access{Users: []int{1000}, Groups: []int{50}}
	staff := func(gid int) bool { return gid == 50 }
	fmt.Println(a.Allows(1000, 100, nil), a.Allows(1001, 100, staff), a.Allows(1001, 100, nil))
	// Output: true true false
}

func ExampleParseAccess() {
	a, err := ParseAccess([]string{"root", "1000"}, nil)
	fmt.Println(a.Users, err)
	_, err = ParseAccess(nil, []string{"nobodies group"})
	fmt.Println(err)
	// Output:
	// [0 1000] <nil>
	// no group is called "nobodies group" on this system: correct it, or give a number
}
