package identity

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// etcWith writes the files of groups; "" is no file.
func etcWith(t *testing.T, group, passwd, subgid string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"group": group, "passwd": passwd, "subgid": subgid} {
		if text == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const (
	someGroup  = "root:x:0:\n_xpc_a:x:4242:\n"
	somePasswd = "root:x:0:0::/root:/bin/sh\n"
)

// A group that anybody can get without executing the program proves nothing.
func TestExclusiveGroup(t *testing.T) {
	for _, tt := range []struct{ why, group, passwd, subgid, want string }{
		{"", someGroup, somePasswd, "", ""},
		{"", someGroup, somePasswd, "joe:100000:65536\n", ""},
		{"no such group", "root:x:0:\n", somePasswd, "", "has no group"},
		{"a member", "_xpc_a:x:4242:joe\n", somePasswd, "", "members"},
		{"a second name", someGroup + "games:x:4242:\n", somePasswd, "", "another name"},
		{"a user's own", someGroup, somePasswd + "joe:x:7:4242::/:/bin/sh\n", "", "user joe's"},
		{"mapped into namespaces", someGroup, somePasswd, "joe:4000:1000\n", "joe may map"},
		{"the last of a range", someGroup, somePasswd, "joe:4000:243\n", "joe may map"},
		{"", someGroup, somePasswd, "joe:4000:242\n", ""},
		{"root's", "_xpc_a:x:0:\n", somePasswd, "", "has the id"},
		{"no number", "_xpc_a:x:-1:\n", somePasswd, "", "has the id"},
		{"no file", "", somePasswd, "", "xpcsign install"},
		{"no users", someGroup, "", "", "no such file"},
		{"unreadable ranges", someGroup, somePasswd, "joe:x:1\n", "subgid"},
	} {
		var g groupFile
		gid, err := g.exclusive(etcWith(t, tt.group, tt.passwd, tt.subgid), "_xpc_a")
		switch {
		case tt.want == "" && (err != nil || gid != 4242):
			t.Errorf("%d, %v; want 4242", gid, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || gid != -1):
			t.Errorf("%s: %d, %v; want an error with %q", tt.why, gid, err, tt.want)
		}
	}
}

func TestExclusiveGroupSeesChanges(t *testing.T) {
	var g groupFile
	etc := etcWith(t, someGroup, somePasswd, "")
	if _, err := g.exclusive(etc, "_xpc_a"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(etc, "group"), []byte("_xpc_a:x:4242:joe\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := g.exclusive(etc, "_xpc_a"); err == nil {
		t.Error("a member was added, and the group counts as before")
	}
}
