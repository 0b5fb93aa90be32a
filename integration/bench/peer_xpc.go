package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// xpcPeer is this project: a service behind xpcd, called by name.
var xpcPeer = &peer{
	key: ours, name: "OpenXPC", note: "a named service behind xpcd: look-up, framing, types and credentials included",
	prepare: startXPC, dial: dialName(serviceName),
}

const serviceName = "org.openxpc.bench"

// patience bounds what is waited for; what takes as long is broken.
const patience = 30 * time.Second

// startXPC starts a registry that knows the service. Nothing of the service runs
// until the client's first message.
func startXPC(s *site, r *running) (string, error) {
	service, err := s.service()
	if err != nil {
		return "", err
	}
	job := filepath.Join(s.dir, "job.json")
	// Without a throttle a service that was killed is launched again at once.
	text := fmt.Sprintf(`{"Label":%q,"Program":%q,"MachServices":{%q:true},"ThrottleInterval":0}`, serviceName, service, serviceName)
	if err := os.WriteFile(job, []byte(text), 0o600); err != nil {
		return "", err
	}
	return startRegistry(s, r, "registry", "--job", job)
}

// startRegistry starts an xpcd in a folder of its own.
func startRegistry(s *site, r *running, folder string, args ...string) (socket string, err error) {
	xpcd, err := s.build("xpcd", "../..", "./cmd/xpcd")
	if err != nil {
		return "", err
	}
	dir := filepath.Join(s.dir, folder)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	socket = filepath.Join(dir, bootstrap.SocketName)
	d, err := s.startGently(xpcd, append([]string{"--socket", socket, "--end-with-parent", "--log-level", "warn"}, args...)...)
	if err != nil {
		return "", err
	}
	r.brokers = append(r.brokers, d)
	return socket, s.await(socket)
}

type xpcCaller struct {
	conn        *xpc.Connection
	interrupted chan struct{}
}

// dialName takes the registry's socket for an address; the name says the rest.
func dialName(name string) func(addr string) (caller, error) {
	return func(addr string) (caller, error) { return dialXPC(name, addr) }
}

func dialXPC(name, addr string) (caller, error) {
	if err := os.Setenv(bootstrap.EnvRegistry, addr); err != nil {
		return nil, err
	}
	c := &xpcCaller{conn: xpc.NewMachServiceConnection(name, nil, 0), interrupted: make(chan struct{}, 1)}
	c.conn.SetLimits(xpc.Limits{MaxMessageSize: 80 << 20, MaxQueuedBytes: 256 << 20})
	c.conn.SetEventHandler(func(event xpc.Object) {
		if event == xpc.Object(xpc.ErrConnectionInterrupted) {
			select {
			case c.interrupted <- struct{}{}:
			default:
			}
		}
	})
	c.conn.Activate()
	return c, nil
}

func message(p []byte) *xpc.Dictionary {
	m := xpc.NewDictionary()
	m.SetData("p", p)
	return m
}

func (c *xpcCaller) Call(p []byte) ([]byte, error) {
	reply, err := c.conn.SendMessageWithReplySync(context.Background(), message(p))
	if err != nil {
		return nil, err
	}
	return reply.GetData("p"), nil
}

func (c *xpcCaller) CallAsync(p []byte, done func(error)) error {
	c.conn.SendMessageWithReply(message(p), nil, func(reply xpc.Object) {
		err, _ := reply.(*xpc.Error)
		if err != nil {
			done(err)
			return
		}
		done(nil)
	})
	return nil
}

func (c *xpcCaller) Send(p []byte) error { return c.conn.Send(context.Background(), message(p)) }

func (c *xpcCaller) Close() error {
	c.conn.Cancel()
	<-c.conn.Done()
	return nil
}

// callEight calls with the dictionary that the target of allocations speaks of.
func (c *xpcCaller) callEight() error {
	m := xpc.NewDictionary()
	m.SetString("operation", "open")
	m.SetString("path", "/var/lib/example/file")
	m.SetInt64("offset", -1)
	m.SetUint64("size", 4096)
	m.SetBool("create", true)
	m.SetDouble("timeout", 2.5)
	m.SetDate("since", 1)
	m.SetUUID("id", xpc.UUID{1, 2, 3})
	reply, err := c.conn.SendMessageWithReplySync(context.Background(), m)
	if err == nil && reply.GetUint64("size") != 4096 {
		err = fmt.Errorf("bench: the reply is not what was sent: %v", reply)
	}
	return err
}

// awaitCrash returns when the connection has told that the service is gone.
func (c *xpcCaller) awaitCrash() error {
	select {
	case <-c.interrupted:
		return nil
	case <-time.After(patience):
		return fmt.Errorf("bench: no INTERRUPTED in %v after the service was killed", patience)
	}
}
