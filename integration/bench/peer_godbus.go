//go:build !dragonfly

package main

import (
	"github.com/godbus/dbus/v5"

	"github.com/openxpc/openxpc/integration/bench/internal/echo"
)

var godbusPeer = &peer{
	key: "godbus", name: "D-Bus, godbus", note: "through dbus-daemon",
	prepare: startBus,
	serve:   serveBus,
	dial:    dialBus,
}

type busEcho struct{}

// Call is the method that clients call.
func (busEcho) Call(p []byte) ([]byte, *dbus.Error) { return echo.Reply(p), nil }

// Sink is the method that clients call without waiting.
func (busEcho) Sink([]byte) *dbus.Error {
	echo.Sink(1)
	return nil
}

func serveBus(addr string, ready func()) error {
	c, err := dbus.Connect(addr)
	if err != nil {
		return err
	}
	if err := c.Export(busEcho{}, busPath, busInterface); err != nil {
		return err
	}
	if _, err := c.RequestName(busName, dbus.NameFlagDoNotQueue); err != nil {
		return err
	}
	ready()
	<-c.Context().Done()
	return c.Context().Err()
}

type busCaller struct {
	c   *dbus.Conn
	obj dbus.BusObject
}

func dialBus(addr string) (caller, error) {
	c, err := dbus.Connect(addr)
	if err != nil {
		return nil, err
	}
	return &busCaller{c, c.Object(busName, busPath)}, nil
}

func (b *busCaller) Call(p []byte) (reply []byte, err error) {
	err = b.obj.Call(busInterface+"."+echoMethod, 0, p).Store(&reply)
	return reply, err
}

func (b *busCaller) Send(p []byte) error {
	return b.obj.Call(busInterface+"."+sinkMethod, dbus.FlagNoReplyExpected, p).Err
}

func (b *busCaller) Close() error { return b.c.Close() }
