package registry

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLoadTrusted: a job file names a program that is going to be executed, so
// whoever can change it can execute what they like as the registry's user.
func TestLoadTrusted(t *testing.T) {
	uid := os.Geteuid()
	tests := []struct {
		why  string
		make func(dir string) (path string)
		want string // "" if it is loaded
	}{
		{"a file of one's own", func(dir string) string { return filepath.Join(dir, "job.json") }, ""},
		{"a file that others can write to", func(dir string) string { return mode(t, filepath.Join(dir, "job.json"), 0o666) }, "job.json can be written by others (mode 0666); chmod go-w"},
		{"a group is others", func(dir string) string { return mode(t, filepath.Join(dir, "job.json"), 0o664) }, "(mode 0664)"},
		{"in their folder they can put another in its place", func(dir string) string { mode(t, dir, 0o777); return filepath.Join(dir, "job.json") }, "can be written by others (mode 0777)"},
		{"a group's folder too", func(dir string) string { mode(t, dir, 0o775); return filepath.Join(dir, "job.json") }, "(mode 0775)"},
		{"not in a sticky one, such as /tmp", func(dir string) string {
			mode(t, dir, 0o777|os.ModeSticky)
			return filepath.Join(dir, "job.json")
		}, ""},
		{"a folder above can be moved away", func(dir string) string {
			mode(t, filepath.Dir(dir), 0o777)
			return filepath.Join(dir, "job.json")
		}, "can be written by others (mode 0777)"},
		{"a symbolic link is as good as what it leads to, and where it is", func(dir string) string {
			mode(t, dir, 0o777)
			link := filepath.Join(t.TempDir(), "link.json")
			must(t, os.Symlink(filepath.Join(dir, "job.json"), link))
			return link
		}, "can be written by others (mode 0777)"},
		{"and the link itself must stay", func(dir string) string {
			open := mode(t, t.TempDir(), 0o777)
			must(t, os.Symlink(filepath.Join(dir, "job.json"), filepath.Join(open, "link.json")))
			return filepath.Join(open, "link.json")
		}, "can be written by others (mode 0777)"},
	}
	for _, tt := range tests {
		dir := filepath.Join(t.TempDir(), "jobs")
		must(t, os.Mkdir(dir, 0o755))
		write(t, filepath.Join(dir, "job.json"), `{"Label": "a", "Program": "/p"}`)
		path := tt.make(dir)
		job, err := LoadTrusted(path, uid)
		if checked := CheckTrust(path, uid); errors.Is(err, ErrUntrusted) != errors.Is(checked, ErrUntrusted) {
			t.Errorf("%s: to load it is %v, to check it %v", tt.why, err, checked)
		}
		switch {
		case tt.want == "" && (err != nil || job.Label != "a"):
			t.Errorf("%s: got %v, %v, want the job", tt.why, job, err)
		case tt.want != "" && (!errors.Is(err, ErrUntrusted) || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: got %v, want %q", tt.why, err, tt.want)
		}
	}
	if uid != 0 {
		return
	}
	path := filepath.Join(t.TempDir(), "job.json")
	write(t, path, `{"Label": "a", "Program": "/p"}`)
	must(t, os.Chown(path, 65534, -1))
	if _, err := LoadTrusted(path, 0); !errors.Is(err, ErrUntrusted) || !strings.Contains(err.Error(), "belongs to user 65534, not to root or user 0; chown 0 "+path) {
		t.Errorf("a stranger's file in root's registry: got %v", err)
	}
}

func mode(t *testing.T, path string, m os.FileMode) string {
	t.Helper()
	must(t, os.Chmod(path, m))
	return path
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
