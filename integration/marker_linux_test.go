package integration_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openxpc/openxpc/credentials"
)

var markedHelper = helper("marked", marked)

// marked tells which groups it has, which a program that it executes has, and whose a
// file is that it makes.
func marked() {
	fmt.Println("own:", groupLine("/proc/self/status"))
	out, _ := exec.Command("cat", "/proc/self/status").Output()
	fmt.Println("child:", groupLineOf(string(out)))
	path := os.Getenv("MADE")
	os.WriteFile(path, nil, 0o600)
	out, _ = exec.Command("stat", "-c", "%g", path).Output()
	fmt.Println("file:", strings.TrimSpace(string(out)))
}

func groupLine(path string) string {
	b, _ := os.ReadFile(path)
	return groupLineOf(string(b))
}

// groupLineOf is the real, effective, saved and file system group.
func groupLineOf(status string) string {
	_, rest, _ := strings.Cut(status, "\nGid:")
	line, _, _ := strings.Cut(rest, "\n")
	return strings.Join(strings.Fields(line), " ")
}

// A program that uses the library hands its marker on to nobody, and loses no other
// group that it was made to have. The system's file of groups is one of the test's own,
// in a mount namespace.
func TestTheMarkerIsPutAside(t *testing.T) {
	role := helperVariable + "=" + use(markedHelper)
	unshare, err := exec.LookPath("unshare")
	setpriv, err2 := exec.LookPath("setpriv")
	if os.Geteuid() != 0 || err != nil || err2 != nil {
		t.Skip("needs root, unshare and setpriv, for a set-group-id program and a file of groups of its own")
	}
	dir, err := os.MkdirTemp("", "marker")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	groups, program := filepath.Join(dir, "group"), filepath.Join(dir, "program")
	self, err := os.Executable()
	must(t, err)
	from, err := os.Open(self)
	must(t, err)
	defer from.Close()
	to, err := os.OpenFile(program, os.O_WRONLY|os.O_CREATE, 0o755)
	must(t, err)
	_, err = io.Copy(to, from)
	must(t, err)
	must(t, to.Close())
	must(t, os.Chown(program, 0, privilegedGroup))
	must(t, os.Chmod(program, 0o755|os.ModeSetgid))

	for _, tt := range []struct {
		name, group, own, child, file string
	}{
		{"a marker", credentials.MarkerPrefix + "0123456789abcdef", "65534 65534 4243 65534", "65534 65534 65534 65534", "65534"},
		{"another group", "games", "65534 4243 4243 4243", "65534 4243 4243 4243", "4243"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			must(t, os.WriteFile(groups, fmt.Appendf(nil, "root:x:0:\n%s:x:%d:\n", tt.group, privilegedGroup), 0o644))
			made, err := os.MkdirTemp(dir, "made")
			must(t, err)
			must(t, os.Chmod(made, 0o777))
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			cmd := exec.CommandContext(ctx, unshare, "-m", "sh", "-c",
				`mount --bind "$0" /etc/group && exec "$1" --reuid 65534 --regid 65534 --clear-groups "$2"`, groups, setpriv, program)
			cmd.Env = append(os.Environ(), role, "MADE="+filepath.Join(made, "file"))
			out, err := cmd.CombinedOutput()
			if err != nil && (bytes.HasPrefix(out, []byte("unshare:")) || bytes.HasPrefix(out, []byte("mount:"))) {
				t.Skipf("this machine mounts nothing: %s", out)
			}
			must(t, err)
			want := fmt.Sprintf("own: %s\nchild: %s\nfile: %s\n", tt.own, tt.child, tt.file)
			if string(out) != want {
				t.Errorf("real, effective, saved and file system group:\n%swant\n%s", out, want)
			}
		})
	}
}
