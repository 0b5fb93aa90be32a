package integration_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/xpc"
)

// systemd is a machine that systemd runs, as process 1 of a namespace: the units that
// are installed, with nothing between them and their manager.
type systemd struct {
	*machine
	ctx  context.Context
	init *exec.Cmd
	log  bytes.Buffer
}

const (
	systemdProgram = "/lib/systemd/systemd"
	unitsDir       = "/run/units"
	userUnitsDir   = "/run/user-units"
	userHome       = "/run/home"
	cgroupVariable = "XPC_TEST_CGROUP"
)

// boot skips the test where systemd cannot run like that, and where nobody asked
// for it: another process 1 is no small thing to start beside other tests.
func boot(t *testing.T) *systemd {
	t.Helper()
	use(initHelper) // also by a test that is skipped
	use(steady)
	if os.Getenv("XPC_TEST_SYSTEMD") == "" {
		t.Skip("make systemd runs it")
	}
	for _, tool := range []string{systemdProgram, "systemctl", "nsenter"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("there is no %s here", tool)
		}
	}
	s := &systemd{machine: newMachine(t)}
	var cancel func()
	s.ctx, cancel = context.WithTimeout(context.Background(), 5*patience) // some hundred processes are started
	t.Cleanup(cancel)
	s.install("system", unitsDir, "/etc/xpc/services.d", 0)
	s.install("user", userUnitsDir, filepath.Join(userHome, ".config/xpc/services.d"), theUser)
	must(t, os.WriteFile(filepath.Join(unitsDir, "user@.service"), fmt.Appendf(nil, `[Service]
User=%%i
Type=notify
ExecStart=%s --user --unit=basic.target
Environment=XDG_RUNTIME_DIR=%s/%%i HOME=%s SYSTEMD_UNIT_PATH=%s SYSTEMD_GENERATOR_PATH=/run/nothing
Delegate=yes
KillMode=mixed
`, systemdProgram, runtimeDir, userHome, userUnitsDir), 0o644))

	s.init = exec.Command(filepath.Join(programsDir, "helper"))
	s.init.Env = []string{helperVariable + "=" + initHelper, cgroupVariable + "=" + ownCgroup(t)}
	s.init.Stdout, s.init.Stderr = &s.log, &s.log
	s.init.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID}
	if err := s.init.Start(); err != nil {
		t.Skipf("no process 1 can be made here: %v", err)
	}
	ended := make(chan struct{})
	// Ends with the machine.
	go func() {
		s.init.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		s.init.Process.Kill() // and with it all that it has started
		<-ended
		if t.Failed() {
			t.Logf("systemd said:\n%s", s.log.String())
		}
	})
	for s.try(0, "systemctl", "is-active", "basic.target") != nil {
		select {
		case <-ended:
			t.Skipf("systemd does not run here:\n%s", s.log.String())
		case <-s.ctx.Done():
			t.Fatal("systemd never came up")
		default:
		}
	}
	must(t, s.try(0, "systemctl", "start", fmt.Sprintf("user@%d.service", theUser)))
	return s
}

// install writes our units, with the fewest of systemd's around them, and a job file.
func (s *systemd) install(kind, dir, jobs string, uid int) {
	s.t.Helper()
	must(s.t, os.MkdirAll(dir, 0o755))
	files := map[string]string{}
	for _, target := range []string{"basic", "sysinit", "sockets", "shutdown"} {
		files[target+".target"] = "[Unit]\nDefaultDependencies=no\n"
	}
	for _, name := range []string{"xpcd.socket", "xpcd.service"} {
		unit, err := os.ReadFile(filepath.Join("../cmd/xpcd/dist/systemd", kind, name))
		must(s.t, err)
		files[name] = strings.ReplaceAll(string(unit), "/usr/bin", programsDir)
	}
	for name, text := range files {
		must(s.t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	file, err := os.ReadFile(s.job(uid, serviceName))
	must(s.t, err)
	if uid == 0 {
		return // init has an /etc of its own, and finds the file
	}
	must(s.t, os.MkdirAll(jobs, 0o755))
	must(s.t, os.WriteFile(filepath.Join(jobs, "service.json"), file, 0o600))
	must(s.t, filepath.Walk(userHome, func(path string, _ os.FileInfo, err error) error {
		must(s.t, err)
		return os.Chown(path, uid, uid)
	}))
}

// ownCgroup makes a group of processes for the machine, and returns its folder.
func ownCgroup(t *testing.T) string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	must(t, err)
	for line := range strings.Lines(string(mounts)) {
		before, after, _ := strings.Cut(line, " - ")
		if fields := strings.Fields(before); strings.HasPrefix(after, "cgroup2 ") && len(fields) > 4 {
			dir, err := os.MkdirTemp(fields[4], "xpc-test-")
			if err != nil {
				t.Skipf("no cgroup can be made here: %v", err)
			}
			must(t, os.Chmod(dir, 0o755))
			t.Cleanup(func() {
				var all []string
				filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
					if err == nil && d.IsDir() {
						all = append(all, path)
					}
					return nil
				})
				for len(all) > 0 {
					last := len(all) - 1
					if err := os.Remove(all[last]); err != nil {
						t.Error(err)
					}
					all = all[:last]
				}
			})
			return dir
		}
	}
	t.Skip("no cgroup2 is mounted here")
	return ""
}

