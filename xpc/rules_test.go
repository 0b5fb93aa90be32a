package xpc

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openxpc/openxpc/credentials"
	"github.com/openxpc/openxpc/transport"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// Rules of docs/semantics.md that no other test is about. They run over real
// sockets within this process: what an endpoint leads to needs a kernel.

// rulePatience bounds every wait of these tests; nothing is expected to take as long.
const rulePatience = 30 * time.Second

func ruleContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), rulePatience)
	t.Cleanup(cancel)
	return ctx
}

// endpointClient is a connection to ep whose events come through the channel.
func endpointClient(t *testing.T, ep *Endpoint) (*Connection, <-chan Object) {
	t.Helper()
	return activated(t, NewConnectionFromEndpoint(ep))
}

// activated gives a connection a handler and activates it; it ends with the test.
func activated(t *testing.T, c *Connection) (*Connection, <-chan Object) {
	t.Helper()
	events := make(chan Object, 16)
	c.SetEventHandler(func(o Object) { events <- o })
	c.Activate()
	t.Cleanup(func() {
		c.Cancel()
		<-c.Done()
	})
	return c, events
}

func receive(t *testing.T, why string, from <-chan Object) Object {
	t.Helper()
	select {
	case o := <-from:
		return o
	case <-time.After(rulePatience):
		t.Fatalf("%s: nothing came", why)
		return nil
	}
}

// receiver is an anonymous listener whose peers hand their messages to got.
func receiver(t *testing.T, got Handler) (*Connection, *Endpoint) {
	t.Helper()
	l := NewConnection("", nil)
	l.SetEventHandler(func(o Object) {
		if p, ok := o.(*Connection); ok {
			p.SetEventHandler(got)
			p.Activate()
		}
	})
	l.Activate()
	t.Cleanup(func() {
		l.Cancel()
		<-l.Done()
	})
	return l, NewEndpoint(l)
}

// R32, R38, R108: a listener that is put into a container is an endpoint there,
// and each time it is taken out there is a new connection, inactive and without a name.
func TestR038_AConnectionInAContainer(t *testing.T) {
	l, _ := echoListener(t)
	d, a := NewDictionary(), NewArray()
	d.SetConnection("door", l)
	a.AppendConnection(l)
	if d.Get("door").Type() != TypeEndpoint || a.Get(0).Type() != TypeEndpoint {
		t.Fatal("a connection travels as an endpoint")
	}
	made := []*Connection{d.CreateConnection("door"), d.CreateConnection("door"), a.CreateConnection(0), a.CreateConnection(0)}
	for i, c := range made {
		if c == nil || slices.Index(made, c) != i {
			t.Fatalf("each taking out makes a connection of its own: %v", made)
		}
		if c.Name() != "" {
			t.Errorf("a connection from an endpoint has the name %q (R90)", c.Name())
		}
		activated(t, c) // it was inactive, else this could not set a handler in time
		if _, err := c.SendMessageWithReplySync(ruleContext(t), NewDictionary()); err != nil {
			t.Errorf("connection %d: %v", i, err)
		}
	}
	client := NewConnectionFromEndpoint(NewEndpoint(l))
	mustPanic(t, "only a listener can be put into a message (R108)", "not a listener", func() { d.SetConnection("no", client) })
	client.Cancel()
	<-client.Done()
}

// R109: the connections of an anonymous listener end with it, on both sides, the
// client's with INVALID alone: there is nothing to go back to.
func TestR109_AnonymousListenerCancelled(t *testing.T) {
	atServer := make(chan Object, 16)
	l, ep := receiver(t, func(o Object) { atServer <- o })
	c, events := endpointClient(t, ep)
	c.SendMessage(NewDictionary())
	if _, ok := receive(t, "the peer is there", atServer).(*Dictionary); !ok {
		t.Fatal("want the message first")
	}
	l.Cancel()
	if o := receive(t, "its peer", atServer); o != Object(ErrConnectionInvalid) {
		t.Errorf("the accepted peer got %v, want INVALID", o)
	}
	for {
		o := receive(t, "the client", events)
		if o == Object(ErrConnectionInvalid) {
			break
		}
		// The socket may end a moment before the listener does: R124 allows both.
		if o != Object(ErrConnectionInterrupted) {
			t.Fatalf("the client got %v", o)
		}
		c.SendMessage(NewDictionary())
	}
}

// R71, R75: without a queue handlers run on the default one, which is concurrent:
// two connections' handlers can be inside at once.
func TestR071_NoQueueIsTheDefaultQueue(t *testing.T) {
	if DefaultQueue() != orDefault(nil) {
		t.Error("a nil queue stands for another than DefaultQueue")
	}
	var both sync.WaitGroup
	both.Add(2)
	_, ep := receiver(t, func(o Object) {
		if _, ok := o.(*Dictionary); ok {
			both.Done()
			both.Wait() // for the other connection's handler, which has to run meanwhile
		}
	})
	for range 2 {
		c, _ := endpointClient(t, ep)
		c.SendMessage(NewDictionary())
	}
	met := make(chan Object)
	go func() { both.Wait(); close(met) }()
	receive(t, "two handlers at once on the default queue", met)
}

