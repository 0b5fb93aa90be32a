package integration_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	for _, p := range list(t, "./...") {
		if p.Doc == "" && hasSource(t, p.Dir) {
			t.Errorf("package %s has no doc comment", p.path())
		}
	}
}

// Nobody outside can see what an internal package exports.
func TestExportedNamesAreDocumented(t *testing.T) {
	for _, p := range list(t, "./...") {
		if p.Name == "main" || strings.Contains(p.path(), "internal/") {
			continue
		}
		fset := token.NewFileSet()
		for _, f := range parse(t, fset, p.Dir, false) {
			for _, d := range f.Decls {
				for _, id := range undocumented(d) {
					t.Errorf("%s: %s is exported and has no comment", fset.Position(id.Pos()), id.Name)
				}
			}
		}
	}
}

func TestEveryTypeHasAnExample(t *testing.T) {
	for _, path := range []string{"xpc", "transport", "credentials", "credentials/requirement", "credentials/codesign", "xpc/wire"} {
		dir := filepath.Join(root, path)
		fset := token.NewFileSet()
		examples := exampleNames(parse(t, fset, dir, true))
		for _, id := range exportedTypes(parse(t, fset, dir, false)) {
			if !examples[id.Name] {
				t.Errorf("%s: type %s has no Example%s", fset.Position(id.Pos()), id.Name, id.Name)
			}
		}
	}
}

// parse reads a folder's Go files for every system: the tests, or all others.
func parse(t *testing.T, fset *token.FileSet, dir string, tests bool) []*ast.File {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") != tests {
			continue
		}
		f, err := parser.ParseFile(fset, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}

func hasSource(t *testing.T, dir string) bool {
	return len(parse(t, token.NewFileSet(), dir, false)) > 0
}

// undocumented lists the exported names of a declaration that no comment tells about.
func undocumented(d ast.Decl) []*ast.Ident {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Doc == nil && (d.Recv == nil || ast.IsExported(receiver(d))) {
			return []*ast.Ident{d.Name}
		}
	case *ast.GenDecl:
		var out []*ast.Ident
		for _, s := range d.Specs {
			out = append(out, undocumentedSpec(s, d.Doc != nil)...)
		}
		return out
	}
	return nil
}

// undocumentedSpec: the comment of a group is enough for its constants and
// variables; a type wants its own, unless it stands alone.
func undocumentedSpec(s ast.Spec, group bool) []*ast.Ident {
	switch s := s.(type) {
	case *ast.TypeSpec:
		if s.Name.IsExported() && s.Doc == nil && s.Comment == nil && !group {
			return []*ast.Ident{s.Name}
		}
	case *ast.ValueSpec:
		if s.Doc != nil || s.Comment != nil || group {
			return nil
		}
		return slices.DeleteFunc(slices.Clone(s.Names), func(id *ast.Ident) bool { return !id.IsExported() })
	}
	return nil
}

// receiver is the name of a method's type.
func receiver(d *ast.FuncDecl) string {
	e := d.Recv.List[0].Type
	for {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

func exportedTypes(files []*ast.File) []*ast.Ident {
	var out []*ast.Ident
	for _, f := range files {
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, s := range g.Specs {
				if ts, ok := s.(*ast.TypeSpec); ok && ts.Name.IsExported() {
					out = append(out, ts.Name)
				}
			}
		}
	}
	return out
}

// exampleNames gives the types that examples are named after: ExampleT,
// ExampleT_method and ExampleT_suffix are all T's.
func exampleNames(files []*ast.File) map[string]bool {
	names := map[string]bool{}
	for _, f := range files {
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv != nil {
				continue
			}
			if name, ok := strings.CutPrefix(fn.Name.Name, "Example"); ok {
				name, _, _ = strings.Cut(name, "_")
				names[name] = true
			}
		}
	}
	return names
}
