package daemon

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/registry"
	"github.com/openxpc/openxpc/xpc"
)

// self is the path of this test binary.
func self(t testing.TB) string {
	t.Helper()
	path, err := os.Executable()
	must(t, err)
	return path
}

// output runs shell commands as a job and returns what they print.
func output(t *testing.T, j *registry.Job, commands string) string {
	t.Helper()
	j.Label, j.Program, j.Arguments = "x", "sh", []string{"sh", "-c", commands}
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o777))
	must(t, os.Chmod(filepath.Dir(dir), 0o755))
	j.StandardOutPath = filepath.Join(dir, "out")
	j.StandardErrorPath = j.StandardOutPath
	if status := runToEnd(t, j); status != 0 {
		t.Errorf("%s: exit %d", commands, status)
	}
	text, err := os.ReadFile(j.StandardOutPath)
	must(t, err)
	return strings.Join(strings.Fields(string(text)), " ")
}

func TestUmask(t *testing.T) {
	mask := 0o077
	j := &registry.Job{Umask: &mask}
	if got := output(t, j, "umask"); got != "0077" {
		t.Errorf("got umask %s, want the file's", got)
	}
	if info, err := os.Stat(j.StandardOutPath); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("output files are made with it: %v, %v", info.Mode(), err)
	}
}

func TestNice(t *testing.T) {
	before, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	must(t, err)
	if got := output(t, &registry.Job{Nice: 7}, "nice"); got != "7" {
		t.Errorf("got %s, want the file's", got)
	}
	if after, _ := unix.Getpriority(unix.PRIO_PROCESS, 0); after != before {
		t.Errorf("the registry itself went from %d to %d", before, after)
	}
}

func TestResourceLimits(t *testing.T) {
	j := &registry.Job{
		SoftLimits: map[string]uint64{"NumberOfFiles": 100, "Core": 0},
		HardLimits: map[string]uint64{"NumberOfFiles": 200, "CPU": 1000},
	}
	if got := output(t, j, "ulimit -Sn; ulimit -Hn; ulimit -Sc; ulimit -Ht"); got != "100 200 0 1000" {
		t.Errorf("got %s", got)
	}
}

func TestStandardInPath(t *testing.T) {
	in := filepath.Join(t.TempDir(), "in")
	must(t, os.WriteFile(in, []byte("words"), 0o600))
	for nice := range 2 { // without and with a helper
		if got := output(t, &registry.Job{StandardInPath: in, Nice: nice}, "cat"); got != "words" {
			t.Errorf("nice %d: got %q from input", nice, got)
		}
	}
}

func TestUserName(t *testing.T) {
	if os.Geteuid() != 0 || runtime.GOOS != "linux" { // elsewhere nobody has another number
		t.Skip("only root can start programs as somebody else")
	}
	tests := []struct {
		why  string
		j    registry.Job
		want string
	}{
		{"the user's group is the default, and variables tell of the user", registry.Job{UserName: "nobody"}, "65534 65534 nobody nobody"},
		{"a number will do; the job's variables win", registry.Job{UserName: "65534", GroupName: "daemon", Environment: map[string]string{"USER": "me"}}, "65534 1 me nobody"},
	}
	for _, tt := range tests {
		if got := output(t, &tt.j, "id -u; id -g; echo $USER $LOGNAME"); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.why, got, tt.want)
		}
		var st unix.Stat_t
		if err := unix.Stat(tt.j.StandardOutPath, &st); err != nil || st.Uid != 65534 {
			t.Errorf("%s: the output file is the user's own: %d, %v", tt.why, st.Uid, err)
		}
	}
	if got := output(t, &registry.Job{GroupName: "1"}, "id -u; id -g; id -G"); got != "0 1 1" {
		t.Errorf("a group alone: got %s", got)
	}
}

// What a helper cannot do is told like any program that cannot be executed.
func TestHelperFailures(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	must(t, os.WriteFile(text, []byte("no program"), 0o755))
	tests := []struct {
		j    registry.Job
		want string
	}{
		{registry.Job{Program: text}, `cannot execute "` + text + `": exec format error`},
		{registry.Job{Program: "sh", WorkingDirectory: "/no/such"}, `working directory "/no/such": no such file or directory`},
		{registry.Job{Program: "sh", StandardInPath: "/no/such"}, `input file "/no/such": no such file or directory`},
		{registry.Job{Program: "sh", SoftLimits: map[string]uint64{"Core": 5}, HardLimits: map[string]uint64{"Core": 4}}, `limit Core (soft 5, hard 4): invalid argument`},
	}
	if os.Geteuid() == 0 {
		tests = append(tests, []struct {
			j    registry.Job
			want string
		}{
			{registry.Job{Program: "sh", UserName: "no-such-user"}, `UserName: no user is called "no-such-user"`},
			{registry.Job{Program: "sh", GroupName: "no-such-group"}, `GroupName: no group is called "no-such-group"`},
		}...)
	}
	for i, tt := range tests {
		j := tt.j
		j.Label, j.Nice, j.Arguments = fmt.Sprint("j", i), 1, []string{"x"}
		name := "com.example." + j.Label
		j.MachServices = []string{name}
		t.Run(j.Label, func(t *testing.T) {
			c := serve(t, Options{Jobs: []*registry.Job{&j}}).connect(name, 0)
			for range 2 { // it counts as no start: nobody waits for the throttle
				_, err := c.ask("", "")
				if want := "job " + j.Label + ": " + tt.want; !errors.Is(err, xpc.ErrLaunchFailed) || !strings.Contains(fmt.Sprint(err), want) {
					t.Fatalf("got %v, want %s", err, want)
				}
			}
		})
	}
}

