package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/openxpc/openxpc/cmd/xpcctl/internal/value"
	"github.com/openxpc/openxpc/xpc"
)

func (t *tool) listenCommand() *cobra.Command {
	var echo bool
	var count int
	c := &cobra.Command{
		Use:   "listen NAME",
		Short: "Provide a service that prints what it is sent",
		Long: `listen registers NAME, prints each message with its sender, and goes on until
SIGINT or SIGTERM, or until --count messages have come.

With --echo each request is answered with its own content. Without it requests
stay unanswered: their senders see the connection interrupted.`,
		Example: `  xpcctl listen --echo com.example.test &
  xpcctl wait com.example.test
  xpcctl call com.example.test greeting=hello`,
		Args: exactly(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkName(args[0]); err != nil {
				return err
			}
			ctx, cancel := c.Context(), context.CancelFunc(func() {})
			if c.Flags().Changed("timeout") {
				ctx, cancel = t.deadline(ctx)
			}
			defer cancel()
			l := &listening{tool: t, echo: echo, left: count, over: make(chan error, 1)}
			return l.serve(ctx, args[0])
		},
	}
	c.Flags().BoolVar(&echo, "echo", false, "reply to each request with its own content")
	c.Flags().IntVar(&count, "count", 0, "end after this `number` of messages; 0 means never")
	return c
}

// listening is the service of xpcctl listen. Every handler runs on one serial
// queue, so left and output need no lock.
type listening struct {
	tool *tool
	echo bool
	left int
	over chan error // holds the first reason to stop
}

func (l *listening) serve(ctx context.Context, name string) error {
	queue := xpc.NewQueue("org.openxpc.xpcctl.listen")
	conn := xpc.NewMachServiceConnection(name, queue, xpc.MachServiceListener)
	conn.SetEventHandler(func(event xpc.Object) {
		switch event := event.(type) {
		case *xpc.Connection:
			l.accept(event, queue)
		case *xpc.Error:
			l.stop(fmt.Errorf("cannot listen on %q: %w", name, whyInvalid(conn)))
		}
	})
	conn.Activate()
	defer hangUp(conn)
	select {
	case err := <-l.over:
		return err
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.Canceled) {
			return nil // ended by a signal, which is how it is meant to end
		}
		return ctx.Err()
	}
}

func (l *listening) accept(peer *xpc.Connection, queue *xpc.Queue) {
	peer.SetTargetQueue(queue)
	peer.SetEventHandler(func(event xpc.Object) {
		if message, ok := event.(*xpc.Dictionary); ok {
			l.receive(peer, message)
		}
	})
	peer.Activate()
}

func (l *listening) receive(peer *xpc.Connection, message *xpc.Dictionary) {
	if err := l.print(peer, message); err != nil {
		l.stop(err)
	}
	if l.echo {
		echoTo(peer, message)
	}
	l.counted(peer)
}

// echoTo replies, if a reply is wanted. CreateReply is only for those who mean to
// reply: an unsent reply keeps the sender waiting.
func echoTo(peer *xpc.Connection, message *xpc.Dictionary) {
	reply := message.CreateReply()
	if reply == nil {
		return
	}
	for key, o := range message.All() {
		reply.Set(key, o)
	}
	peer.SendMessage(reply)
}

// counted ends the service after the last message, but not before its reply has
// left, or at least the word that the connection was taken.
func (l *listening) counted(peer *xpc.Connection) {
	if l.left--; l.left == 0 {
		peer.SendBarrier(func() { l.stop(nil) })
	}
}

func (l *listening) stop(err error) {
	select {
	case l.over <- err:
	default:
	}
}

func (l *listening) print(peer *xpc.Connection, message *xpc.Dictionary) error {
	if l.tool.json {
		d := versioned()
		d.SetInt64("pid", int64(peer.PID()))
		d.SetInt64("uid", int64(peer.EUID()))
		d.Set("message", xpc.Copy(message))
		return l.tool.printJSON(d)
	}
	text := fmt.Appendf(nil, "message from pid %d uid %d\n", peer.PID(), peer.EUID())
	_, err := l.tool.out.Write(value.AppendText(text, message))
	return err
}
