package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// A killed xpcctl can clean nothing up: the registry must notice, stop its jobs
// and remove its folder. All of them hold the other end of the stderr pipe, so
// its end of file says that the last of them is gone.
func TestKilledRunLeavesNothing(t *testing.T) {
	xpcctl, err := exec.LookPath("xpcctl")
	if err != nil {
		t.Fatal(err)
	}
	job := filepath.Join(t.TempDir(), "echo.json")
	content := fmt.Sprintf(`{"Label":"com.example.echo","ProgramArguments":[%q,"-q","listen","--echo","com.example.echo"],"MachServices":{"com.example.echo":true}}`, xpcctl)
	if err := os.WriteFile(job, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	// The command has the job launched, tells where the registry is, and stays
	// until its input ends.
	cmd := exec.Command(xpcctl, "run", "--job", job, "--", "sh", "-c",
		xpcctl+` -q ping com.example.echo && echo "$XPC_REGISTRY" && cat`)
	stdin, err1 := cmd.StdinPipe()
	stdout, err2 := cmd.StdoutPipe()
	stderr, err3 := cmd.StderrPipe()
	if err := errors.Join(err1, err2, err3, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	socket := strings.TrimSpace(line)
	if _, err := os.Stat(socket); err != nil {
		t.Errorf("the registry's socket while the command runs: %v", err)
	}
	cmd.Process.Kill()
	stdin.Close()
	if rest, err := io.ReadAll(stderr); err != nil {
		t.Errorf("stderr: %q, %v", rest, err)
	}
	cmd.Wait()
	if _, err := os.Stat(filepath.Dir(socket)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the private folder after everything has ended: %v, want it removed", err)
	}
}

func TestRuntimeDir(t *testing.T) {
	short, err := os.MkdirTemp("/tmp", "x")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(short)
	long := filepath.Join(short, strings.Repeat("y", maxRuntimeDir))
	if err := os.Mkdir(long, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, env, want string }{
		{"a short folder", short, short},
		{"none", "", "/tmp"},
		{"a folder that does not exist", short + "/none", "/tmp"},
		{"a relative one, which its specification says to ignore", ".", "/tmp"},
		{"one so long that a socket below it has no address", long, "/tmp"},
	} {
		t.Setenv("XDG_RUNTIME_DIR", c.env)
		if got := runtimeDir(); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// Holding a job's sockets makes a process that job: the command is none.
func TestCommandEnvironment(t *testing.T) {
	got := commandEnvironment([]string{"A=1", bootstrap.EnvBootstrapFD + "=3", "B=2", bootstrap.EnvBootstrapReturn + "=4", bootstrap.EnvListener + "=5:1"})
	if want := []string{"A=1", "B=2"}; !slices.Equal(got, want) {
		t.Errorf("environment %v, want %v", got, want)
	}
}

func TestCannotRun(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{exec.ErrNotFound, 127},
		{fs.ErrNotExist, 127},
		{fs.ErrPermission, 126},
	} {
		if got := exitCode(cannotRun("x", c.err)); got != c.want {
			t.Errorf("%v: exit code %d, want %d as shells give it", c.err, got, c.want)
		}
	}
}
