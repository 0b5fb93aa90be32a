package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/openxpc/openxpc/integration/leaktest"
)

// TestMain counts goroutines and descriptors, unless this process was started
// by a test to be a service, or by a daemon to become a job.
func TestMain(m *testing.M) {
	RunHelper()
	if role := os.Getenv(roleVariable); role != "" {
		play(role)
		return
	}
	leaktest.Main(m)
}

// shortDir is a private folder whose name leaves room for a socket's.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "xpc")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestUnsafePaths is reliability row 25: what an attacker, or an accident, may
// have put where the registry wants to be.
func TestUnsafePaths(t *testing.T) {
	tests := []struct {
		what    string
		prepare func(t *testing.T, dir, socket string)
		want    string // part of the error, beside the path that it must name
	}{
		{"socket is a file", func(t *testing.T, _, s string) { must(t, os.WriteFile(s, nil, 0o600)) }, "not a socket but a file"},
		{"socket is a folder", func(t *testing.T, _, s string) { must(t, os.Mkdir(s, 0o700)) }, "not a socket but a folder"},
		{"socket is a FIFO", func(t *testing.T, _, s string) { must(t, syscall.Mkfifo(s, 0o600)) }, "not a socket but a FIFO"},
		{"socket is a symlink to a socket", func(t *testing.T, dir, s string) {
			stale(t, filepath.Join(dir, "elsewhere"))
			must(t, os.Symlink("elsewhere", s))
		}, "a symbolic link"},
		{"socket is a dangling symlink", func(t *testing.T, _, s string) { must(t, os.Symlink("none", s)) }, "a symbolic link"},
		{"socket is a hard link", func(t *testing.T, dir, s string) {
			stale(t, filepath.Join(dir, "elsewhere"))
			must(t, os.Link(filepath.Join(dir, "elsewhere"), s))
		}, "hard link"},
		{"socket of somebody else", func(t *testing.T, _, s string) { stale(t, s); chown(t, s) }, "belongs to user 12345"},
		{"folder everybody writes to", func(t *testing.T, dir, _ string) { must(t, os.Chmod(dir, 0o777)) }, "chmod go-w"},
		{"folder a group writes to", func(t *testing.T, dir, _ string) { must(t, os.Chmod(dir, 0o770)) }, "chmod go-w"},
		{"folder of somebody else", func(t *testing.T, dir, _ string) { chown(t, dir) }, "belongs to user 12345"},
		{"folder is a symlink", func(t *testing.T, dir, _ string) {
			must(t, os.Rename(dir, dir+".real"))
			must(t, os.Symlink(dir+".real", dir))
			t.Cleanup(func() { os.RemoveAll(dir + ".real") })
		}, "not a folder but a symbolic link"},
		{"folder is a file", func(t *testing.T, dir, _ string) {
			must(t, os.Remove(dir))
			must(t, os.WriteFile(dir, nil, 0o600))
		}, "not a folder but a file"},
		{"lock is a symlink", func(t *testing.T, _, s string) { must(t, os.Symlink("/etc/passwd", s+".lock")) }, "lock file"},
		{"lock is a hard link", func(t *testing.T, dir, s string) {
			must(t, os.WriteFile(filepath.Join(dir, "x"), []byte("precious"), 0o600))
			must(t, os.Link(filepath.Join(dir, "x"), s+".lock"))
		}, "with one name"},
		{"lock of somebody else", func(t *testing.T, _, s string) {
			must(t, os.WriteFile(s+".lock", nil, 0o600))
			chown(t, s+".lock")
		}, "must be a regular file of user"},
		{"folder of names has something else in it", func(t *testing.T, _, s string) {
			must(t, os.Mkdir(s+".names", 0o700))
			must(t, os.WriteFile(filepath.Join(s+".names", "precious"), nil, 0o600))
		}, "is not a socket"},
		{"folder of names is a symlink", func(t *testing.T, dir, s string) { must(t, os.Symlink(dir, s+".names")) }, "a symbolic link"},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			dir := filepath.Join(shortDir(t), "xpc")
			must(t, os.Mkdir(dir, 0o700))
			socket := filepath.Join(dir, "r.sock")
			tt.prepare(t, dir, socket)
			f, err := claim(socket, -1)
			if err == nil {
				f.release()
				t.Fatal("it was accepted")
			}
			if !errors.Is(err, ErrUnsafePath) || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), dir) {
				t.Errorf("got %q, want ErrUnsafePath that says %q and names the path", err, tt.want)
			}
			if data, err := os.ReadFile(filepath.Join(dir, "x")); err == nil && string(data) != "precious" {
				t.Error("a file that is not ours was written to")
			}
		})
	}
}

