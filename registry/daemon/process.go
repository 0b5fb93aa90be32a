package daemon

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/registry"
	"github.com/openxpc/openxpc/registry/internal/namespace"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// process is one run of a job: the leader of a session, and so of a group, of its own.
type process struct {
	asking  bool   // whether it is idle, and has not answered yet
	asked   bool   // whether it is idle, and has not said no
	retired bool   // it was idle, and has been killed for that
	turns   uint64 // of its tally, at the last look
	idle    *time.Timer
	cmd     *exec.Cmd // nil for one that an earlier daemon started
	pid     int
	handle  int                // pidfd, or -1
	alone   bool               // the rest of its group is not the registry's business
	report  report             // of a helper
	failed  error              // what the helper said, known after finish
	release func()             // gives back what waited for the exit
	status  syscall.WaitStatus // of one without cmd, where the system tells it once
	lost    error              // why there is no status
	late    int                // how often it was not known yet
}

// errNoRoom marks a start that failed for want of something that comes back.
var errNoRoom = errors.New("no room for a process now")

// surroundings are what a daemon gives to a job's process beside what its file says.
type surroundings struct {
	registry string   // path of the registry's socket
	helper   string   // path of the program that calls RunHelper; "" for none
	launch   string   // what to know the process by after a restart of the daemon
	back     *os.File // where the process may connect again; nil if there is no such descriptor
	backPath string   // then the path, or "" for no way back
	tally    *tally   // where the process counts its transactions, or nil

	listener *os.File // of the one name that the job serves; nil: it asks for it

	sockets   []*os.File // inherited first
	variables []string   // tell of them
	streams   *os.File   // standard input, output and error; nil for what the file says
}

// spawn starts the job's program. The child end of the bootstrap connection
// stays the caller's. exited is called once, on any goroutine, when the process
// has ended; finish then has to be called.
func spawn(job *registry.Job, s surroundings, child *os.File, exited func()) (*process, error) {
	own := os.Environ()
	if changesUser(job) && job.UserName != "" {
		own = slices.DeleteFunc(own, func(kv string) bool { return !strings.HasPrefix(kv, "PATH=") })
	}
	files := append(slices.Clone(s.sockets), child)
	env := append(environment(own, job.Environment, s.registry, firstExtraFD+len(s.sockets)), s.variables...)
	switch {
	case s.back != nil:
		env = append(env, bootstrap.EnvBootstrapReturn+"="+strconv.Itoa(firstExtraFD+len(files)))
		files = append(files, s.back)
	case s.backPath != "":
		env = append(env, bootstrap.EnvBootstrapReturn+"="+s.backPath)
	}
	if s.tally != nil {
		env = append(env, s.tally.variable(firstExtraFD+len(files)))
		files = append(files, s.tally.file)
	}
	if s.listener != nil {
		env = append(env, fmt.Sprintf("%s=%d:%d", bootstrap.EnvListener, firstExtraFD+len(files), os.Getpid()))
		files = append(files, s.listener)
	}
	if s.launch != "" {
		env = append(env, envLaunch+"="+s.launch)
	}
	if len(job.MachServices) == 1 {
		env = append(env, bootstrap.EnvServiceName+"="+namespace.Public(job.MachServices[0]))
	}
	if job.EnableTransactions {
		env = append(env, bootstrap.EnvTransactions+"=1")
	}
	program, err := find(job.Program, job.RootDirectory, env)
	if err != nil {
		return nil, fmt.Errorf("cannot execute %q: %w", job.Program, err)
	}
	cmd := &exec.Cmd{
		Path: program, Args: job.Arguments, Env: env, Dir: cmp.Or(job.WorkingDirectory, "/"),
		Stdout: os.Stdout, Stderr: os.Stderr,
		ExtraFiles: files,
	}
	if s.streams != nil {
		cmd.Stdin, cmd.Stdout, cmd.Stderr = s.streams, s.streams, s.streams
	}
	if needsHelper(job) {
		return startHelper(cmd, job, s.helper, exited)
	}
	if err := checkFolder(cmd.Dir); err != nil {
		return nil, fmt.Errorf("working directory %q: %w", cmd.Dir, err)
	}
	streams, err := redirect(cmd, job)
	defer func() {
		for _, f := range streams {
			f.Close()
		}
	}()
	if err != nil {
		return nil, err
	}
	p, err := start(cmd, exited)
	if err != nil {
		return nil, fmt.Errorf("cannot execute %q: %w", program, transient(reason(err)))
	}
	p.alone = job.AbandonProcessGroup
	return p, nil
}

// startHelper starts a process that prepares itself before it executes what cmd
// names. Whether that succeeded is known when the process has ended.
func startHelper(cmd *exec.Cmd, job *registry.Job, helper string, exited func()) (*process, error) {
	if helper == "" {
		return nil, errors.New("this registry has no helper, which Umask, Nice, limits and users need")
	}
	text, err := json.Marshal(orderFor(job, cmd.Path, cmd.Dir))
	if err != nil {
		return nil, err
	}
	cmd.Path, cmd.Dir = helper, "/"
	cmd.Args = slices.Concat([]string{helper, helperArgument + strconv.Itoa(firstExtraFD+len(cmd.ExtraFiles)), string(text)}, job.Arguments)
	own, child, err := os.Pipe()
	if err != nil {
		return nil, transient(err)
	}
	defer child.Close()
	cmd.ExtraFiles = append(cmd.ExtraFiles, child)
	p, err := start(cmd, exited)
	if err != nil {
		own.Close()
		return nil, fmt.Errorf("cannot execute %q: %w", helper, transient(reason(err)))
	}
	p.report, p.alone = report{own}, job.AbandonProcessGroup
	return p, nil
}

