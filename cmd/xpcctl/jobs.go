package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

func (t *tool) bootstrapCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "bootstrap FILE...",
		Short: "Load jobs from property lists",
		Long: `bootstrap loads each job file. Nothing runs until a client needs one of the
job's names (unless the file says RunAtLoad). Files after the first bad one
are not loaded.`,
		Example:           `  xpcctl bootstrap com.example.echo.plist`,
		Args:              noEmpty(atLeast(1)),
		ValidArgsFunction: jobFiles,
		RunE: func(c *cobra.Command, args []string) error {
			ctx, cancel := t.deadline(c.Context())
			defer cancel()
			conn := dial(bootstrap.RegistryName)
			defer hangUp(conn)
			for _, file := range args {
				if err := t.load(ctx, conn, file); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// load has the registry load one file and prints its label.
func (t *tool) load(ctx context.Context, conn *xpc.Connection, file string) error {
	path, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	reply, err := askOn(ctx, conn, request(bootstrap.OpLoad, bootstrap.KeyPath, path))
	if err != nil {
		return withHint(err, file)
	}
	warnings := reply.GetArray(bootstrap.KeyWarnings)
	if warnings == nil {
		warnings = xpc.NewArray()
	}
	for _, f := range remarks(path).Errors() { // it is loaded, and will not run
		warnings.AppendString(path + ":" + f.String())
	}
	for _, w := range texts(warnings) {
		t.warn("warning: %s", w)
	}
	label := reply.GetString(bootstrap.KeyLabel)
	if !t.json {
		_, err := fmt.Fprintln(t.out, plain(label))
		return err
	}
	d := versioned()
	d.SetString("label", label)
	d.SetString("path", path)
	d.SetArray("warnings", warnings)
	return t.printJSON(d)
}

// withHint says who tells the mistakes that an error only counts.
func withHint(err error, file string) error {
	var no *registryError
	if errors.As(err, &no) && no.code == bootstrap.BadJob && strings.Contains(no.reason, " more). ") {
		no.reason += " xpcctl validate " + plain(file) + " shows all."
	}
	return err
}

func (t *tool) bootoutCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "bootout LABEL",
		Short:             "Stop a job and forget it",
		Long:              `bootout stops the job and returns when its process has ended. Clients of its names see INTERRUPTED, then INVALID.`,
		Example:           `  xpcctl bootout com.example.echo`,
		Args:              noEmpty(exactly(1)),
		ValidArgsFunction: t.complete(labels),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, cancel := t.deadline(c.Context())
			defer cancel()
			_, err := ask(ctx, request(bootstrap.OpUnload, bootstrap.KeyLabel, args[0]))
			return err
		},
	}
}

func (t *tool) printCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "print LABEL|NAME",
		Short:             "Describe a job, found by its label or by one of its names",
		Example:           `  xpcctl print com.example.echo`,
		Args:              noEmpty(exactly(1)),
		ValidArgsFunction: t.complete(labels, serviceNames),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, cancel := t.deadline(c.Context())
			defer cancel()
			job, err := describe(ctx, args[0])
			if err != nil {
				return err
			}
			if !t.json {
				return t.printBlock(args[0], job)
			}
			d := versioned()
			d.Set("job", job)
			return t.printJSON(d)
		},
	}
}

// describe looks for a label first, then for a name.
func describe(ctx context.Context, target string) (*xpc.Dictionary, error) {
	conn := dial(bootstrap.RegistryName)
	defer hangUp(conn)
	reply, err := askOn(ctx, conn, request(bootstrap.OpPrint, bootstrap.KeyLabel, target))
	var no *registryError
	if errors.As(err, &no) && no.code == bootstrap.UnknownService {
		reply, err = askOn(ctx, conn, request(bootstrap.OpPrint, bootstrap.KeyName, target))
	}
	if errors.As(err, &no) && no.code == bootstrap.UnknownService {
		no.reason = fmt.Sprintf("no job has the label or the name %q; xpcctl list shows what is loaded", target)
	}
	if err != nil {
		return nil, err
	}
	job := reply.GetDictionary(bootstrap.KeyJob)
	if job == nil {
		return nil, errors.New("the registry's answer lacks the job")
	}
	return job, nil
}

func (t *tool) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "status",
		Short:   "Describe the registry",
		Example: `  xpcctl status`,
		Args:    exactly(0),
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, cancel := t.deadline(c.Context())
			defer cancel()
			reply, err := ask(ctx, request(bootstrap.OpStatus))
			if err != nil {
				return err
			}
			if !t.json {
				return t.printBlock("registry", reply)
			}
			d := versioned()
			d.Set("registry", reply)
			return t.printJSON(d)
		},
	}
}
