package main

import (
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/integration/leaktest"
)

// TestMain runs xpcd itself when a test started this binary for that.
func TestMain(m *testing.M) {
	if os.Getenv("XPCD_TEST_MAIN") != "" {
		main()
		return
	}
	leaktest.Main(m)
}

func write(t *testing.T, path, text string, mode os.FileMode) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestExitCodes(t *testing.T) {
	dir := t.TempDir()
	bad := write(t, filepath.Join(dir, "bad.json"), `{"Label": "a", "Label": "b", "Program": "/p"}`, 0o600)
	tests := []struct {
		args []string
		code int
		want string // part of what is printed
	}{
		{[]string{"--version"}, 0, "xpcd "},
		{[]string{"--help"}, 0, "--end-with-parent"},
		{[]string{"--no-such-flag"}, exitUsage, "xpcd: unknown flag: --no-such-flag; see xpcd --help"},
		{[]string{"word"}, exitUsage, `xpcd: unexpected argument "word"`},
		{[]string{"--log-level", "loud"}, exitUsage, `xpcd: --log-level "loud": want debug`},
		{[]string{"--idle-exit", "-1s"}, exitUsage, "xpcd: --idle-exit -1s: want a time such as 90s or 10m, or 0 for never"},
		{[]string{"--adhoc-users", "root,no-such-user"}, exitUsage, `xpcd: --adhoc-users, --adhoc-groups: no user is called "no-such-user" on this system`},
		{[]string{"--adhoc-groups", "no-such-group"}, exitUsage, `no group is called "no-such-group"`},
		{[]string{"--adhoc-users", "7", "--no-adhoc"}, exitUsage, "xpcd: --no-adhoc lets nobody register names"},
		{[]string{"--job", bad}, exitBadJob, "xpcd: " + bad + `:1:16: duplicate key "Label" (first at line 1). Nothing was loaded.`},
		{[]string{"--job", dir + "/none"}, exitError, "no such file"},
		{[]string{"--jobs-dir", dir + "/none"}, exitError, "no such file"},
		{[]string{"--socket", dir + "/none/deep/r.sock"}, exitError, "no such file"},
		{[]string{"--socket", bad}, exitError, "xpcd: registry: the path is not safe: " + bad + " is not a socket but a file; remove it"},
	}
	for _, tt := range tests {
		var out bytes.Buffer
		if code := run(tt.args, strings.NewReader(""), &out, &out); code != tt.code || !strings.Contains(out.String(), tt.want) {
			t.Errorf("%q: exit %d, want %d; printed %q, want %q", tt.args, code, tt.code, out.String(), tt.want)
		}
	}
}

func TestJobsDir(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "b.json"), `{"Label": "b", "Program": "/p"}`, 0o644)
	write(t, filepath.Join(dir, "a.plist"), `<plist><dict><key>Label</key><string>a</string><key>Program</key><string>/p</string></dict></plist>`, 0o600)
	write(t, filepath.Join(dir, "bad.json"), `{`, 0o600)
	write(t, filepath.Join(dir, "open.json"), `{"Label": "open", "Program": "/p"}`, 0o666)
	write(t, filepath.Join(dir, "README"), `not a job`, 0o600)
	var out bytes.Buffer
	log, _ := logger("info", &out)
	jobs, err := loadFolder(dir, log)
	if err != nil || len(jobs) != 2 || jobs[0].Label != "a" || jobs[1].Label != "b" {
		t.Errorf("got %v, %v, want a and b", jobs, err)
	}
	for _, want := range []string{"bad.json:1:", "chmod go-w", "open.json"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the log lacks %q: %s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "README") {
		t.Errorf("a file with another ending is nobody's business: %s", out.String())
	}
}

// start runs xpcd in a process of its own until it is ready.
func start(t *testing.T, folder string, args ...string) (cmd *exec.Cmd, in io.WriteCloser) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd = exec.Command(self, append([]string{"--socket", filepath.Join(folder, "r.sock")}, args...)...)
	cmd.Env = append(os.Environ(), "XPCD_TEST_MAIN=1")
	if in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	errs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	seen := make([]byte, 0, 4096)
	for !bytes.Contains(seen, []byte("serving")) {
		b := make([]byte, 512)
		n, err := errs.Read(b)
		if err != nil {
			t.Fatalf("it never served: %s", seen)
		}
		seen = append(seen, b[:n]...)
	}
	return cmd, in
}

