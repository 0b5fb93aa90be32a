package integration_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// Users of a machine, and their places on it.
const (
	theUser      = otherUser
	theStranger  = otherUser - 1
	runtimeDir   = "/run/user"
	programsDir  = "/run/programs"
	jobsDir      = "/run/jobs"
	nobodyListed = "com.example.nowhere"
)

// machine has a /run of its own, which only this test's thread and what it starts
// see: there is one path for the system's registry, and no variable leads elsewhere.
type machine struct {
	t *testing.T
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	use(caller) // also by a test that is skipped
	if os.Geteuid() != 0 {
		t.Skip("needs root, for a /run of its own and for two users")
	}
	runtime.LockOSThread() // for good: the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		t.Skipf("no mount namespace can be made here: %v", err)
	}
	must(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	must(t, unix.Mount("run", "/run", "tmpfs", 0, "mode=0755"))
	for _, dir := range []string{runtimeDir, programsDir, jobsDir} {
		must(t, os.Mkdir(dir, 0o755))
	}
	must(t, os.Mkdir(userDir(theUser), 0o700))
	must(t, os.Chown(userDir(theUser), theUser, theUser))
	self, err := os.Executable()
	must(t, err)
	// Where they are built, only root may look.
	for name, path := range map[string]string{"xpcd": xpcd(t), "helper": self} {
		at := filepath.Join(programsDir, name)
		must(t, os.WriteFile(at, nil, 0o755))
		must(t, unix.Mount(path, at, "", unix.MS_BIND, ""))
	}
	return &machine{t}
}

func userDir(uid int) string { return fmt.Sprintf("%s/%d", runtimeDir, uid) }

// command is a program of a user's.
func (m *machine) command(uid int, program string, args ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(programsDir, program), args...)
	c.Dir = "/"
	c.Env = []string{"XDG_RUNTIME_DIR=" + userDir(uid), raceVariable + "=" + raceOptions}
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	return c
}

// registry starts a user's registry with services of these names. It serves when
// registry returns, and ends with stop.
func (m *machine) registry(uid int, args []string, names ...string) (stop func()) {
	m.t.Helper()
	c := m.command(uid, "xpcd", append(args, "--end-with-parent")...)
	for _, name := range names {
		c.Args = append(c.Args, "--job", m.job(uid, name))
	}
	in, err := c.StdinPipe()
	must(m.t, err)
	log, err := c.StderrPipe()
	must(m.t, err)
	must(m.t, c.Start())
	lines := bufio.NewScanner(log)
	for serving := false; !serving; {
		if !lines.Scan() {
			m.t.Fatalf("the registry of user %d does not serve: %v", uid, c.Wait())
		}
		serving = strings.Contains(lines.Text(), "msg=serving")
	}
	drained := make(chan struct{})
	// Ends with the registry.
	go func() {
		io.Copy(io.Discard, log)
		close(drained)
	}()
	ended := false
	stop = func() {
		if ended {
			return
		}
		ended = true
		in.Close()
		<-drained
		if err := c.Wait(); err != nil {
			m.t.Errorf("the registry of user %d ended with %v", uid, err)
		}
	}
	m.t.Cleanup(stop)
	return stop
}

// job writes the file of a service that belongs to a user.
func (m *machine) job(uid int, name string) string {
	m.t.Helper()
	dir := fmt.Sprintf("%s/%d", jobsDir, uid)
	must(m.t, os.MkdirAll(dir, 0o755))
	j := job{label: name, program: filepath.Join(programsDir, "helper"), names: []string{name}, env: map[string]string{helperVariable: use(serviceHelper)}}
	path := j.file(m.t, dir)
	must(m.t, os.Chown(path, uid, uid))
	return path
}

// caller says who answers a name: its arguments are the name and the connection's flags.
var caller = helper("caller", func() {
	flags := xpc.MachServiceFlags(0)
	if len(os.Args) > 2 {
		flags = xpc.MachServicePrivileged
	}
	c := xpc.NewMachServiceConnection(os.Args[1], nil, flags)
	c.SetEventHandler(func(xpc.Object) {})
	c.Activate()
	if _, err := c.SendMessageWithReplySync(context.Background(), message("", "")); err != nil {
		fmt.Printf("%v\n", err)
		return
	}
	fmt.Printf("user %d\n", c.EUID())
})

