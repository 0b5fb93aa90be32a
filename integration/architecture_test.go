package integration_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	module = "github.com/openxpc/openxpc"
	root   = ".."
)

// allowed is the line of packages: what each may import of this project. A path
// that ends in /... stands for everything below it; the first line that fits a
// package counts. Changing this table is a decision: it is a commit of its own.
var allowed = []struct {
	pkg     string
	imports []string
}{
	{"credentials", nil},
	{"credentials/requirement", []string{"credentials"}},
	{"credentials/codesign", []string{"credentials", "credentials/requirement"}},
	{"credentials/identity", []string{"credentials", "credentials/requirement", "credentials/codesign"}},
	{"transport", []string{"credentials"}},
	{"transport/transporttest", []string{"transport", "credentials", "integration/leaktest"}},
	{"xpc/wire", nil},
	{"xpc/bootstrap", nil},
	{"xpc/internal/lifecycle", nil},
	{"xpc/internal/memory", nil},
	{"xpc", []string{"credentials", "credentials/requirement", "transport", "xpc/wire", "xpc/bootstrap", "xpc/internal/..."}},
	{"registry/internal/namespace", []string{"xpc/bootstrap"}},
	{"registry/internal/launch", []string{"xpc/bootstrap"}},
	{"registry", []string{"xpc", "xpc/bootstrap", "credentials/requirement"}},
	{"registry/...", []string{"registry", "registry/internal/...", "xpc", "xpc/bootstrap", "transport", "credentials", "credentials/..."}},
	{"cmd/xpcd", []string{"registry", "registry/daemon", "xpc", "xpc/bootstrap"}},
	{"cmd/xpcsign", []string{"cmd/xpcsign/internal/...", "credentials", "credentials/..."}},
	{"cmd/xpcsign/internal/...", []string{"credentials", "credentials/..."}},
	{"cmd/xpcctl", []string{"credentials/requirement", "cmd/xpcctl/internal/...", "registry", "xpc", "xpc/bootstrap"}},
	{"cmd/xpcctl/internal/...", []string{"xpc"}},
	{"examples/...", []string{"xpc", "xpc/bootstrap"}},
	{"integration/...", []string{"credentials", "credentials/...", "transport", "xpc/...", "xpc", "registry/..."}},
}

// forbidden must never become a dependency of programs that only use the library.
var forbidden = []string{"cobra", "plist", "go-systemd", "prometheus", "msgpack", "fsnotify"}

// topLevel is what the repository's first page shows; dot files may be added.
var topLevel = []string{
	"go.mod", "go.sum", "xpc", "transport", "registry", "credentials", "cmd", "examples",
	"integration", "docs", "Makefile", "README.md", "LICENSE",
	"bin", // built, never committed
}

type pkg struct {
	ImportPath, Dir, Name, Doc string
	Imports                    []string
}

func (p pkg) path() string { return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/") }

// list is go list of this module's packages that match the arguments.
func list(t *testing.T, args ...string) []pkg {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Dir,Name,Doc,Imports"}, args...)...)
	cmd.Dir = root
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %v: %v", args, err)
	}
	var all []pkg
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func matches(pattern, path string) bool {
	if below, ok := strings.CutSuffix(pattern, "/..."); ok {
		return path == below || strings.HasPrefix(path, below+"/")
	}
	return pattern == path
}

func allowance(path string) (imports []string, known bool) {
	for _, a := range allowed {
		if matches(a.pkg, path) {
			return a.imports, true
		}
	}
	return nil, false
}

func TestImportsPointOneWay(t *testing.T) {
	for _, p := range list(t, "./...") {
		may, known := allowance(p.path())
		if !known {
			t.Errorf("package %s is not in the table of allowed imports: decide where it stands and add it", p.path())
			continue
		}
		for _, i := range p.Imports {
			i, ours := strings.CutPrefix(i, module+"/")
			if ours && !slices.ContainsFunc(may, func(pattern string) bool { return matches(pattern, i) }) {
				t.Errorf("%s imports %s; it may import %v only", p.path(), i, may)
			}
		}
	}
}

func TestLibraryStaysLight(t *testing.T) {
	for _, p := range list(t, "-deps", "./xpc") {
		for _, f := range forbidden {
			if strings.Contains(p.ImportPath, f) {
				t.Errorf("package xpc depends on %s: every program that uses XPC would", p.ImportPath)
			}
		}
	}
}

func TestTopLevelIsFixed(t *testing.T) {
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if name := e.Name(); !strings.HasPrefix(name, ".") && !slices.Contains(topLevel, name) {
			t.Errorf("%s does not belong at the top level; there is a place for it below", name)
		}
	}
}

// The first page shows the echo example whole: it must be the one that runs.
func TestReadmeShowsTheExample(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for _, name := range []string{"service/main.go", "client/main.go", "com.example.echo.plist"} {
		b, err := os.ReadFile(filepath.Join(root, "examples/echo", name))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(readme), strings.TrimSpace(string(b))) {
			t.Errorf("README.md does not show examples/echo/%s as it is", name)
		}
		lines += codeLines(string(b))
	}
	if lines >= 50 {
		t.Errorf("service, client and job have %d lines: a newcomer reads fewer than 50", lines)
	}
}

// codeLines counts the lines that are neither blank nor a comment.
func codeLines(text string) int {
	n := 0
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "//") && !strings.HasPrefix(line, "<!--") {
			n++
		}
	}
	return n
}