func TestEndsWithItsParent(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "x")
	cmd, in := start(t, folder, "--end-with-parent")
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("got %v, want an orderly end", err)
	}
	if _, err := os.Stat(folder); !os.IsNotExist(err) {
		t.Errorf("the private folder is still there: %v", err)
	}
}

func TestSignals(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		folder := filepath.Join(t.TempDir(), "x")
		cmd, in := start(t, folder)
		cmd.Process.Signal(s)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: got %v, want an orderly end", s, err)
		}
		in.Close()
		if left, err := os.ReadDir(folder); err != nil || len(left) != 0 {
			t.Errorf("%v: %v is left, %v", s, left, err)
		}
	}
}

func TestTellsSystemdThatItIsReady(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is no systemd here")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	cmd, in := start(t, filepath.Join(dir, "x"))
	// Between them are the descriptors that it is to keep.
	await := func(want string) {
		t.Helper()
		l.SetReadDeadline(time.Now().Add(time.Minute))
		for buf := make([]byte, 256); ; {
			n, err := l.Read(buf)
			if err != nil {
				t.Fatalf("%s never came: %v", want, err)
			}
			if string(buf[:n]) == want {
				return
			}
		}
	}
	await("READY=1")
	cmd.Process.Signal(syscall.SIGTERM)
	await("STOPPING=1")
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	in.Close()
}

// xpcd is its own helper for jobs that need one.
func TestHelper(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "out")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	job := write(t, filepath.Join(dir, "a.json"), `{"Label": "a", "ProgramArguments": ["sh", "-c", "umask"], "RunAtLoad": true, "Umask": "0123",
		"StandardOutPath": "out", "EnvironmentVariables": {"XPCD_TEST_MAIN": "1"}}`, 0o600)
	cmd, in := start(t, filepath.Join(dir, "x"), "--job", job, "--end-with-parent")
	buf := make([]byte, 16)
	n, err := out.Read(buf)
	if got := string(buf[:n]); err != nil || got != "0123\n" {
		t.Errorf("got %q, %v, want the umask of the file", got, err)
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// What xpcd was started with, such as a shell's pipe, is not its jobs'.
func TestJobsInheritNothing(t *testing.T) {
	if _, err := os.Stat("/dev/fd/0"); err != nil {
		t.Skip("nothing here shows which descriptors are open")
	}
	dir := t.TempDir()
	fd, err := syscall.Dup(1) // without close-on-exec
	if err != nil {
		t.Fatal(err)
	}
	const far = 100
	if err := unix.Dup2(fd, far); err != nil {
		t.Fatal(err)
	}
	syscall.Close(fd)
	defer syscall.Close(far)
	fifo := filepath.Join(dir, "out")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	job := write(t, filepath.Join(dir, "a.json"), `{"Label": "a", "RunAtLoad": true, "StandardOutPath": "out",
		"ProgramArguments": ["sh", "-c", "if test -e /dev/fd/100; then echo open; else echo closed; fi"]}`, 0o600)
	cmd, in := start(t, filepath.Join(dir, "x"), "--job", job, "--end-with-parent")
	buf := make([]byte, 16)
	n, err := out.Read(buf)
	if got := string(buf[:n]); err != nil || got != "closed\n" {
		t.Errorf("got %q, %v: a descriptor of xpcd's parent is open in the job", got, err)
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// A registry with a path of its own leaves nothing behind; the user's and the
// machine's keep their state where the system's conventions want it.
func TestStateFolder(t *testing.T) {
	if os.Geteuid() == 0 {
		if got := (&flags{}).stateFolder(); got != "/var/lib/xpc" {
			t.Errorf("root's state is in %q", got)
		}
	}
	for _, f := range []flags{{socket: "/x/r.sock"}, {stateDir: "/y", socket: "/x/r.sock"}} {
		if got := f.stateFolder(); got != f.stateDir {
			t.Errorf("%+v: state in %q", f, got)
		}
	}
	t.Setenv("XPC_REGISTRY", "/x/r.sock")
	if got := (&flags{}).stateFolder(); got != "" {
		t.Errorf("with XPC_REGISTRY the state is in %q", got)
	}
}
