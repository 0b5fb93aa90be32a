package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// systemd itself reads the units, with this test in the place of xpcd.
func TestUnits(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("no systemd-analyze")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	for _, kind := range []string{"system", "user"} {
		dir := t.TempDir()
		args := []string{"verify", "--man=no", "--" + kind}
		for _, name := range []string{"xpcd.socket", "xpcd.service"} {
			unit, err := os.ReadFile(filepath.Join("dist/systemd", kind, name))
			if err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, name), strings.ReplaceAll(string(unit), "/usr/bin/xpcd", self), 0o644)
			args = append(args, filepath.Join(dir, name))
		}
		cmd := exec.Command(analyze, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("systemd-analyze verify of the %s's units: %v\n%s", kind, err, out)
		}
	}
}

// What the units and scripts start xpcd with are options that it has.
func TestStartingOptions(t *testing.T) {
	for _, path := range []string{"dist/systemd/system/xpcd.service", "dist/systemd/user/xpcd.service", "dist/freebsd/xpcd", "dist/openbsd/xpcd"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for word := range strings.FieldsSeq(strings.NewReplacer(`"`, " ", "=", " ").Replace(string(text))) {
			name, ok := strings.CutPrefix(word, "--")
			if !ok {
				continue
			}
			found++
			if command(strings.NewReader(""), io.Discard).Flags().Lookup(name) == nil {
				t.Errorf("%s: xpcd has no option --%s", path, name)
			}
		}
		if found == 0 {
			t.Errorf("%s: no options found", path)
		}
	}
}

// The scripts are at least a shell's; the systems that they are for are not here.
func TestScriptsParse(t *testing.T) {
	for _, path := range []string{"dist/freebsd/xpcd", "dist/openbsd/xpcd"} {
		if out, err := exec.Command("sh", "-n", path).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", path, err, out)
		}
	}
}

// What the package has of the repository is there; make package makes the rest.
func TestPackageContents(t *testing.T) {
	text, err := os.ReadFile("dist/nfpm.yaml")
	if err != nil {
		t.Fatal(err)
	}
	pages := 0
	for line := range strings.Lines(string(text)) {
		_, rest, ok := strings.Cut(line, "src: ")
		if !ok {
			continue
		}
		source, _, _ := strings.Cut(rest, ",")
		if page, ok := strings.CutPrefix(source, "bin/package/man/"); ok {
			pages++
			source = "docs/man/" + strings.TrimSuffix(page, ".gz")
		}
		if strings.HasPrefix(source, "bin/") {
			continue
		}
		if _, err := os.Stat(filepath.Join("../..", source)); err != nil {
			t.Errorf("the package wants %s: %v", source, err)
		}
	}
	if all, err := filepath.Glob("../../docs/man/*.[1-8]"); err != nil || len(all) != pages {
		t.Errorf("the package has %d of %d man pages, %v", pages, len(all), err)
	}
}
