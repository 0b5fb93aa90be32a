package codesign

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheckOwner(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to give files away")
	}
	const other = 65534
	for _, c := range []struct {
		name, want string
		do         func(dir string) error
	}{
		{"all is well", "", func(string) error { return nil }},
		{"the file is another's", "belongs to user 65534", func(dir string) error { return os.Chown(dir+"/a/file", other, 0) }},
		{"the folder is another's", "belongs to user 65534", func(dir string) error { return os.Chown(dir+"/a", other, 0) }},
		{"others write to the file", "mode 0646", func(dir string) error { return os.Chmod(dir+"/a/file", 0o646) }},
		{"the group writes to the file", "mode 0664", func(dir string) error { return os.Chmod(dir+"/a/file", 0o664) }},
		{"others write to the folder", "chmod go-w", func(dir string) error { return os.Chmod(dir+"/a", 0o777) }},
		{"only owners may remove from the folder", "", func(dir string) error { return os.Chmod(dir+"/a", 0o777|os.ModeSticky) }},
		{"a good link", "", func(dir string) error { return relink(dir, "real") }},
		{"an absolute link", "", func(dir string) error { return relink(dir, dir+"/real") }},
		{"a link of another", "belongs to user 65534", func(dir string) error {
			return firstError(relink(dir, "real"), os.Lchown(dir+"/a", other, 0))
		}},
		{"a link to where others write", "/b ", func(dir string) error {
			return firstError(os.Mkdir(dir+"/b", 0o777), os.Chmod(dir+"/b", 0o777), os.Rename(dir+"/a", dir+"/b/a"), os.Symlink("b/../b/a", dir+"/a"))
		}},
		{"a link to itself", "too many symbolic links", func(dir string) error {
			return firstError(os.Rename(dir+"/a", dir+"/b"), os.Symlink("a", dir+"/a"))
		}},
		{"nothing is there", "no such file", func(dir string) error { return os.Remove(dir + "/a/file") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			err := firstError(os.Mkdir(dir+"/a", 0o755), os.WriteFile(dir+"/a/file", nil, 0o644), c.do(dir))
			if err != nil {
				t.Fatal(err)
			}
			switch err := CheckOwner(filepath.Join(dir, "a/file"), 0); {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
	if CheckOwner("relative", 0) == nil {
		t.Error("a relative path means what the working folder makes of it")
	}
}

func relink(dir, target string) error {
	return firstError(os.Rename(dir+"/a", dir+"/real"), os.Symlink(target, dir+"/a"))
}

func TestUsersOwnAnchors(t *testing.T) {
	w := newWorld(t)
	w.anchor.Category = Platform
	w.trust(w.anchor)
	w.place.User = true
	trust := LoadTrust([]Place{w.place})
	if len(trust.Anchors) != 0 || len(trust.Problems) != 1 || !strings.Contains(trust.Problems[0].Error(), "platform") {
		t.Errorf("a user's platform: anchors %v, problems %v", trust.Anchors, trust.Problems)
	}
}

func TestPlaces(t *testing.T) {
	for _, p := range System("") {
		if p.Owner != 0 || p.User || !filepath.IsAbs(p.Trust) {
			t.Errorf("%+v", p)
		}
	}
	if p := System("/srv/root")[1]; p.Deny != "/srv/root/etc/xpc/deny" {
		t.Errorf("%+v", p)
	}
	if p := User("/home/u/.config", "/home/u/.local/share", 1000); p.Store != "/home/u/.local/share/xpc/codesign" || !p.User || p.Platform != "" {
		t.Errorf("%+v", p)
	}
}
