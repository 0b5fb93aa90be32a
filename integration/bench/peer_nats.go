package main

import (
	"fmt"
	"net"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/openxpc/openxpc/integration/bench/internal/echo"
)

var natsPeer = &peer{
	key: "nats", name: "NATS", note: "through nats-server, over TCP on the loopback: it has no Unix sockets; payload limit raised",
	prepare: func(s *site, r *running) (string, error) {
		d, err := s.start(nil, s.self, "serve", natsBroker.key, "-")
		if err != nil {
			return "", err
		}
		r.brokers = append(r.brokers, d)
		line, err := d.line(patience)
		return strings.TrimSpace(string(line)), err
	},
	serve: serveNATS,
	dial:  dialNATS,
}

// natsBroker is the daemon, in a process of its own; it prints its address.
var natsBroker = &peer{
	key: "natsd",
	serve: func(string, func()) error {
		s, err := server.NewServer(&server.Options{
			Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true,
			MaxPayload: natsLimit, MaxPending: 4 * natsLimit,
		})
		if err != nil {
			return err
		}
		go s.Start() // serves until the process ends
		if !s.ReadyForConnections(patience) {
			return fmt.Errorf("bench: nats-server is not ready after %v", patience)
		}
		fmt.Println(s.Addr().(*net.TCPAddr))
		s.WaitForShutdown()
		return nil
	},
}

const (
	natsLimit   = 80 << 20
	natsEcho    = "bench.echo"
	natsDiscard = "bench.sink"
)

func serveNATS(addr string, ready func()) error {
	c, err := nats.Connect(addr)
	if err != nil {
		return err
	}
	if _, err := c.Subscribe(natsEcho, func(m *nats.Msg) { m.Respond(echo.Reply(m.Data)) }); err != nil {
		return err
	}
	sink, err := c.Subscribe(natsDiscard, func(*nats.Msg) { echo.Sink(1) })
	if err == nil {
		err = sink.SetPendingLimits(-1, -1) // else it drops what comes too fast
	}
	if err == nil {
		err = c.Flush()
	}
	if err != nil {
		return err
	}
	ready()
	select {}
}

type natsCaller struct{ c *nats.Conn }

func dialNATS(addr string) (caller, error) {
	c, err := nats.Connect(addr)
	return natsCaller{c}, err
}

func (n natsCaller) Call(p []byte) ([]byte, error) {
	m, err := n.c.Request(natsEcho, p, patience)
	if err != nil {
		return nil, err
	}
	return m.Data, nil
}

func (n natsCaller) Send(p []byte) error { return n.c.Publish(natsDiscard, p) }

func (n natsCaller) Close() error {
	n.c.Close()
	return nil
}