// R106, R162, R196, R200: a peer's credentials are there before its first message
// is handled, and a message has a sender of its own; here both are this process.
func TestR200_AMessageHasASender(t *testing.T) {
	type seen struct {
		peer   int
		sender credentials.Credentials
	}
	got := make(chan seen, 1)
	_, ep := receiver(t, func(o Object) {
		if m, ok := o.(*Dictionary); ok {
			got <- seen{m.RemoteConnection().PID(), m.Sender()}
		}
	})
	c, _ := endpointClient(t, ep)
	c.SendMessage(NewDictionary())
	select {
	case s := <-got:
		if s.peer != os.Getpid() {
			t.Errorf("the peer is pid %d, want this process (R106)", s.peer)
		}
		if s.sender != credentials.Unknown() && s.sender.PID != os.Getpid() {
			t.Errorf("the message's sender is %v, want this process, or unknown where the kernel does not say", s.sender)
		}
	case <-time.After(rulePatience):
		t.Fatal("no message came")
	}
	if s := NewDictionary().Sender(); s != credentials.Unknown() {
		t.Errorf("a dictionary that nobody sent has the sender %v", s)
	}
}

// R51: both ways to name a service ask the registry: there are no private ones.
func TestR051_BothConstructorsAskTheRegistry(t *testing.T) {
	t.Setenv(bootstrap.EnvRegistry, t.TempDir()+"/nobody.sock")
	for why, c := range map[string]*Connection{
		"NewConnection":            NewConnection("com.example.nobody", nil),
		"NewMachServiceConnection": NewMachServiceConnection("com.example.nobody", nil, 0),
	} {
		c, events := activated(t, c)
		if o := receive(t, why, events); o != Object(ErrConnectionInvalid) {
			t.Errorf("%s: got %v, want INVALID: no registry answers", why, o)
		}
		if err := c.invalidBecause(); err == nil || c.Name() != "com.example.nobody" {
			t.Errorf("%s: reason %v, name %q", why, err, c.Name())
		}
	}
}

// R8, R16, R69: more releases than retains are misuse, in Apple's words, which can
// be asked for afterwards. A dictionary that was not received has no count.
func TestR008_OverRelease(t *testing.T) {
	done := make(chan Object, 1)
	_, ep := receiver(t, func(o Object) {
		m, ok := o.(*Dictionary)
		if !ok {
			return
		}
		m.Retain().Release()
		mustPanic(t, "one release too many", "Over-release of object.", func() { m.Release() })
		if want := "XPC API Misuse: Over-release of object."; MisuseInfo() != want {
			t.Errorf("MisuseInfo is %q, want %q", MisuseInfo(), want)
		}
		done <- m
	})
	c, _ := endpointClient(t, ep)
	c.SendMessage(NewDictionary())
	receive(t, "the message", done)
	NewDictionary().Release()
}

// R112: Main is for processes that were launched for one name.
func TestR112_MainOutsideAServiceIsMisuse(t *testing.T) {
	t.Setenv(bootstrap.EnvServiceName, "")
	mustPanic(t, "nobody launched this process", "did not launch for one name", func() { Main(func(*Connection) {}) })
}

// mainVariable makes TestR112_MainServesOneName a service in a process of its own.
const mainVariable = "XPC_TEST_MAIN"

// R112: Main serves the name that its process was launched for. The registry is
// played by this test: whoever checks in gets the socket.
func TestR112_MainServesOneName(t *testing.T) {
	if os.Getenv(mainVariable) != "" {
		Main(func(p *Connection) {
			p.SetEventHandler(func(o Object) {
				m, _ := o.(*Dictionary)
				if reply := m.CreateReply(); reply != nil {
					reply.SetInt64("pid", int64(os.Getpid()))
					p.SendMessage(reply)
				}
			})
			p.Activate()
		})
	}
	dir := t.TempDir()
	service := filepath.Join(dir, "service")
	playRegistry(t, filepath.Join(dir, "registry"), "com.example.main", listening(t, service))
	cmd := startMain(t, "com.example.main")
	c, _ := endpointClient(t, NewEndpointFromFD(-1, service))
	reply, err := c.SendMessageWithReplySync(ruleContext(t), NewDictionary())
	if err != nil || reply.GetInt64("pid") != int64(cmd.Process.Pid) {
		t.Errorf("got %v, %v, want the answer of pid %d", reply, err, cmd.Process.Pid)
	}

	var stderr strings.Builder
	refused := mainCommand("com.example.other")
	refused.Stderr = &stderr
	err = refused.Run()
	if refused.ProcessState.ExitCode() != 1 || !strings.Contains(stderr.String(), "xpc: cannot serve com.example.other: ") {
		t.Errorf("Main that may not serve: got %v and %q, want status 1 and the reason", err, stderr.String())
	}
}

func mainCommand(name string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], "-test.run=^TestR112_MainServesOneName$")
	cmd.Env = append(os.Environ(), mainVariable+"=1", bootstrap.EnvServiceName+"="+name)
	return cmd
}

