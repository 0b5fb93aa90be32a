package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/registry"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// process is one run of a job: the leader of a session, and so of a group, of its own.
type process struct {
	cmd     *exec.Cmd
	pid     int
	release func() // gives back what waited for the exit
}

// errNoRoom marks a start that failed for want of something that comes back.
var errNoRoom = errors.New("no room for a process now")

// spawn starts the job's program. The child end of the bootstrap connection
// stays the caller's. exited is called once, on any goroutine, when the process
// has ended; finish then has to be called.
func spawn(job *registry.Job, registryPath string, child *os.File, exited func()) (*process, error) {
	env := environment(os.Environ(), job.Environment, registryPath)
	if len(job.MachServices) == 1 {
		env = append(env, bootstrap.EnvServiceName+"="+job.MachServices[0])
	}
	program, err := find(job.Program, env)
	if err != nil {
		return nil, fmt.Errorf("cannot execute %q: %w", job.Program, err)
	}
	cmd := &exec.Cmd{
		Path: program, Args: job.Arguments, Env: env, Dir: job.WorkingDirectory,
		Stdout: os.Stdout, Stderr: os.Stderr,
		ExtraFiles: []*os.File{child},
	}
	if cmd.Dir == "" {
		cmd.Dir = "/"
	}
	if err := checkFolder(cmd.Dir); err != nil {
		return nil, fmt.Errorf("working directory %q: %w", cmd.Dir, err)
	}
	files, err := redirect(cmd, job)
	defer func() {
		for _, f := range files {
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
	return p, nil
}

// bootstrapFD is the descriptor that ExtraFiles' first file has in the child.
const bootstrapFD = "3"

// environment is all that a job sees: a few variables of the daemon's own, where
// the registry is, and the job's.
func environment(own []string, job map[string]string, registryPath string) []string {
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
	vars[bootstrap.EnvBootstrapFD] = bootstrapFD
	var env []string
	for name, value := range vars {
		env = append(env, name+"="+value)
	}
	slices.Sort(env)
	return env
}

// find looks a bare word up in the job's PATH, and checks what it found: a
// program that is not there costs no fork.
func find(program string, env []string) (string, error) {
	if strings.Contains(program, "/") {
		return program, executable(program)
	}
	for _, kv := range env {
		path, ok := strings.CutPrefix(kv, "PATH=")
		if !ok {
			continue
		}
		for _, dir := range filepath.SplitList(path) {
			if full := filepath.Join(dir, program); filepath.IsAbs(full) && executable(full) == nil {
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

// redirect opens the job's output files; the caller closes them after the start.
func redirect(cmd *exec.Cmd, job *registry.Job) (files []*os.File, err error) {
	open := func(path string) *os.File {
		// A FIFO that nobody reads must not hold the daemon up.
		f, e := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|unix.O_NONBLOCK|unix.O_NOCTTY, 0o644)
		if e != nil {
			err = fmt.Errorf("output file %q: %w", path, transient(reason(e)))
			return nil
		}
		unix.SetNonblock(int(f.Fd()), false)
		files = append(files, f)
		return f
	}
	if p := job.StandardOutPath; p != "" {
		cmd.Stdout = open(p)
	}
	if p := job.StandardErrorPath; p != "" && err == nil {
		cmd.Stderr = open(p)
	}
	return files, err
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

// finish ends what is left of the process group (R222) and takes the exit
// status: the code, or the negative signal.
func (p *process) finish() int {
	p.signalGroup(unix.SIGTERM)
	p.cmd.Wait()
	p.release()
	if ws, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return -int(ws.Signal())
	}
	return p.cmd.ProcessState.ExitCode()
}

// abandon gives up a process that not even SIGKILL ended.
func (p *process) abandon() { p.release() }

func (p *process) signal(s unix.Signal)      { p.cmd.Process.Signal(s) }
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
