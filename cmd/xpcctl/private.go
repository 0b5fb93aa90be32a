package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// stopTime is how long a private registry gets to stop its jobs, which it kills
// after 5 s itself.
const stopTime = 15 * time.Second

// startPause lies between two looks whether xpcd is ready. It could tell, by
// sd_notify, but not on every system.
const startPause = 5 * time.Millisecond

// maxRuntimeDir keeps the path of the socket well below the 104 bytes that the
// strictest system allows.
const maxRuntimeDir = 60

// privateRegistry is an xpcd of our own. It ends when this process does,
// however that happens: it reads a pipe that only we hold open.
type privateRegistry struct {
	dir    string
	socket string
	cmd    *exec.Cmd
	leash  io.Closer // our end of the pipe
	done   chan struct{}
	err    error // why xpcd ended; read it after done is closed
}

// startRegistry returns when the new registry takes connections. log gets xpcd's log.
func startRegistry(ctx context.Context, log io.Writer) (*privateRegistry, error) {
	program, err := findXpcd()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(runtimeDir(), "xpc-")
	if err != nil {
		return nil, fmt.Errorf("private folder: %w", err)
	}
	r := &privateRegistry{dir: dir, socket: filepath.Join(dir, bootstrap.SocketName), done: make(chan struct{})}
	if err := r.start(ctx, program, log); err != nil {
		r.stop()
		return nil, err
	}
	return r, nil
}

func (r *privateRegistry) start(ctx context.Context, program string, log io.Writer) (err error) {
	r.cmd = exec.Command(program, "--socket", r.socket, "--end-with-parent", "--log-level", "warn")
	r.cmd.Env = append(commandEnvironment(os.Environ()), bootstrap.EnvRegistry+"=")
	r.cmd.Stderr = log
	// A group of its own: Ctrl-C is for the command, and the registry outlives it.
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if r.leash, err = r.cmd.StdinPipe(); err != nil {
		return err
	}
	if err := r.cmd.Start(); err != nil {
		r.cmd = nil
		return fmt.Errorf("private registry: %w", err)
	}
	go func() { // ends with xpcd; stop waits for it
		r.err = r.cmd.Wait()
		close(r.done)
	}()
	return r.await(ctx)
}

// await returns when the socket takes connections: whoever connects from then on
// is answered, be it a little later.
func (r *privateRegistry) await(ctx context.Context) error {
	tick := time.NewTicker(startPause)
	defer tick.Stop()
	for {
		conn, err := net.Dial("unix", r.socket)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-tick.C:
		case <-r.done:
			return fmt.Errorf("private registry: %s ended before it was ready: %s", r.cmd.Path, exitText(r.err))
		case <-ctx.Done():
			return fmt.Errorf("private registry: %s was not ready in time: %w", r.cmd.Path, ctx.Err())
		}
	}
}

// ended is why xpcd has ended already; nil while it runs.
func (r *privateRegistry) ended() error {
	select {
	case <-r.done:
		return errors.New(exitText(r.err))
	default:
		return nil
	}
}

func exitText(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}

// stop ends xpcd, which stops its jobs, and removes the folder. It may be
// called on a registry that did not start.
func (r *privateRegistry) stop() {
	defer os.RemoveAll(r.dir)
	if r.leash != nil {
		r.leash.Close()
	}
	if r.cmd == nil {
		return
	}
	late := time.NewTimer(stopTime)
	defer late.Stop()
	select {
	case <-r.done:
	case <-late.C:
		r.cmd.Process.Kill()
		<-r.done
	}
}

// findXpcd prefers the one that was built with this program.
func findXpcd() (string, error) {
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), "xpcd")
		if _, err := exec.LookPath(beside); err == nil {
			return beside, nil
		}
	}
	path, err := exec.LookPath("xpcd")
	if err != nil {
		return "", errors.New("xpcd is neither beside xpcctl nor in PATH; build both with make build")
	}
	return path, nil
}

// runtimeDir is where the private folder goes: the user's own place if there is
// one and its path is short, else /tmp.
func runtimeDir() string {
	dir := os.Getenv("XDG_RUNTIME_DIR")
	if info, err := os.Stat(dir); err == nil && info.IsDir() && filepath.IsAbs(dir) && len(dir) <= maxRuntimeDir {
		return dir
	}
	return "/tmp"
}