func startMain(t *testing.T, name string) *exec.Cmd {
	t.Helper()
	cmd := mainCommand(name)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return cmd
}

// listening is a listening socket at path; it is closed with the test.
func listening(t *testing.T, path string) *os.File {
	t.Helper()
	fd, err := transport.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), path)
	t.Cleanup(func() { f.Close() })
	return f
}

// playRegistry answers check-ins at path: socket for name, a refusal for others.
func playRegistry(t *testing.T, path, name string, socket *os.File) {
	t.Helper()
	t.Setenv(bootstrap.EnvRegistry, path)
	l := NewConnectionFromListener(listening(t, path), nil)
	l.SetEventHandler(func(o Object) {
		p, ok := o.(*Connection)
		if !ok {
			return
		}
		p.SetEventHandler(func(o Object) {
			m, _ := o.(*Dictionary)
			reply := m.CreateReply()
			if reply == nil {
				return
			}
			if m.GetString(bootstrap.KeyOp) == bootstrap.OpCheckIn && m.GetString(bootstrap.KeyName) == name {
				reply.SetFD(bootstrap.KeyListener, int(socket.Fd()))
			} else {
				reply.SetInt64(bootstrap.KeyError, int64(bootstrap.NotPrivileged))
			}
			p.SendMessage(reply)
		})
		p.Activate()
	})
	activatedAsIs(t, l)
}

// R100: a listener has nobody to speak to, and hears nothing but peers.
func TestR100_AListenerSendsNothing(t *testing.T) {
	l, _ := echoListener(t)
	l.SendMessage(NewDictionary())
	if _, err := l.SendMessageWithReplySync(ruleContext(t), NewDictionary()); sayingOfCall(err) != "Connection invalid" {
		t.Errorf("a call on a listener: got %v, want INVALID", err)
	}
}

func sayingOfCall(err error) string {
	if e, ok := err.(*ConnectionError); ok {
		return e.Event.Error()
	}
	return "no ConnectionError"
}

// R157: a reply leaves where it was sent, between what was sent before and after.
func TestR157_AReplyLeavesInOrder(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		r.onRequest(func(m *Dictionary) {
			reply := m.CreateReply()
			reply.SetString("says", "answer")
			r.send("before")
			r.c.SendMessage(reply)
			r.send("after")
		})
		r.open()
		id := r.p().ask("x")
		r.want("R157, R78", fmt.Sprintf("frames: message before, reply %d answer, message after; events: x", id))
	})
}

// R105: an accepted peer speaks both ways: the service sends first, and asks.
func TestR105_PeersAreBidirectional(t *testing.T) {
	answered := make(chan Object, 1)
	l := NewConnection("", nil)
	l.SetEventHandler(func(o Object) {
		p, ok := o.(*Connection)
		if !ok {
			return
		}
		p.SetEventHandler(func(Object) {})
		m := NewDictionary()
		m.SetString("question", "who are you?")
		p.SendMessageWithReply(m, nil, func(o Object) { answered <- o }) // R55: waits for the activation
		p.Activate()
	})
	activatedAsIs(t, l)
	c := NewConnectionFromEndpoint(NewEndpoint(l))
	c.SetEventHandler(func(o Object) {
		m, _ := o.(*Dictionary)
		if reply := m.CreateReply(); reply != nil {
			reply.SetString("answer", "the client")
			c.SendMessage(reply)
		}
	})
	activatedAsIs(t, c)
	c.SendMessage(NewDictionary())
	if m, ok := receive(t, "the client's answer", answered).(*Dictionary); !ok || m.GetString("answer") != "the client" {
		t.Errorf("the service asked the client and got %v", m)
	}
}

// activatedAsIs activates a connection that has its handler; it ends with the test.
func activatedAsIs(t *testing.T, c *Connection) {
	t.Helper()
	c.Activate()
	t.Cleanup(func() {
		c.Cancel()
		<-c.Done()
	})
}

// R104: the program need not hold on to a peer: it lives until its INVALID.
func TestR104_PeersLiveWithoutBeingHeld(t *testing.T) {
	atServer := make(chan Object, 1)
	_, ep := receiver(t, func(o Object) { atServer <- o })
	c, _ := endpointClient(t, ep)
	for range 2 {
		c.SendMessage(NewDictionary())
		receive(t, "a message", atServer)
		runtime.GC() // takes a peer that nothing refers to
	}
	c.Cancel()
	if o := receive(t, "the end", atServer); o != Object(ErrConnectionInvalid) {
		t.Errorf("the last event is %v, want INVALID", o)
	}
}

// R159: descriptors that nobody takes out of a message are closed with it: here
// the pipe ends when its handler has returned.
func TestR159_UntakenDescriptorsAreClosed(t *testing.T) {
	_, ep := receiver(t, func(Object) {})
	c, _ := endpointClient(t, ep)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	m := NewDictionary()
	m.SetFD("pipe", int(w.Fd()))
	w.Close()
	c.SendMessage(m)
	m.Get("pipe").(*FD).Close() // the sender's box; the message has its own (R26)
	if err := r.SetReadDeadline(time.Now().Add(rulePatience)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("got %v, want the pipe's end", err)
	}
}
