package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

func (t *tool) procinfoCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "procinfo PID",
		Short: "Describe a process: who it is, which job's, which names it registered",
		Long: `procinfo prints what the system tells of a process (on Linux; elsewhere only
whether it is there), and what the nearest registry knows of it, if one answers.`,
		Example: "  xpcctl procinfo 4190",
		Args:    exactly(1),
		RunE: func(c *cobra.Command, args []string) error {
			pid, err := strconv.ParseUint(args[0], 10, 31)
			if err != nil || pid == 0 {
				return usageOf(c, quoted(args[0])+" is no process id")
			}
			ctx, cancel := t.deadline(c.Context())
			defer cancel()
			info, err := procinfo(ctx, int(pid))
			if err != nil {
				return err
			}
			if !t.json {
				return t.printBlock(args[0], info)
			}
			d := versioned()
			d.Set("process", info)
			return t.printJSON(d)
		},
	}
}

func procinfo(ctx context.Context, pid int) (*xpc.Dictionary, error) {
	if err := unix.Kill(pid, 0); errors.Is(err, unix.ESRCH) {
		return nil, &statusError{code: exitUnknownName, err: fmt.Errorf("there is no process %d", pid)}
	}
	info := xpc.NewDictionary()
	info.SetInt64("pid", int64(pid))
	processFacts(pid, info)
	reply, err := ask(ctx, request(bootstrap.OpList))
	if errors.Is(err, xpc.ErrNoRegistry) {
		return info, nil
	}
	if err != nil {
		return nil, err
	}
	for job := range dictionaries(reply.GetArray(bootstrap.KeyJobs)) {
		if job.GetInt64(bootstrap.KeyPID) == int64(pid) {
			info.SetString("job", job.GetString(bootstrap.KeyLabel))
		}
	}
	names := xpc.NewArray()
	for name := range dictionaries(reply.GetArray(bootstrap.KeyNames)) {
		if name.GetInt64(bootstrap.KeyPID) == int64(pid) {
			names.AppendString(name.GetString(bootstrap.KeyName))
		}
	}
	info.Set("names", names)
	return info, nil
}