// firstExtraFD is the descriptor that ExtraFiles' first file has in the child.
const firstExtraFD = 3

// envLaunch tells the process of a job from others after a restart of the daemon.
const envLaunch = "XPC_LAUNCH_ID"

// environment is all that a job sees: a few variables of the daemon's own, where
// the registry is, and the job's.
func environment(own []string, job map[string]string, registryPath string, bootstrapFD int) []string {
	vars := map[string]string{"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"}
	for _, kv := range own {
		name, value, _ := strings.Cut(kv, "=")
		if slices.Contains([]string{"PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR"}, name) {
			vars[name] = value
		}
	}
	for name, value := range job {
		vars[name] = value
	}
	vars[bootstrap.EnvRegistry] = registryPath
	vars[bootstrap.EnvBootstrapFD] = strconv.Itoa(bootstrapFD)
	var env []string
	for name, value := range vars {
		env = append(env, name+"="+value)
	}
	slices.Sort(env)
	return env
}

// find looks a bare word up in the job's PATH, and checks what it found: a
// program that is not there costs no fork. root is the job's root folder; the path
// is one that is good inside.
func find(program, root string, env []string) (string, error) {
	if strings.Contains(program, "/") {
		return program, executable(filepath.Join(root, program))
	}
	for _, kv := range env {
		path, ok := strings.CutPrefix(kv, "PATH=")
		if !ok {
			continue
		}
		for _, dir := range filepath.SplitList(path) {
			if full := filepath.Join(dir, program); filepath.IsAbs(full) && executable(filepath.Join(root, full)) == nil {
				return full, nil
			}
		}
	}
	return "", errors.New("not found in PATH")
}

func executable(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return reason(err)
	case info.IsDir():
		return unix.EISDIR
	}
	return unix.Access(path, unix.X_OK)
}

func checkFolder(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return reason(err)
	}
	if !info.IsDir() {
		return unix.ENOTDIR
	}
	return nil
}

// redirect opens the job's files; the caller closes them after the start.
func redirect(cmd *exec.Cmd, job *registry.Job) (files []*os.File, err error) {
	for fd, path := range []string{job.StandardInPath, job.StandardOutPath, job.StandardErrorPath} {
		if path == "" {
			continue
		}
		f, err := openStream(fd, path, outputMode)
		if err != nil {
			return files, err
		}
		files = append(files, f)
		switch fd {
		case 0:
			cmd.Stdin = f
		case 1:
			cmd.Stdout = f
		case 2:
			cmd.Stderr = f
		}
	}
	return files, nil
}

// outputMode is that of output files that are made, before the umask.
const outputMode = 0o644

// openStream opens what is to be one of the first three descriptors.
func openStream(fd int, path string, mode os.FileMode) (*os.File, error) {
	// A FIFO that nobody else has open must not hold anybody up.
	what, flags := "input", os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY
	if fd != 0 {
		what, flags = "output", os.O_WRONLY|os.O_APPEND|os.O_CREATE|unix.O_NONBLOCK|unix.O_NOCTTY
	}
	f, err := os.OpenFile(path, flags, mode)
	if err != nil {
		return nil, fmt.Errorf("%s file %q: %w", what, path, transient(reason(err)))
	}
	unix.SetNonblock(int(f.Fd()), false)
	return f, nil
}

// reason is the system's part of an error that names a path once more.
func reason(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

func transient(err error) error {
	for _, e := range []error{unix.EAGAIN, unix.ENOMEM, unix.EMFILE, unix.ENFILE} {
		if errors.Is(err, e) {
			return fmt.Errorf("%w: %w", errNoRoom, err)
		}
	}
	return err
}

// errNotReaped says that the status of another's child will be known in a moment.
var errNotReaped = errors.New("not reaped yet")

// finish ends what is left of the process group (R222) and takes the exit status:
// the code, or the negative signal. That fails only for a process that is the child
// of somebody else; then abandon is to be called, unless the error is errNotReaped
// and finish is to be called again.
func (p *process) finish() (status int, err error) {
	if !p.alone {
		p.signalGroup(unix.SIGTERM)
	}
	var ws syscall.WaitStatus
	if p.cmd == nil {
		if ws, err = p.reap(); err != nil {
			return 0, err
		}
	} else {
		p.cmd.Wait()
		ws, _ = p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	}
	p.release()
	p.failed = p.report.read()
	if ws.Signaled() {
		return -int(ws.Signal()), nil
	}
	return ws.ExitStatus(), nil
}

// abandon gives up a process that not even SIGKILL ended.
func (p *process) abandon() {
	p.release()
	p.report.close()
}

// kill ends the process, and its group unless that is to be left alone.
func (p *process) kill() {
	if p.alone {
		p.signal(unix.SIGKILL)
		return
	}
	p.signalGroup(unix.SIGKILL)
}

func (p *process) signal(s unix.Signal) error {
	if p.cmd != nil {
		return p.cmd.Process.Signal(s)
	}
	return p.signalAdopted(s)
}

func (p *process) signalGroup(s unix.Signal) { unix.Kill(-p.pid, s) }

// bootstrapPair is the connection that makes a process the job's: one end for the
// daemon, one to be inherited.
func bootstrapPair() (own, child *os.File, err error) {
	syscall.ForkLock.RLock()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fds[0])
		unix.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, transient(os.NewSyscallError("socketpair", err))
	}
	return os.NewFile(uintptr(fds[0]), "bootstrap"), os.NewFile(uintptr(fds[1]), "bootstrap"), nil
}
