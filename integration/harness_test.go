package integration_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// patience bounds every wait; nothing is expected to take as long.
const patience = 60 * time.Second

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// programs holds xpcd, built once for a run, with the race detector if the run has it.
var programs struct {
	once sync.Once
	dir  string
	err  error
}

func xpcd(t *testing.T) string {
	t.Helper()
	p := &programs
	p.once.Do(func() {
		if p.dir, p.err = os.MkdirTemp("", "xpc-integration-"); p.err != nil {
			return
		}
		args := []string{"build", "-o", p.dir}
		if raceEnabled {
			args = append(args, "-race")
		}
		out, err := exec.Command("go", append(args, "../cmd/xpcd")...).CombinedOutput()
		if err != nil {
			p.err = fmt.Errorf("cannot build xpcd: %w\n%s", err, out)
		}
	})
	must(t, p.err)
	return filepath.Join(p.dir, "xpcd")
}

func removePrograms() {
	if programs.dir != "" {
		os.RemoveAll(programs.dir)
	}
}

// world is a private registry, the jobs it launches and the other processes of a test.
type world struct {
	*journal
	ctx      context.Context
	dir      string
	socket   string
	registry *exec.Cmd
	tools    *xpc.Connection // to the registry itself; made when wanted
}

// Processes under the race detector would end a second after they are done.
const (
	raceVariable = "GORACE"
	raceOptions  = "atexit_sleep_ms=0"
)

// job is a job file. The zero value of a field leaves the key out; helper is what
// this binary is to be, and program another program in its place.
type job struct {
	label   string
	helper  string
	program string
	names   []string
	env     map[string]string
}

// theService is a job whose one name is the service of service_test.go.
var theService = job{label: "service", helper: serviceHelper, names: []string{serviceName}}

const serviceName = "com.example.service"

// file writes the job file and returns its path.
func (j job) file(t *testing.T, dir string) string {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	program, env := j.program, map[string]string{raceVariable: raceOptions}
	for k, v := range j.env {
		env[k] = v
	}
	if program == "" {
		program = self
		env[helperVariable] = use(j.helper)
	}
	names := map[string]bool{}
	for _, n := range j.names {
		names[n] = true
	}
	// Tests start services at once after one another; launchd's default is one start in 10 s.
	text, err := json.MarshalIndent(map[string]any{
		"Label": j.label, "Program": program, "EnvironmentVariables": env, "MachServices": names, "ThrottleInterval": 0,
	}, "", "  ")
	must(t, err)
	path := filepath.Join(dir, j.label+".json")
	must(t, os.WriteFile(path, text, 0o600))
	return path
}

// prepare makes a world without a registry, and the arguments of one with these jobs.
func prepare(t *testing.T, jobs ...job) (w *world, args []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	w = &world{journal: newJournal(t), ctx: ctx, dir: t.TempDir()}
	w.socket = filepath.Join(w.dir, "registry", "r.sock")
	args = []string{"--socket", w.socket}
	for _, j := range jobs {
		args = append(args, "--job", j.file(t, w.dir))
	}
	return w, args
}

// begin starts a registry with these jobs and makes it this process's.
func begin(t *testing.T, jobs ...job) *world {
	t.Helper()
	w, args := prepare(t, jobs...)
	args = append(args, "--end-with-parent")
	t.Setenv(raceVariable, raceOptions)
	w.registry = exec.Command(xpcd(t), args...)
	ready := make(chan struct{})
	out, errs := w.pipe(w.take), w.pipe(w.registryLog(ready))
	defer out.Close()
	defer errs.Close()
	w.registry.Stdout, w.registry.Stderr = out, errs
	in, err := w.registry.StdinPipe()
	must(t, err)
	must(t, w.registry.Start())
	t.Cleanup(func() {
		in.Close()
		w.registry.Wait()
		w.close()
	})
	select {
	case <-ready:
	case <-w.ctx.Done():
		t.Fatal("xpcd was never ready")
	}
	t.Setenv(bootstrap.EnvRegistry, w.socket)
	return w
}

// registryLog keeps the daemon's and its jobs' standard error, and notices when
// the daemon serves.
func (w *world) registryLog(ready chan struct{}) func(string) {
	serving := false
	return func(text string) {
		// Later it may be a service that writes there.
		crashed := strings.HasPrefix(text, "panic: ") || strings.HasPrefix(text, "fatal error: ")
		if !serving && crashed {
			w.t.Errorf("xpcd has ended before it was ready: %s", text)
		}
		if !serving && (crashed || strings.Contains(text, "serving")) {
			serving = true
			close(ready)
		}
		w.takeError(text)
	}
}

// process is a helper that the test started itself.
type process struct {
	*exec.Cmd
	w     *world
	who   string
	stdin interface {
		WriteString(string) (int, error)
		Close() error
	}
	ended bool
}

