package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// site is where a run takes place: a folder of its own, and the programs built
// for it. Only the orchestrator's main goroutine uses it.
type site struct {
	dir      string
	self     string // this executable
	built    map[string]string
	children []*child
}

func newSite() (*site, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "xpcbench-")
	if err != nil {
		return nil, err
	}
	return &site{dir: dir, self: self, built: map[string]string{}}, nil
}

// close ends what was started and removes the folder.
func (s *site) close() {
	for i := len(s.children) - 1; i >= 0; i-- {
		s.children[i].stop()
	}
	os.RemoveAll(s.dir)
}

// closeOnSignal: what was started ends with this process, the folder does not.
func (s *site) closeOnSignal() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() { // ends the process, or with it
		<-signals
		os.RemoveAll(s.dir)
		os.Exit(130)
	}()
}

// build makes a Go program of the module in dir, once.
func (s *site) build(name, dir, pkg string) (string, error) {
	return s.once(name, "go", "build", "-C", dir, "-o", filepath.Join(s.dir, name), pkg)
}

// service is our echo service: a small program, as services are, and not this
// one, whose dependencies all want to be started.
func (s *site) service() (string, error) { return s.build("service", ".", "./service") }

// compile makes a program of c/NAME.c, once; without a compiler it is skipped.
func (s *site) compile(name string, flags ...string) (string, error) {
	if _, err := exec.LookPath("gcc"); err != nil {
		return "", skip("gcc is not installed")
	}
	args := append([]string{"gcc", "-O2", "-o", filepath.Join(s.dir, name), filepath.Join("c", name+".c")}, flags...)
	return s.once(name, args...)
}

func (s *site) once(name string, command ...string) (string, error) {
	if path := s.built[name]; path != "" {
		return path, nil
	}
	cmd := exec.Command(command[0], command[1:]...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("bench: %v: %w\n%s", command, err, out)
	}
	s.built[name] = filepath.Join(s.dir, name)
	return s.built[name], nil
}

// await returns when somebody accepts connections at a socket.
func (s *site) await(socket string) error {
	var err error
	for start := time.Now(); time.Since(start) < patience; time.Sleep(5 * time.Millisecond) {
		var c net.Conn
		if c, err = net.Dial("unix", socket); err == nil {
			return c.Close()
		}
	}
	return fmt.Errorf("bench: nobody listens at %s: %w", socket, err)
}

// child is a process of the comparison.
type child struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	lines  chan []byte // of its standard output; closed at its end
	errors tail        // its standard error
}

// start runs a program that ends with us, however that happens.
func (s *site) start(env []string, program string, args ...string) (*child, error) {
	return s.startAs(dieWithParent(), env, program, args...)
}

// startGently runs a program that sees to its end itself when its standard input
// ends, and has something to clean up then. It is in a process group of its own,
// so that what ends ours leaves it the time.
func (s *site) startGently(program string, args ...string) (*child, error) {
	return s.startAs(&syscall.SysProcAttr{Setpgid: true}, nil, program, args...)
}

func (s *site) startAs(attr *syscall.SysProcAttr, env []string, program string, args ...string) (*child, error) {
	c := &child{cmd: exec.Command(program, args...), lines: make(chan []byte)}
	c.cmd.Env = append(os.Environ(), env...)
	c.cmd.Stderr = &c.errors
	c.cmd.SysProcAttr = attr
	var err error
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	s.children = append(s.children, c)
	go func() { // ends with the child's output, which stop brings about
		defer close(c.lines)
		r := bufio.NewReader(out)
		for {
			line, err := r.ReadBytes('\n')
			if err != nil {
				return
			}
			c.lines <- line
		}
	}()
	return c, nil
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// stop may be called again.
func (c *child) stop() {
	c.in.Close()
	end := time.AfterFunc(2*time.Second, func() { c.cmd.Process.Kill() })
	defer end.Stop()
	if c.cmd.ProcessState != nil {
		return
	}
	for range c.lines {
	}
	c.cmd.Wait()
}

var errNoAnswer = errors.New("no answer in time")

func (c *child) line(wait time.Duration) ([]byte, error) {
	select {
	case line, ok := <-c.lines:
		if !ok {
			return nil, fmt.Errorf("bench: %s ended: %s", filepath.Base(c.cmd.Path), c.errors.lastLine())
		}
		return line, nil
	case <-time.After(wait):
		return nil, errNoAnswer
	}
}

// tail keeps the end of what is written to it. Any number of goroutines may use it.
type tail struct {
	mu  sync.Mutex
	end []byte
}

// tailSize is enough for a reason.
const tailSize = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end = append(t.end, p...)
	t.end = t.end[max(0, len(t.end)-tailSize):]
	return len(p), nil
}

func (t *tail) lastLine() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := bytes.TrimSpace(t.end)
	return string(b[bytes.LastIndexByte(b, '\n')+1:])
}

// ready waits for the line by which servers say that they serve.
func (c *child) ready() error {
	_, err := c.line(patience)
	return err
}

// running is a system under test: its processes.
type running struct {
	peer    *peer
	addr    string
	brokers []*child // daemons in between, or that own the name
	server  int      // process id; 0 not known
	client  *child
	broken  error // why it is not asked any more
}

// launch starts p's server and client.
func launch(s *site, p *peer) (*running, error) {
	r := &running{peer: p, addr: filepath.Join(s.dir, p.key+".sock")}
	var err error
	if p.prepare != nil {
		if r.addr, err = p.prepare(s, r); err != nil {
			return nil, err
		}
	}
	program, args := s.self, []string{p.key}
	if p.program != nil {
		if program, err = p.program(s); err != nil {
			return nil, err
		}
		args = nil
	}
	if p.serve != nil || p.program != nil {
		server, err := s.start(nil, program, arguments("serve", args, r.addr)...)
		if err != nil {
			return nil, err
		}
		if err := server.ready(); err != nil {
			return nil, err
		}
		r.server = server.pid()
	}
	env := []string{envProgram + "=" + s.built["service"]}
	if r.client, err = s.start(env, program, arguments("client", args, r.addr)...); err != nil {
		return nil, err
	}
	return r, nil
}

func arguments(role string, key []string, addr string) []string {
	return append(append([]string{role}, key...), addr)
}

// ask has the client carry out a command. A system that does not answer is not
// asked again.
func (r *running) ask(cmd command) (outcome, error) {
	if r.broken != nil {
		return outcome{}, r.broken
	}
	var o outcome
	if _, err := fmt.Fprintln(r.client.in, cmd); err != nil {
		r.broken = fmt.Errorf("bench: %s: %w: %s", r.peer.key, err, r.client.errors.lastLine())
		return o, r.broken
	}
	line, err := r.client.line(time.Duration(cmd.ms)*time.Millisecond + 2*patience)
	if err == nil {
		err = json.Unmarshal(line, &o)
	}
	if err != nil {
		r.broken = fmt.Errorf("%v: %w", cmd, err)
		return o, r.broken
	}
	if o.Error != "" {
		return outcome{}, errors.New(o.Error)
	}
	return o, nil
}

// serverPID asks the client who serves it where we did not start the server
// ourselves: the service that xpcd launched.
func (r *running) serverPID() (int, error) {
	if r.server != 0 {
		return r.server, nil
	}
	o, err := r.ask(command{work: "pid", size: 64})
	if err != nil {
		return 0, err
	}
	return o.Server.PID, nil
}
