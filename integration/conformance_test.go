package integration_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The conformance table (docs/semantics.md) has a row for each rule of
// docs/rules.txt, and names only tests that exist.

const (
	tablePath       = "docs/semantics.md"
	rulesPath       = "docs/rules.txt"
	differencesPath = "docs/differences.md"
)

var (
	ruleID   = regexp.MustCompile(`^R[0-9]+[a-z]?$`)
	testName = regexp.MustCompile("`([^`]+)`")
	ruleSpan = regexp.MustCompile(`R[0-9]+[a-z]?( to R[0-9]+)?`)
)

// conformance is one row of the table.
type conformance struct {
	line          int
	rule          string
	status, why   string
	tests         []string
	strayTestText string // what stands beside the names
}

func TestEveryRuleHasARow(t *testing.T) {
	rules := strings.Fields(repositoryFile(t, rulesPath))
	rows := conformanceRows(t)
	seen := map[string]int{}
	for _, r := range rows {
		if first := seen[r.rule]; first != 0 {
			t.Errorf("%s:%d: %s has a row already, in line %d: keep one", tablePath, r.line, r.rule, first)
		}
		seen[r.rule] = r.line
		if !slices.Contains(rules, r.rule) {
			t.Errorf("%s:%d: %s is not in %s: add it there, or remove the row", tablePath, r.line, r.rule, rulesPath)
		}
	}
	for i, rule := range rules {
		if !ruleID.MatchString(rule) {
			t.Errorf("%s: %q is no rule id: it must look like R50", rulesPath, rule)
		}
		if slices.Contains(rules[:i], rule) {
			t.Errorf("%s: %s stands twice: remove one", rulesPath, rule)
		}
		if seen[rule] == 0 {
			t.Errorf("%s of %s has no row in %s: say what becomes of it", rule, rulesPath, tablePath)
		}
	}
}

func TestEveryStatusIsKnownAndExplained(t *testing.T) {
	differences := mentionedRules(repositoryFile(t, differencesPath))
	for _, r := range conformanceRows(t) {
		switch r.status {
		case "supported":
		case "differs":
			if !differences[r.rule] {
				t.Errorf("%s:%d: %s differs, and %s does not mention it: say there how and why", tablePath, r.line, r.rule, differencesPath)
			}
			fallthrough
		case "deferred", "not applicable":
			if r.why == "" {
				t.Errorf("%s:%d: %s is %q without a reason: write it after a colon", tablePath, r.line, r.rule, r.status)
			}
		default:
			t.Errorf("%s:%d: %s has status %q: use supported, differs, deferred or not applicable", tablePath, r.line, r.rule, r.status)
		}
	}
}

func TestEveryRuleIsTested(t *testing.T) {
	tests := repositoryTests(t)
	for _, r := range conformanceRows(t) {
		if r.strayTestText != "" {
			t.Errorf("%s:%d: %s: %q in the test column: write `package.TestName`, separated by commas", tablePath, r.line, r.rule, r.strayTestText)
		}
		if promised := r.status == "supported" || r.status == "differs"; promised != (len(r.tests) > 0) {
			t.Errorf("%s:%d: %s is %q and names %d tests: what is kept needs one, what is not has none", tablePath, r.line, r.rule, r.status, len(r.tests))
		}
		for _, name := range r.tests {
			if problem := tests.problem(name); problem != "" {
				t.Errorf("%s:%d: %s: %s: %s", tablePath, r.line, r.rule, name, problem)
			}
		}
	}
}

// conformanceRows reads every table row whose first cell is a rule.
func conformanceRows(t *testing.T) []conformance {
	t.Helper()
	var rows []conformance
	line := 0
	for text := range strings.Lines(repositoryFile(t, tablePath)) {
		line++
		cells := strings.Split(strings.TrimSpace(text), "|")
		if len(cells) < 2 || !ruleID.MatchString(strings.TrimSpace(cells[1])) {
			continue
		}
		if len(cells) != 6 {
			t.Errorf("%s:%d: %d cells, a row has rule, paraphrase, status and test", tablePath, line, len(cells)-2)
			continue
		}
		rows = append(rows, conformanceRow(line, cells))
	}
	if len(rows) == 0 {
		t.Fatalf("%s has no row at all", tablePath)
	}
	return rows
}

func conformanceRow(line int, cells []string) conformance {
	r := conformance{line: line, rule: strings.TrimSpace(cells[1])}
	r.status, r.why, _ = strings.Cut(strings.TrimSpace(cells[3]), ":")
	r.why = strings.TrimSpace(r.why)
	for _, m := range testName.FindAllStringSubmatch(cells[4], -1) {
		r.tests = append(r.tests, m[1])
	}
	r.strayTestText = strings.Trim(testName.ReplaceAllString(cells[4], ""), " ,")
	return r
}

// mentionedRules finds R16 and, for "R180 to R190", all between.
func mentionedRules(text string) map[string]bool {
	found := map[string]bool{}
	for _, span := range ruleSpan.FindAllString(text, -1) {
		first, last, ranged := strings.Cut(span, " to ")
		found[first] = true
		if !ranged {
			continue
		}
		from, _ := strconv.Atoi(first[1:])
		to, _ := strconv.Atoi(last[1:])
		for n := from; n <= to; n++ {
			found["R"+strconv.Itoa(n)] = true
		}
	}
	return found
}

// declaredTests are the test functions of the repository, by folder and name,
// and the strings in each folder's tests, which name subtests.
type declaredTests struct {
	functions map[string]bool
	texts     map[string][]string
}

// problem says why "folder.TestName/subtest" names no test, or nothing. Subtests
// are named by what their names begin with, in go test's spelling or the source's.
func (d declaredTests) problem(name string) string {
	function, subtest, hasSubtest := cutSubtest(name)
	if !d.functions[function] {
		return "there is no such test: it was renamed or never written; go test -list . in that folder has the names"
	}
	folder, _, _ := strings.Cut(function, ".")
	if hasSubtest && !slices.ContainsFunc(d.texts[folder], func(text string) bool { return strings.HasPrefix(text, subtest) }) {
		return "no string in that folder's tests begins like this subtest"
	}
	return ""
}

func cutSubtest(name string) (function, subtest string, ok bool) {
	folder, rest, _ := strings.Cut(name, ".")
	rest, subtest, ok = strings.Cut(rest, "/")
	return folder + "." + rest, strings.ReplaceAll(subtest, "_", " "), ok
}

func repositoryTests(t *testing.T) declaredTests {
	t.Helper()
	d := declaredTests{map[string]bool{}, map[string][]string{}}
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && path != root && strings.HasPrefix(e.Name(), "."):
			return filepath.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		return d.add(path)
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (d declaredTests) add(path string) error {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	folder, err := filepath.Rel(root, filepath.Dir(path))
	if err != nil {
		return err
	}
	folder = filepath.ToSlash(folder)
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Recv == nil && isTest(n.Name.Name) {
				d.functions[folder+"."+n.Name.Name] = true
			}
		case *ast.BasicLit:
			if text, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING {
				d.texts[folder] = append(d.texts[folder], strings.ReplaceAll(text, "_", " "))
			}
		}
		return true
	})
	return nil
}

// isTest: what go test runs and fails on. TestMain is none.
func isTest(name string) bool {
	return name != "TestMain" && (strings.HasPrefix(name, "Test") || strings.HasPrefix(name, "Example") || strings.HasPrefix(name, "Fuzz"))
}

func repositoryFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
