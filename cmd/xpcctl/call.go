package main

import (
	"github.com/spf13/cobra"

	"github.com/openxpc/openxpc/cmd/xpcctl/internal/value"
	"github.com/openxpc/openxpc/xpc"
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
		Args:              atLeast(1),
		ValidArgsFunction: t.complete(serviceNames),
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

// arguments reads what follows the name; both are counted from 1.
func arguments(args []string) (*xpc.Dictionary, error) {
	if err := checkName(args[0]); err != nil {
		return nil, err
	}
	return value.Dictionary(args[1:], 2)
}
