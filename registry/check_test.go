package registry

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestFindings reads every file of testdata/bad and compares all that is said
// about it with the .want file beside it.
func TestFindings(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*")
	if err != nil {
		t.Fatal(err)
	}
	tested := 0
	for _, path := range files {
		if strings.HasSuffix(path, ".want") {
			continue
		}
		tested++
		got := describe(LoadJob(path))
		golden := path + ".want"
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, _ := os.ReadFile(golden)
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	if tested < 10 {
		t.Errorf("only %d files were found", tested)
	}
}

func describe(j *Job, err error) string {
	var out strings.Builder
	var bad *JobError
	found := Findings(nil)
	switch {
	case errors.As(err, &bad):
		fmt.Fprintf(&out, "%v\n", err)
		found = bad.Findings
	case err != nil:
		fmt.Fprintf(&out, "%v\n", err)
	default:
		fmt.Fprintf(&out, "%s is accepted\n", j.Label)
		found = j.Warnings
	}
	for _, f := range found {
		fmt.Fprintf(&out, "%v: %v [%s]\n", f.Severity, f, f.Key)
	}
	return out.String()
}

func TestFindingsAreBounded(t *testing.T) {
	var b strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&b, `"EnvironmentVariable%d": 1, `, i)
	}
	_, err := ParseJob("x", []byte(`{`+b.String()+`"Label": "x"}`))
	var bad *JobError
	if !errors.As(err, &bad) || len(bad.Findings) > maxFindings {
		t.Errorf("got %d findings, the limit is %d", len(bad.Findings), maxFindings)
	}

	// However many warnings come first, an error is never among what is left out.
	b.Reset()
	for i := range 500 {
		fmt.Fprintf(&b, `"V%d": 1, `, i)
	}
	_, err = ParseJob("x", []byte(`{"EnvironmentVariables": {`+b.String()+`"Z": ""}, "Label": "x", "Program": ""}`))
	if !errors.As(err, &bad) || len(bad.Findings.Errors()) != 1 || len(bad.Findings.Warnings()) != maxFindings {
		t.Errorf("got %v, want one error and %d warnings", err, maxFindings)
	}
}

func TestDepth(t *testing.T) {
	nest := func(n int) []byte {
		return []byte(`{"Label":"x","Program":"/p","LaunchEvents":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}`)
	}
	nestXML := func(n int) []byte {
		return []byte(head + `<dict><key>Label</key><string>x</string><key>Program</key><string>/p</string><key>LaunchEvents</key>` +
			strings.Repeat("<array>", n) + strings.Repeat("</array>", n) + `</dict></plist>`)
	}
	for name, f := range map[string]func(int) []byte{"JSON": nest, "XML": nestXML} {
		if _, err := ParseJob("x", f(MaxDepth-1)); err != nil {
			t.Errorf("%s at the limit: %v", name, err)
		}
		if _, err := ParseJob("x", f(MaxDepth)); err == nil || !strings.Contains(err.Error(), "deep") {
			t.Errorf("%s beyond the limit: got %v", name, err)
		}
		if _, err := ParseJob("x", f(50_000)); err == nil {
			t.Errorf("%s: nothing but nesting is accepted", name)
		}
	}
}
