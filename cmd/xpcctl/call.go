package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/openxpc/openxpc/cmd/xpcctl/internal/value"
	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

const argumentHelp = `

Arguments are key=value or key:type=value. Types: null bool int64 uint64 double
date (RFC 3339 or now) data (base64, or @file) string uuid fd (path of a file,
opened for reading) array dictionary (JSON). Without a type an integer is an
int64, a decimal number a double, true and false a bool, anything else a string.
An argument that starts with { is a dictionary as JSON.`

func (t *tool) callCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "call NAME [key[:type]=value]...",
		Short: "Send a request to a service and print its reply",
		Long:  `call sends one dictionary to a service, which is launched if need be, and prints the dictionary that it replies, every value with its type.` + argumentHelp,
		Example: `  xpcctl call com.example.echo greeting=hello n:int64=-5 u:uint64=5
  xpcctl call com.example.echo file:fd=/etc/hostname
  xpcctl call --json com.example.echo '{"list":[1,2,{"$uint64":3}]}'`,
		Args: atLeast(1),
		RunE: func(c *cobra.Command, args []string) error {
			message, err := arguments(args)
			if err != nil {
				return err
			}
			ctx, cancel := t.deadline(c.Context())
			defer cancel()
			conn := dial(args[0])
			defer hangUp(conn)
			reply, err := conn.SendMessageWithReplySync(ctx, message)
			if err != nil {
				return err
			}
			return t.printMessage(reply)
		},
	}
	return c
}

func (t *tool) sendCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "send NAME [key[:type]=value]...",
		Short:   "Send a message to a service and ask for no reply",
		Long:    `send returns when the message has been handed to the service's socket; whether the service has read it nobody can tell without a reply.` + argumentHelp,
		Example: `  xpcctl send com.example.log text="disk is full"`,
		Args:    atLeast(1),
		RunE: func(c *cobra.Command, args []string) error {
			message, err := arguments(args)
			if err != nil {
				return err
			}
			ctx, cancel := t.deadline(c.Context())
			defer cancel()
			return send(ctx, args[0], message)
		},
	}
}

// arguments reads what follows the name; both are counted from 1.
func arguments(args []string) (*xpc.Dictionary, error) {
	if err := bootstrap.CheckName(args[0]); err != nil {
		return nil, &statusError{code: exitUsage, err: err}
	}
	return value.Dictionary(args[1:], 2)
}

// send waits behind a barrier, which runs when the message has been written or
// thrown away. Whether the connection is invalid at that moment says which: what
// happens to the service later is not the message's business.
func send(ctx context.Context, name string, message *xpc.Dictionary) error {
	interrupted := make(chan error, 1)
	conn := xpc.NewMachServiceConnection(name, nil, 0)
	conn.SetEventHandler(func(event xpc.Object) {
		if event == xpc.ErrConnectionInterrupted {
			select {
			case interrupted <- xpc.ErrConnectionInterrupted:
			default:
			}
		}
	})
	conn.Activate()
	defer hangUp(conn)
	if err := conn.Send(ctx, message); err != nil {
		return err
	}
	lost := make(chan bool, 1)
	conn.SendBarrier(func() { lost <- conn.InvalidationReason() != "" })
	select {
	case lost := <-lost:
		if lost {
			return whyInvalid(conn)
		}
	case <-ctx.Done():
		return ctx.Err()
	}
	hangUp(conn)
	select {
	case err := <-interrupted:
		return err
	default:
		return nil
	}
}

// whyInvalid is the cause that ended an invalid connection. The event is a bare
// constant; an attempt to send tells the rest.
func whyInvalid(c *xpc.Connection) error {
	return c.Send(context.Background(), xpc.NewDictionary())
}
