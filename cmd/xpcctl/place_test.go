package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestNamedPaths(t *testing.T) {
	for _, c := range []struct {
		why, file string
		want      []namedPath
	}{
		{"JSON, at the value", "{\n \"Program\":\t\"a\",\n \"Label\": 5}", []namedPath{{"Program", "a", 2, 13}}},
		{"JSON, the first argument", `{"ProgramArguments": [ "a", "b"]}`, []namedPath{{"ProgramArguments", "a", 1, 24}}},
		{"the arguments do not matter beside a program", `{"ProgramArguments": ["a"], "Program": "b"}`, []namedPath{{"Program", "b", 1, 40}}},
		{"XML, at the element", "<plist><dict>\n<key>Program</key> <string>a&amp;b</string></dict></plist>", []namedPath{{"Program", "a&b", 2, 20}}},
		{
			"XML, the first argument only",
			"<plist><dict><key>ProgramArguments</key><array><string>a</string><string>b</string></array></dict></plist>",
			[]namedPath{{"ProgramArguments", "a", 1, 48}},
		},
		{"XML, keys of another level are another's", "<plist><dict><key>X</key><dict><key>Program</key><string>a</string></dict></dict></plist>", nil},
		{"a mistake ends it", `{"Program": "a", "WorkingDirectory": oops`, []namedPath{{"Program", "a", 1, 13}}},
		{"wrong types are not its business", `{"Program": 5, "ProgramArguments": [5, "a"], "StandardOutPath": ""}`, nil},
		{"nothing", "", nil},
	} {
		got := namedPaths([]byte(c.file))
		if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(namedPath{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.why, diff)
		}
	}
}

// Whatever a file holds, a place lies inside it.
func TestNamedPathsOfAnything(t *testing.T) {
	piece := rapid.SampledFrom([]string{
		"<plist>", "<dict>", "<key>Program</key>", "<string>", "</string>", "</dict>", "<array>", "</array>", "{", "}", "[", "]",
		`"Program"`, `"ProgramArguments"`, ":", ",", "\n", " ", "\ufeff", "\xff", "a", "&", "5", "<!--", "-->",
	})
	rapid.Check(t, func(t *rapid.T) {
		var file string
		for _, p := range rapid.SliceOfN(piece, 0, 20).Draw(t, "pieces") {
			file += p
		}
		for _, p := range namedPaths([]byte(file)) {
			if p.line < 1 || p.column < 1 || p.column > len(file)+1 {
				t.Errorf("place %d:%d in %q", p.line, p.column, file)
			}
		}
	})
}
