package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

func (t *tool) sendCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "send NAME [key[:type]=value]...",
		Short: "Send a message to a service and ask for no reply",
		Long: `send returns when the message has been written and the service, which is
launched if need be, has taken the connection that it came on. Whether the
service has read it nobody can tell without a reply.` + argumentHelp,
		Example:           `  xpcctl send com.example.log text="disk is full"`,
		Args:              atLeast(1),
		ValidArgsFunction: t.complete(serviceNames),
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

func send(ctx context.Context, name string, message *xpc.Dictionary) error {
	lost := make(chan struct{})
	var once sync.Once
	conn := xpc.NewMachServiceConnection(name, nil, 0)
	conn.SetEventHandler(func(event xpc.Object) {
		if _, ok := event.(*xpc.Error); ok {
			once.Do(func() { close(lost) })
		}
	})
	conn.Activate()
	defer hangUp(conn)
	if err := conn.Send(ctx, message); err != nil {
		return err
	}
	written := make(chan struct{})
	conn.SendBarrier(func() { close(written) })
	select {
	case <-written: // or thrown away; then the connection was never taken
	case <-ctx.Done():
		return ctx.Err()
	}
	return taken(ctx, conn, lost)
}

// takenPause lies between two looks whether the service has answered the
// connection: no event tells.
const takenPause = time.Millisecond

// taken waits until the other side is known, which it is from its first answer
// on. What happens to the service after that is not the message's business.
func taken(ctx context.Context, conn *xpc.Connection, lost <-chan struct{}) error {
	tick := time.NewTicker(takenPause)
	defer tick.Stop()
	for conn.EUID() == -1 {
		select {
		case <-tick.C:
		case <-lost:
			if conn.EUID() == -1 {
				return whyLost(ctx, conn)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// whyLost finds the cause of a bare event. An invalid connection tells it by the
// error of any call; of an interruption the registry knows whether it was the launch.
func whyLost(ctx context.Context, conn *xpc.Connection) error {
	if conn.InvalidationReason() != "" {
		return whyInvalid(conn)
	}
	reply, err := ask(ctx, request(bootstrap.OpPrint, bootstrap.KeyName, conn.Name()))
	if err != nil {
		return xpc.ErrConnectionInterrupted // the registry's "no" is not what went wrong
	}
	job := reply.GetDictionary(bootstrap.KeyJob)
	if failure := job.GetString("last failure"); failure != "" {
		err := fmt.Errorf("%w: job %s: %s", xpc.ErrConnectionInterrupted, job.GetString(bootstrap.KeyLabel), failure)
		return &statusError{code: exitLaunch, err: err}
	}
	return xpc.ErrConnectionInterrupted
}

// whyInvalid is the error that ended an invalid connection: every call gives it.
func whyInvalid(c *xpc.Connection) error {
	return c.Send(context.Background(), xpc.NewDictionary())
}
