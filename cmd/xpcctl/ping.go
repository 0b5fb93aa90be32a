package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

func (t *tool) pingCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "ping [NAME]",
		Short: "Ask whether the registry, or a service, answers",
		Long: `ping without a name asks the registry. With a name it sends the service, which
is launched if need be, an empty request; a reply counts as an answer, and so
does the word that there will be none.`,
		Example:           "  xpcctl ping\n  xpcctl ping com.example.echo",
		Args:              atMost(1),
		ValidArgsFunction: t.complete(serviceNames),
		RunE: func(c *cobra.Command, args []string) error {
			name, message := bootstrap.RegistryName, request(bootstrap.OpPing)
			if len(args) == 1 {
				name, message = args[0], xpc.NewDictionary()
			}
			if err := checkName(name); err != nil {
				return err
			}
			ctx, cancel := t.deadline(c.Context())
			defer cancel()
			return t.ping(ctx, name, message)
		},
	}
}

func (t *tool) ping(ctx context.Context, name string, message *xpc.Dictionary) error {
	conn := dial(name)
	defer hangUp(conn)
	start := time.Now()
	_, err := conn.SendMessageWithReplySync(ctx, message)
	if err != nil && !errors.Is(err, xpc.ErrDropped) { // dropped by whom? somebody who is there
		return err
	}
	took := time.Since(start)
	if !t.json {
		_, err := fmt.Fprintf(t.out, "%s answered, pid %d, %s\n", name, conn.PID(), took.Round(time.Microsecond))
		return err
	}
	d := versioned()
	d.SetString("name", name)
	d.SetInt64("pid", int64(conn.PID()))
	d.SetInt64("microseconds", took.Microseconds())
	return t.printJSON(d)
}

// waitPause lies between two looks of xpcctl wait: the registry has no way to
// tell when a name appears.
const waitPause = 50 * time.Millisecond

func (t *tool) waitCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "wait NAME",
		Short:             "Wait until a name can be looked up",
		Long:              `wait returns when the registry knows the name. It launches nothing. After --timeout the exit code is 5.`,
		Example:           `  xpcctl listen --echo com.example.test & xpcctl wait com.example.test`,
		Args:              exactly(1),
		ValidArgsFunction: t.complete(serviceNames),
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkName(args[0]); err != nil {
				return err
			}
			ctx, cancel := t.deadline(c.Context())
			defer cancel()
			return wait(ctx, args[0])
		},
	}
}

func wait(ctx context.Context, name string) error {
	conn := dial(bootstrap.RegistryName)
	defer hangUp(conn)
	tick := time.NewTicker(waitPause)
	defer tick.Stop()
	for {
		_, err := askOn(ctx, conn, request(bootstrap.OpLookUp, bootstrap.KeyName, name))
		var no *registryError
		unknown := errors.As(err, &no) && no.code == bootstrap.UnknownService
		if !unknown && ctx.Err() == nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for %q: %w", name, ctx.Err())
		}
	}
}