func TestWithoutAHelper(t *testing.T) {
	own, child, err := bootstrapPair()
	must(t, err)
	defer own.Close()
	defer child.Close()
	_, err = spawn(&registry.Job{Program: "sh", Nice: 1}, surroundings{}, child, func() {})
	if err == nil || !strings.Contains(err.Error(), "no helper") {
		t.Errorf("got %v", err)
	}
}

// A job that went through a helper is the job: it checks in and serves.
func TestAServiceBehindAHelper(t *testing.T) {
	j := service(t, "echo", "echo", nil)
	j.Nice = 3
	s := serve(t, Options{Jobs: []*registry.Job{j}})
	c := s.connect("com.example.echo", 0)
	pid := c.pid("it serves")
	if c.PID() != pid {
		t.Errorf("the peer is pid %d, not %d", c.PID(), pid)
	}
}

func TestLowPriorities(t *testing.T) {
	for _, tt := range []struct {
		why  string
		j    registry.Job
		want string
	}{
		{"the background is slow", registry.Job{ProcessType: registry.Background}, "10 best-effort: prio 7"},
		{"as slow as the file says", registry.Job{ProcessType: registry.Background, Nice: 3}, "3 best-effort: prio 7"},
		{"I/O alone", registry.Job{LowPriorityIO: true}, "0 best-effort: prio 7"},
	} {
		commands := "nice; ionice"
		if runtime.GOOS != "linux" {
			commands, tt.want = "nice", strings.Fields(tt.want)[0]
		}
		if got := output(t, &tt.j, commands); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.why, got, tt.want)
		}
	}
}

// The job's root folder has a shell in it and what that needs.
func TestRootDirectory(t *testing.T) {
	libraries, err := exec.Command("ldd", "/bin/sh").Output()
	if os.Geteuid() != 0 || err != nil {
		t.Skip("only root can change the root folder, and ldd says what a shell needs")
	}
	root := t.TempDir()
	for _, path := range append(strings.Fields(string(libraries)), "/bin/sh") {
		if !filepath.IsAbs(path) {
			continue
		}
		text, err := os.ReadFile(path)
		must(t, err)
		must(t, os.MkdirAll(filepath.Join(root, filepath.Dir(path)), 0o755))
		must(t, os.WriteFile(filepath.Join(root, path), text, 0o755))
	}
	out := filepath.Join(root, "out")
	must(t, os.WriteFile(out, nil, 0o600))
	must(t, os.Chown(out, 65534, -1))
	j := &registry.Job{
		Label: "x", Program: "sh", Arguments: []string{"sh", "-c", "cd /; echo *; test -w / || echo not mine"}, RootDirectory: root,
		UserName: "nobody", StandardOutPath: "/out", StandardErrorPath: "/out", Environment: map[string]string{"PATH": "/bin"},
	}
	if status := runToEnd(t, j); status != 0 {
		t.Errorf("exit %d", status)
	}
	got, err := os.ReadFile(out)
	if err != nil || !strings.HasPrefix(string(got), "bin lib") || !strings.HasSuffix(string(got), " out\nnot mine\n") {
		t.Errorf("the folder, and the user, seen from inside: got %q, %v", got, err)
	}
}

// The process stands still before its program begins, until somebody lets it go on.
func TestWaitForDebugger(t *testing.T) {
	j, out := script(t, "x", "echo began")
	j.WaitForDebugger = true
	own, child, err := bootstrapPair()
	must(t, err)
	defer own.Close()
	ended := make(chan struct{})
	p, err := spawn(j, surroundings{helper: self(t)}, child, func() { close(ended) })
	child.Close()
	must(t, err)
	for {
		var status unix.WaitStatus
		if _, err := unix.Wait4(p.pid, &status, unix.WUNTRACED, nil); err == nil && status.Stopped() {
			break
		} else if err != nil && err != unix.EINTR {
			t.Skipf("it was reaped elsewhere: %v", err)
		}
	}
	if n, _ := unix.Poll([]unix.PollFd{{Fd: int32(out.Fd()), Events: unix.POLLIN}}, 0); n > 0 {
		t.Error("the program has begun")
	}
	p.signal(unix.SIGCONT)
	readUntil(t, out, "began")
	<-ended
	if status, _ := p.finish(); status != 0 {
		t.Errorf("exit %d", status)
	}
}
