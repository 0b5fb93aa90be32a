// Command tour shows what XPC is, step by step, with a real registry, a real
// service and a real crash. Run it with make demo.
//
// It checks every line that it prints: if something is not so, it says what,
// and ends with exit code 1.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

const (
	service  = "com.example.echo"
	patience = 20 * time.Second // for the whole tour; it takes a fraction of that
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	t := &tour{ctx: ctx, interrupted: make(chan struct{}, 1)}
	if err := t.walk(); err != nil {
		fmt.Fprintln(os.Stderr, "tour:", err)
		os.Exit(1)
	}
}

type tour struct {
	ctx         context.Context
	conn        *xpc.Connection
	registry    *xpc.Connection
	interrupted chan struct{} // the event handler has seen INTERRUPTED
}

func (t *tour) walk() error {
	for _, step := range []func() error{t.meetRegistry, t.seeIdleJob, t.call, t.passDescriptor, t.crash, t.callAgain} {
		if err := step(); err != nil {
			return err
		}
	}
	say("")
	say("That was XPC: names instead of processes, launched when needed, and a crash is an event.")
	return t.leave()
}

func say(format string, a ...any) { fmt.Printf(format+"\n", a...) }

// heading starts a step of the story.
func heading(n int, text string) {
	say("")
	say("%d. %s", n, text)
}

func (t *tour) meetRegistry() error {
	heading(1, "A registry is running: it owns the names of services, as launchd does on macOS.")
	t.registry = xpc.NewMachServiceConnection(bootstrap.RegistryName, nil, 0)
	t.registry.SetEventHandler(func(xpc.Object) {})
	t.registry.Activate()
	reply, err := t.ask(bootstrap.OpStatus)
	if err != nil {
		return fmt.Errorf("no registry answers (run this with make demo): %w", err)
	}
	say("   It is pid %d and answers at %s.", reply.GetInt64(bootstrap.KeyPID), reply.GetString(bootstrap.KeyPath))
	return nil
}

// ask sends the registry an operation without arguments.
func (t *tour) ask(op string) (*xpc.Dictionary, error) {
	request := xpc.NewDictionary()
	request.SetString(bootstrap.KeyOp, op)
	reply, err := t.registry.SendMessageWithReplySync(t.ctx, request)
	if err == nil && reply.GetInt64(bootstrap.KeyError) != 0 {
		err = fmt.Errorf("%s: %s", op, reply.GetString(bootstrap.KeyReason))
	}
	return reply, err
}

func (t *tour) seeIdleJob() error {
	heading(2, "A job has been loaded, and nothing of it runs yet. This is what xpcctl list shows:")
	pid, err := t.listed()
	if err != nil {
		return err
	}
	if pid != 0 {
		return fmt.Errorf("%s runs already, as pid %d", service, pid)
	}
	say("   PID   Status   Label")
	say("   -     0        %s", service)
	return nil
}

// listed is the service's pid as the registry lists it, 0 if it does not run.
func (t *tour) listed() (int, error) {
	reply, err := t.ask(bootstrap.OpList)
	if err != nil {
		return 0, err
	}
	if jobs := reply.GetArray(bootstrap.KeyJobs); jobs != nil {
		for _, o := range jobs.All() {
			if job, ok := o.(*xpc.Dictionary); ok && job.GetString(bootstrap.KeyLabel) == service {
				return int(job.GetInt64(bootstrap.KeyPID)), nil
			}
		}
	}
	return 0, fmt.Errorf("the job %s is not loaded", service)
}

func (t *tour) call() error {
	heading(3, "We connect to the name "+service+" and send a message. That launches the service.")
	t.conn = xpc.NewMachServiceConnection(service, nil, 0)
	t.conn.SetEventHandler(t.event)
	t.conn.Activate()
	reply, err := t.greet("hello")
	if err != nil {
		return err
	}
	pid, err := t.listed()
	if err != nil {
		return err
	}
	if pid == 0 || pid != t.conn.PID() {
		return fmt.Errorf("the reply came from pid %d, and the registry launched pid %d", t.conn.PID(), pid)
	}
	say("   The reply: %v", reply)
	say("   It came from pid %d, which the registry has just started.", pid)
	return nil
}

// greet sends a greeting with numbers of two types and checks that all come back.
func (t *tour) greet(greeting string) (*xpc.Dictionary, error) {
	request := xpc.NewDictionary()
	request.SetString("greeting", greeting)
	request.SetInt64("n", -5)
	request.SetUint64("u", 5)
	reply, err := t.conn.SendMessageWithReplySync(t.ctx, request)
	if err != nil {
		return nil, err
	}
	if !xpc.Equal(reply, request) {
		return nil, fmt.Errorf("sent %v, and the echo was %v", request, reply)
	}
	return reply, nil
}

// event runs whenever something happens to the connection that is no reply.
func (t *tour) event(event xpc.Object) {
	if event == xpc.ErrConnectionInterrupted {
		say("   Our event handler is told: %v", event)
		t.interrupted <- struct{}{}
	}
}

func (t *tour) passDescriptor() error {
	heading(4, "A message can carry an open file. The service reads it without knowing any path.")
	const line = "a line that only the holder of this descriptor can read"
	file, err := secretFile(line)
	if err != nil {
		return err
	}
	defer file.Close()
	request := xpc.NewDictionary()
	request.SetFD("file", int(file.Fd()))
	reply, err := t.conn.SendMessageWithReplySync(t.ctx, request)
	if err != nil {
		return err
	}
	if got := string(reply.GetData("file")); got != line {
		return fmt.Errorf("the service read %q, and the file says %q", got, line)
	}
	say("   We deleted the file and sent its descriptor. The service's answer: %q", line)
	return nil
}

// secretFile is a file without a name, at its beginning.
func secretFile(content string) (*os.File, error) {
	dir, err := os.MkdirTemp("", "tour-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file, err := os.Create(filepath.Join(dir, "secret"))
	if err != nil {
		return nil, err
	}
	if _, err = file.WriteString(content); err == nil {
		_, err = file.Seek(0, 0)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

func (t *tour) crash() error {
	heading(5, "Now the service crashes: we send it SIGKILL.")
	if err := syscall.Kill(t.conn.PID(), syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill pid %d: %w", t.conn.PID(), err)
	}
	select {
	case <-t.interrupted:
		say("   Interrupted is not the end: the name is still there, and so is our connection.")
		return nil
	case <-t.ctx.Done():
		return fmt.Errorf("no event came after the crash: %w", t.ctx.Err())
	}
}

func (t *tour) callAgain() error {
	before := t.conn.PID()
	heading(6, "We send the next message on the same connection.")
	reply, err := t.greet("hello again")
	if err != nil {
		return err
	}
	if t.conn.PID() == before {
		return fmt.Errorf("the reply came from pid %d, which was killed", before)
	}
	say("   The reply: %v", reply)
	say("   It came from pid %d: the registry has launched the service again.", t.conn.PID())
	return nil
}

// leave cancels both connections and waits until they have ended.
func (t *tour) leave() error {
	for _, c := range []*xpc.Connection{t.conn, t.registry} {
		c.Cancel()
		select {
		case <-c.Done():
		case <-t.ctx.Done():
			return fmt.Errorf("a cancelled connection did not end: %w", t.ctx.Err())
		}
	}
	return nil
}
