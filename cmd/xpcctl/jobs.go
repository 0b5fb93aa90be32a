package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/openxpc/openxpc/registry"
	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

func (t *tool) bootstrapCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "bootstrap [DOMAIN] FILE...",
		Short: "Load jobs from property lists",
		Long: `bootstrap loads each job file. Nothing runs until a client needs one of the
job's names (unless the file says RunAtLoad). Files after the first bad one
are not loaded. DOMAIN is system, user/UID or gui/UID; without it the nearest
registry loads them.`,
		Example:           "  xpcctl bootstrap com.example.echo.plist\n  xpcctl bootstrap system /etc/xpc/services.d/com.example.echo.plist",
		Args:              noEmpty(atLeast(1)),
		ValidArgsFunction: jobFiles,
		RunE: func(c *cobra.Command, args []string) error {
			g, files := domainFirst(c, args)
			ctx, cancel := t.deadline(c.Context())
			defer cancel()
			var failed error
			conn, err := g.each(ctx, func(conn *xpc.Connection) error {
				if _, err := askOn(ctx, conn, request(bootstrap.OpPing)); err != nil {
					return err
				}
				for _, file := range files {
					if failed = t.load(ctx, conn, file); failed != nil {
						break
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
			hangUp(conn)
			return failed
		},
	}
}

// domainFirst takes a domain off the front of what can be files.
func domainFirst(c *cobra.Command, args []string) (target, []string) {
	if len(args) > 1 {
		if g, err := parseDomain(c, args[0]); err == nil {
			return g, args[1:]
		}
	}
	return target{}, args
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
	return t.printLoaded(reply, path)
}

// printLoaded prints the label of a job that was loaded, and warns. path is "" for one without a file.
func (t *tool) printLoaded(reply *xpc.Dictionary, path string) error {
	warnings := reply.GetArray(bootstrap.KeyWarnings)
	if warnings == nil {
		warnings = xpc.NewArray()
	}
	if path != "" {
		for _, f := range remarks(path).Errors() { // it is loaded, and will not run
			warnings.AppendString(path + ":" + f.String())
		}
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
		Use:     "bootout TARGET | DOMAIN FILE...",
		Aliases: []string{"remove"},
		Short:   "Stop a job and forget it",
		Long: `bootout stops the job and returns when its process has ended. Clients of its
names see INTERRUPTED, then INVALID. After a domain, job files name the jobs.` + targetHelp,
		Example:           "  xpcctl bootout com.example.echo\n  xpcctl bootout user/1000 com.example.echo.plist",
		Args:              noEmpty(atLeast(1)),
		ValidArgsFunction: t.complete(labels),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				_, _, err := t.onJob(c, args[0], bootstrap.OpUnload, nil)
				return err
			}
			g, err := parseDomain(c, args[0])
			if err != nil {
				return err
			}
			for _, file := range args[1:] {
				job, err := registry.LoadJob(file)
				if err != nil {
					return err
				}
				if _, err := t.inDomain(c, g, request(bootstrap.OpUnload, bootstrap.KeyLabel, job.Label)); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func (t *tool) printCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "print TARGET|DOMAIN",
		Short: "Describe a job, or a domain: a registry and what is in it",
		Long: `print describes one job; or, given system, user/UID or gui/UID, that registry and
its jobs.` + targetHelp,
		Example:           "  xpcctl print com.example.echo\n  xpcctl print user/1000/com.example.echo\n  xpcctl print system",
		Args:              noEmpty(exactly(1)),
		ValidArgsFunction: t.complete(labels, serviceNames),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, cancel := t.deadline(c.Context())
			defer cancel()
			if g, err := parseTarget(c, args[0]); err == nil && g.isDomain() && g.domain != "pid" {
				return t.printDomain(ctx, g)
			}
			conn, job, err := locate(ctx, c, args[0])
			if err != nil {
				return err
			}
			hangUp(conn)
			if !t.json {
				return t.printBlock(args[0], job)
			}
			d := versioned()
			d.Set("job", job)
			return t.printJSON(d)
		},
	}
}

func (t *tool) blameCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "blame TARGET",
		Short:             "Say why a job was started",
		Long:              `blame prints why the process of a job was started, in a line.` + targetHelp,
		Example:           "  xpcctl blame com.example.echo",
		Args:              noEmpty(exactly(1)),
		ValidArgsFunction: t.complete(labels),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, cancel := t.deadline(c.Context())
			defer cancel()
			conn, job, err := locate(ctx, c, args[0])
			if err != nil {
				return err
			}
			hangUp(conn)
			reason := "(not running)"
			if job.GetInt64("pid") != 0 {
				reason = job.GetString("immediate reason")
			}
			if !t.json {
				_, err := fmt.Fprintln(t.out, plain(reason))
				return err
			}
			d := versioned()
			d.Set("label", job.Get("label"))
			d.SetString("reason", reason)
			return t.printJSON(d)
		},
	}
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