// calls has the user call a name, and wants all of these words said.
func (m *machine) calls(why, name string, privileged bool, want ...string) {
	m.t.Helper()
	args := []string{name}
	if privileged {
		args = append(args, "privileged")
	}
	c := m.command(theUser, "helper", args...)
	c.Env = append(c.Env, helperVariable+"="+caller)
	out, err := c.CombinedOutput()
	must(m.t, err)
	for _, w := range want {
		if !strings.Contains(string(out), w) {
			m.t.Errorf("%s: got %q, want %q in it", why, strings.TrimSpace(string(out)), w)
		}
	}
}

var (
	unknown    = "no job declares"
	theUsers   = fmt.Sprintf("user %d\n", theUser)
	theSystems = "user 0\n"
)

// R211, R212: look-ups climb from the user's registry to the system's; with
// MachServicePrivileged they begin, and end, there.
func TestDomains(t *testing.T) {
	const both, mine, systems = "com.example.both", "com.example.mine", "com.example.systems"
	m := newMachine(t)
	system := []string{"--state-dir", "/run/state"}
	stopSystem := m.registry(0, system, both, systems)
	m.calls("the user's registry is not there: the system's answers", both, false, theSystems)
	m.calls("and says what is unknown", nobodyListed, false, unknown)

	stopUser := m.registry(theUser, nil, both, mine)
	m.calls("known to both: the nearer one", both, false, theUsers)
	m.calls("R212: nobody stands before the system's name", both, true, theSystems)
	m.calls("the user's own", mine, false, theUsers)
	m.calls("R212: the system does not have it", mine, true, unknown)
	m.calls("climbs", systems, false, theSystems)
	m.calls("climbs in vain", nobodyListed, false, unknown)

	stopSystem()
	m.calls("the system's registry is not needed", mine, false, theUsers)
	m.calls("the user's has said that it does not know, and nobody else can", systems, false, unknown)
	m.calls("the system's alone is asked", both, true, "no registry answers", bootstrap.SystemPath())

	stopUser()
	m.calls("neither is there", both, false, "no registry answers", bootstrap.SystemPath(), userDir(theUser))
	m.registry(0, system, both)
	m.calls("the system's is back", both, true, theSystems)
}

// A job that is disabled has no names: the next registry is asked.
func TestDomains_Disabled(t *testing.T) {
	const name = "com.example.both"
	m := newMachine(t)
	m.registry(0, []string{"--state-dir", "/run/state"}, name)
	state := filepath.Join(userDir(theUser), "state")
	must(t, os.Mkdir(state, 0o700))
	disabled := filepath.Join(state, "disabled.json")
	must(t, os.WriteFile(disabled, []byte(`{"com.example.both":true}`), 0o600))
	for _, path := range []string{state, disabled} {
		must(t, os.Chown(path, theUser, theUser))
	}
	m.registry(theUser, []string{"--state-dir", state}, name)
	m.calls("disabled in the user's", name, false, theSystems)
}

// R212, R214: what listens at the system's place must be root's.
func TestDomains_Impostor(t *testing.T) {
	const name = "com.example.helper"
	m := newMachine(t)
	place := filepath.Dir(bootstrap.SystemPath())
	must(t, os.Mkdir(place, 0o755))
	must(t, os.Chown(place, theStranger, theStranger))
	m.registry(theStranger, []string{"--socket", bootstrap.SystemPath()}, name)
	must(t, os.Chmod(bootstrap.SystemPath(), 0o666))
	refused := []string{"no registry answers", bootstrap.SystemPath() + fmt.Sprintf(": user %d listens there, not root", theStranger)}
	m.calls("privileged", name, true, refused...)
	m.calls("climbing leads nobody astray either", name, false, refused...)

	m.registry(theUser, nil, name)
	m.calls("the user's own is not the system's", name, true, refused...)
	m.calls("and is found as ever", name, false, theUsers)
	m.calls("what it does not know, nobody may claim to", nobodyListed, false, unknown)
}
