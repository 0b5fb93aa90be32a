package registry

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Severity says whether a Finding keeps a job from being loaded.
type Severity uint8

// The severities. The zero Severity is Error.
const (
	Error   Severity = iota // the job is not loaded
	Warning                 // the job is loaded; what is named has no effect
)

// String is "error" or "warning".
func (s Severity) String() string {
	if s == Warning {
		return "warning"
	}
	return "error"
}

// Finding is one remark about a job file. It is a plain value.
type Finding struct {
	Line     int // from 1
	Column   int // from 1, in bytes
	Severity Severity
	Key      string // the key that it is about, with dots from the root; "" for the file as a whole
	Text     string // what is wrong and what to do
}

// String is "line:column: text", to stand behind a file's name and a colon.
func (f Finding) String() string { return fmt.Sprintf("%d:%d: %s", f.Line, f.Column, f.Text) }

// Findings is what was remarked about one file, in the order of the file.
type Findings []Finding

// Errors is the part that keeps the job from being loaded.
func (f Findings) Errors() Findings { return f.of(Error) }

// Warnings is the part that does not.
func (f Findings) Warnings() Findings { return f.of(Warning) }

func (f Findings) of(s Severity) Findings {
	var out Findings
	for _, x := range f {
		if x.Severity == s {
			out = append(out, x)
		}
	}
	return out
}

func (f Findings) sort() {
	slices.SortStableFunc(f, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// JobError is a job file with errors. Findings holds them and the file's
// warnings, in the order of the file; there is at least one error.
type JobError struct {
	Path     string
	Findings Findings
}

// Error tells the first error, how many more there are, and that nothing was loaded.
func (e *JobError) Error() string {
	errs := e.Findings.Errors()
	more := ""
	if len(errs) > 1 {
		more = fmt.Sprintf(" (and %d more)", len(errs)-1)
	}
	return fmt.Sprintf("%s:%s%s. Nothing was loaded.", e.Path, strings.TrimSuffix(errs[0].String(), "."), more)
}