// initHelper makes itself a place and becomes systemd.
var initHelper = helper("init", func() {
	fail := func(what string, err error) {
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
			os.Exit(1)
		}
	}
	runtime.LockOSThread()
	fail("cgroup", os.WriteFile(filepath.Join(os.Getenv(cgroupVariable), "cgroup.procs"), []byte("0"), 0))
	fail("cgroup namespace", unix.Unshare(unix.CLONE_NEWCGROUP))
	etc := map[string][]byte{}
	for _, name := range []string{"passwd", "group", "nsswitch.conf", "ld.so.cache", "machine-id"} {
		etc[name], _ = os.ReadFile("/etc/" + name)
	}
	for _, m := range [][2]string{{"proc", "/proc"}, {"cgroup2", "/sys/fs/cgroup"}, {"tmpfs", "/etc"}, {"tmpfs", "/var/lib"}, {"tmpfs", "/tmp"}} {
		fail("mount "+m[1], unix.Mount(m[0], m[1], m[0], 0, ""))
	}
	const jobs = "/etc/xpc/services.d"
	fail("jobs", os.MkdirAll(jobs, 0o755))
	for name, text := range etc {
		fail(name, os.WriteFile("/etc/"+name, text, 0o644))
	}
	job, err := os.ReadFile(filepath.Join(jobsDir, "0", serviceName+".json"))
	fail("job", err)
	fail("job", os.WriteFile(filepath.Join(jobs, "service.json"), job, 0o600))
	fail("exec", syscall.Exec(systemdProgram, []string{systemdProgram, "--system", "--unit=basic.target"}, []string{
		"container=test", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "SYSTEMD_UNIT_PATH=" + unitsDir,
		"SYSTEMD_GENERATOR_PATH=/run/nothing", "SYSTEMD_LOG_TARGET=console",
	}))
})

// in is a program that a user runs on the machine.
func (s *systemd) in(uid int, args ...string) *exec.Cmd {
	c := exec.CommandContext(s.ctx, "nsenter", append([]string{fmt.Sprintf("--target=%d", s.init.Process.Pid), "--mount", "--pid",
		fmt.Sprintf("--setuid=%d", uid), fmt.Sprintf("--setgid=%d", uid)}, args...)...)
	c.Dir = "/"
	c.Env = []string{"PATH=" + os.Getenv("PATH"), raceVariable + "=" + raceOptions}
	if uid != 0 {
		c.Env = append(c.Env, "XDG_RUNTIME_DIR="+userDir(uid))
	}
	return c
}

