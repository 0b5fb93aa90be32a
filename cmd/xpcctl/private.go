package main

import (
	"bytes"
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

// startRegistry returns when the new registry answers. log gets xpcd's log.
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

func (r *privateRegistry) start(ctx context.Context, program string, log io.Writer) error {
	ready, err := newNotifier(filepath.Join(r.dir, "notify"))
	if err != nil {
		return fmt.Errorf("private registry: %w", err)
	}
	defer ready.close()
	r.cmd = exec.Command(program, "--socket", r.socket, "--end-with-parent", "--log-level", "warn")
	r.cmd.Env = append(commandEnvironment(os.Environ()), "NOTIFY_SOCKET="+ready.path, bootstrap.EnvRegistry+"=")
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
	return r.await(ctx, ready.ready)
}

func (r *privateRegistry) await(ctx context.Context, ready <-chan struct{}) error {
	select {
	case <-ready:
		return nil
	case <-r.done:
		return fmt.Errorf("private registry: %s ended before it was ready: %v", r.cmd.Path, exitText(r.err))
	case <-ctx.Done():
		return fmt.Errorf("private registry: %s was not ready in time: %w", r.cmd.Path, ctx.Err())
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

// notifier is the receiving end of sd_notify: xpcd says READY=1 to it.
type notifier struct {
	path  string
	conn  *net.UnixConn
	ready chan struct{}
	gone  chan struct{}
}

func newNotifier(path string) (*notifier, error) {
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	n := &notifier{path: path, conn: conn, ready: make(chan struct{}), gone: make(chan struct{})}
	go n.read() // ends when close closes the socket, and close waits for it
	return n, nil
}

func (n *notifier) read() {
	defer close(n.gone)
	b := make([]byte, 4096)
	for {
		size, err := n.conn.Read(b)
		if err != nil {
			return
		}
		if bytes.Contains(append([]byte("\n"), b[:size]...), []byte("\nREADY=1")) {
			close(n.ready)
			return
		}
	}
}

func (n *notifier) close() {
	n.conn.Close()
	<-n.gone
	os.Remove(n.path)
}