// run starts a helper with the world's registry. It ends with the test, at the latest.
func (w *world) run(name string, args ...string) *process {
	w.t.Helper()
	self, err := os.Executable()
	must(w.t, err)
	return w.runProgram(self, name, args...)
}

// runProgram is run for a copy of this binary.
func (w *world) runProgram(self, name string, args ...string) *process {
	w.t.Helper()
	in, orders, err := os.Pipe()
	must(w.t, err)
	defer in.Close()
	out, errs := w.pipe(w.take), w.pipe(w.takeError)
	defer out.Close()
	defer errs.Close()
	p := &process{w: w, who: name, stdin: orders, Cmd: &exec.Cmd{
		Path: self, Args: append([]string{self}, args...), Env: append(os.Environ(), helperVariable+"="+use(name)),
		Stdin: in, Stdout: out, Stderr: errs,
	}}
	must(w.t, p.Start())
	w.t.Cleanup(func() { p.end() })
	return p
}

// order sends the helper a line.
func (p *process) order(text string) {
	p.w.t.Helper()
	_, err := p.stdin.WriteString(text + "\n")
	must(p.w.t, err)
}

// signal sends a signal to the process.
func (p *process) signal(s syscall.Signal) {
	p.w.t.Helper()
	must(p.w.t, p.Process.Signal(s))
}

// end waits for the process, which ends when its input does, and returns how it ended.
func (p *process) end() error {
	if p.ended {
		return nil
	}
	p.ended = true
	p.stdin.Close()
	return p.Wait()
}

// code waits for a process that ends by itself, and is its exit code: -1 after a signal.
func (p *process) code() int {
	p.w.t.Helper()
	if p.ended {
		p.w.t.Fatal("it was waited for before")
	}
	p.ended = true
	defer p.stdin.Close()
	err := p.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		p.w.t.Fatal(err)
	}
	return p.ProcessState.ExitCode()
}

// tool makes one of the tools' requests of the registry.
func (w *world) tool(op, key, value string) *xpc.Dictionary {
	w.t.Helper()
	if w.tools == nil {
		w.tools = xpc.NewMachServiceConnection(bootstrap.RegistryName, nil, 0)
		w.tools.SetEventHandler(func(xpc.Object) {})
		w.tools.Activate()
		w.t.Cleanup(func() {
			w.tools.Cancel()
			<-w.tools.Done()
		})
	}
	m := xpc.NewDictionary()
	m.SetString(bootstrap.KeyOp, op)
	m.SetString(key, value)
	reply, err := w.tools.SendMessageWithReplySync(w.ctx, m)
	if err != nil {
		w.t.Fatalf("%s %s: %v", op, value, err)
	}
	if code := reply.GetInt64(bootstrap.KeyError); code != 0 {
		w.t.Fatalf("%s %s: %s", op, value, reply.GetString(bootstrap.KeyReason))
	}
	return reply
}

// load loads a job, and unload stops and forgets it.
func (w *world) load(j job) {
	w.t.Helper()
	w.tool(bootstrap.OpLoad, bootstrap.KeyPath, j.file(w.t, w.dir))
}

func (w *world) unload(j job) {
	w.t.Helper()
	w.tool(bootstrap.OpUnload, bootstrap.KeyLabel, j.label)
}

// running is the pid of the job's process, 0 if there is none.
func (w *world) running(j job) int {
	w.t.Helper()
	jobs := w.tool(bootstrap.OpList, bootstrap.KeyLabel, j.label).GetArray(bootstrap.KeyJobs)
	for i := range jobs.Count() {
		if e := jobs.GetDictionary(i); e.GetString(bootstrap.KeyLabel) == j.label {
			return int(e.GetInt64(bootstrap.KeyPID))
		}
	}
	w.t.Fatalf("no job is called %s", j.label)
	return 0
}

// kill ends a process that the registry launched, without warning.
func (w *world) kill(pid int) {
	w.t.Helper()
	must(w.t, syscall.Kill(pid, syscall.SIGKILL))
}

// stop stops a process and waits until all its threads stand still.
func (w *world) stop(pid int) {
	w.t.Helper()
	must(w.t, syscall.Kill(pid, syscall.SIGSTOP))
	w.t.Cleanup(func() { w.goOn(pid) })
	for deadline := time.Now().Add(patience); !standsStill(pid); {
		if time.Now().After(deadline) {
			w.t.Fatalf("pid %d does not stop", pid)
		}
	}
}

// goOn continues a stopped process, if it is still there.
func (w *world) goOn(pid int) { syscall.Kill(pid, syscall.SIGCONT) }

// standsStill reads what Linux says of a process's threads; elsewhere the signal has to do.
func standsStill(pid int) bool {
	states, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/stat")
	for _, path := range states {
		text, err := os.ReadFile(path)
		if _, after, ok := strings.Cut(string(text), ") "); err == nil && ok && !strings.HasPrefix(after, "T") {
			return false
		}
	}
	return true
}