func (s *systemd) try(uid int, args ...string) error {
	if out, err := s.in(uid, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// manager is systemd as one user has it: the system's, or the user's own.
type manager struct {
	*systemd
	uid int
}

func (m *manager) systemctl(args ...string) error {
	if m.uid != 0 {
		args = append([]string{"--user"}, args...)
	}
	return m.try(m.uid, append([]string{"systemctl"}, args...)...)
}

// mainPID is xpcd's process, 0 if there is none.
func (m *manager) mainPID() string {
	m.t.Helper()
	args := []string{"systemctl", "show", "--value", "--property=MainPID", "xpcd.service"}
	if m.uid != 0 {
		args = append(args, "--user")
	}
	out, err := m.in(m.uid, args...).Output()
	must(m.t, err)
	return strings.TrimSpace(string(out))
}

// steady keeps a connection to the service: each order is a request, what it says is
// the service's process, and every event that should not come.
var steady = helper("steady", func() {
	c := xpc.NewMachServiceConnection(serviceName, nil, 0)
	c.SetEventHandler(func(o xpc.Object) { fmt.Println(eventName(o)) })
	c.Activate()
	for do := range orders() {
		reply, err := c.SendMessageWithReplySync(context.Background(), message(do, ""))
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Printf("pid %d\n", reply.GetInt64("pid"))
	}
})

// dialogue is a helper that answers each line with a line.
type dialogue struct {
	m     *manager
	in    *bufio.Writer
	lines chan string
}

func (m *manager) steady() *dialogue {
	m.t.Helper()
	c := m.in(m.uid, filepath.Join(programsDir, "helper"))
	c.Env = append(c.Env, helperVariable+"="+steady)
	in, err := c.StdinPipe()
	must(m.t, err)
	out, err := c.StdoutPipe()
	must(m.t, err)
	must(m.t, c.Start())
	d := &dialogue{m, bufio.NewWriter(in), make(chan string, 100)}
	read := make(chan struct{})
	// Ends with the process.
	go func() {
		for s := bufio.NewScanner(out); s.Scan(); {
			d.lines <- s.Text()
		}
		close(read)
	}()
	m.t.Cleanup(func() {
		in.Close()
		<-read
		c.Wait()
	})
	return d
}

func (d *dialogue) send(order string) {
	d.m.t.Helper()
	_, err := d.in.WriteString(order + "\n")
	must(d.m.t, err)
	must(d.m.t, d.in.Flush())
}

func (d *dialogue) says(why string) string {
	d.m.t.Helper()
	select {
	case line := <-d.lines:
		return line
	case <-time.After(patience):
		d.m.t.Fatalf("%s: it says nothing", why)
		return ""
	}
}

func (d *dialogue) asks(why string) string {
	d.m.t.Helper()
	d.send("")
	return d.says(why)
}

// impatient has the watchdog wait a second from the next start on.
func (m *manager) impatient() {
	m.t.Helper()
	dir := filepath.Join(unitsDir, "xpcd.service.d")
	must(m.t, os.Mkdir(dir, 0o755))
	must(m.t, os.WriteFile(filepath.Join(dir, "test.conf"), []byte("[Service]\nWatchdogSec=1s\n"), 0o644))
	must(m.t, m.systemctl("daemon-reload"))
}

// way is something that befalls xpcd, by an order to systemd.
type way struct {
	what    string
	args    []string
	another bool // xpcd is another process then
	first   func()
}

// The units do what they are for, under the system's manager and a user's: the first
// client starts xpcd, and whatever becomes of xpcd then, nobody notices.
func TestSystemd(t *testing.T) {
	s := boot(t)
	for _, uid := range []int{0, theUser} {
		m := &manager{s, uid}
		must(t, m.systemctl("start", "xpcd.socket"))
		if pid := m.mainPID(); pid != "0" {
			t.Errorf("xpcd %s was started for nobody", pid)
		}
		early := m.steady()
		pid := early.asks("the first client starts xpcd, which starts the service")
		if !strings.HasPrefix(pid, "pid ") {
			t.Fatalf("user %d: got %s, want a process id", uid, pid)
		}
		must(t, m.systemctl("is-active", "xpcd.service")) // READY=1 came: it is Type=notify
		ways := []way{
			{"is restarted", []string{"restart", "xpcd.service"}, true, nil},
			{"is killed", []string{"kill", "--signal=KILL", "--kill-who=main", "xpcd.service"}, true, nil},
			{"is executed anew", []string{"reload", "xpcd.service"}, false, nil},
		}
		if uid == 0 { // a user's manager is the same program
			ways = append(ways, way{"is restarted with another watchdog", []string{"restart", "xpcd.service"}, true, m.impatient},
				way{"stands still, and the watchdog ends it", []string{"kill", "--signal=STOP", "--kill-who=main", "xpcd.service"}, true, nil})
		}
		for _, way := range ways {
			before := m.mainPID()
			if way.first != nil {
				way.first()
			}
			must(t, m.systemctl(way.args...))
			now := m.mainPID()
			for way.another && (now == before || now == "0") && s.ctx.Err() == nil {
				now = m.mainPID()
			}
			if !way.another && now != before {
				t.Errorf("user %d: xpcd %s: its process is %s, was %s", uid, way.what, now, before)
			}
			late := m.steady()
			if got := late.asks("a new client"); got != pid {
				t.Errorf("user %d: xpcd %s: a new client is answered by %s, want %s: one instance", uid, way.what, got, pid)
			}
			if got := early.asks("the connection goes on"); got != pid {
				t.Errorf("user %d: xpcd %s: got %s, want an answer of %s", uid, way.what, got, pid)
			}
		}
		must(t, m.systemctl("stop", "xpcd.service"))
		for _, want := range []string{interrupted, invalid} {
			if got := early.says("a stop ends the jobs"); got != want {
				t.Errorf("user %d: got %s, want %s", uid, got, want)
			}
		}
		if next := m.steady().asks("the socket is still there"); next == pid || !strings.HasPrefix(next, "pid ") {
			t.Errorf("user %d: got %s, want another process than %s", uid, next, pid)
		}
	}
}