// stale leaves a socket file behind that nobody listens on.
func stale(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	must(t, err)
	l.SetUnlinkOnClose(false)
	l.Close()
}

func chown(t *testing.T, path string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file away")
	}
	must(t, os.Chown(path, 12345, -1))
}

func TestAWritableFolderAboveIsRefused(t *testing.T) {
	top := shortDir(t)
	must(t, os.Chmod(top, 0o777))
	_, err := claim(filepath.Join(top, "xpc", "r.sock"), -1)
	if !errors.Is(err, ErrUnsafePath) || !strings.Contains(fmt.Sprint(err), "chmod o-w "+top) {
		t.Errorf("anybody could move the folder away: got %v", err)
	}
	must(t, os.Chmod(top, 0o777|os.ModeSticky))
	f, err := claim(filepath.Join(top, "xpc", "r.sock"), -1)
	if err != nil {
		t.Fatalf("in a sticky folder, like /tmp, nobody can: %v", err)
	}
	f.release()
}

func TestClaimMakesAndRemovesItsFolder(t *testing.T) {
	dir := filepath.Join(shortDir(t), "xpc")
	socket := filepath.Join(dir, "r.sock")
	f, err := claim(socket, -1)
	must(t, err)
	l, err := f.listen()
	must(t, err)
	defer l.Close()
	for path, want := range map[string]fs.FileMode{dir: 0o700 | fs.ModeDir, socket: 0o600 | fs.ModeSocket, socket + ".names": 0o700 | fs.ModeDir, socket + ".lock": 0o600} {
		info, err := os.Lstat(path)
		if err != nil || info.Mode() != want {
			t.Errorf("%s: got %v (%v), want %v", path, info.Mode(), err, want)
		}
	}
	f.release()
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestAStaleSocketIsReplacedAndALiveDaemonIsNot(t *testing.T) {
	dir := shortDir(t)
	socket := filepath.Join(dir, "r.sock")
	stale(t, socket)
	f, err := claim(socket, -1)
	must(t, err)
	_, second := claim(socket, -1)
	if want := fmt.Sprintf("%s, pid %d", socket, os.Getpid()); !errors.Is(second, ErrAlreadyServed) || !strings.Contains(second.Error(), want) {
		t.Errorf("got %v, want ErrAlreadyServed that says %q", second, want)
	}
	l, err := f.listen()
	must(t, err)
	defer l.Close()
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Errorf("the stale socket is still there: %v", err)
	} else {
		c.Close()
	}
	f.release()
	f, err = claim(socket, -1)
	if err != nil {
		t.Fatalf("when the first has gone the place is free: %v", err)
	}
	f.release()
}

func TestALongPathIsNoProblemOnLinux(t *testing.T) {
	dir := shortDir(t)
	for range 3 {
		dir = filepath.Join(dir, strings.Repeat("long", 12))
		must(t, os.Mkdir(dir, 0o700))
	}
	f, err := claim(filepath.Join(dir, "r.sock"), -1)
	must(t, err)
	defer f.release()
	l, err := f.listen()
	if err != nil {
		if _, proc := os.Stat("/proc/self/fd"); proc == nil {
			t.Errorf("got %v", err)
		}
		return
	}
	l.Close()
}

// A daemon that is killed between the socket's birth and its rename leaves it behind; the
// next one has the lock already, and so has not cleared the folder.
func TestSocketOfOneThatWasKilledAtItsBirth(t *testing.T) {
	f, err := claim(filepath.Join(shortDir(t), "r.sock"), -1)
	must(t, err)
	defer f.release()
	left, err := listenAt(filepath.Join(f.names, "registry"), 0o600)
	must(t, err)
	left.Close()
	file, err := f.listen()
	must(t, err)
	file.Close()
}
