package main

import (
	"bytes"
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// domain is what can be told of a registry.
type domain struct{ status, list, disabled *xpc.Dictionary }

func (g target) domainInfo(ctx context.Context) (*domain, error) {
	var d domain
	conn, err := g.each(ctx, func(conn *xpc.Connection) (err error) {
		if d.status, err = askOn(ctx, conn, request(bootstrap.OpStatus)); err != nil {
			return err
		}
		if d.list, err = askOn(ctx, conn, request(bootstrap.OpList)); err != nil {
			return err
		}
		d.disabled, err = askOn(ctx, conn, request(bootstrap.OpPrintDisabled))
		return err
	})
	if err == nil {
		hangUp(conn)
	}
	return &d, err
}

// printDomain shows a registry in the layout of launchctl print system.
func (t *tool) printDomain(ctx context.Context, g target) error {
	d, err := g.domainInfo(ctx)
	if err != nil {
		return err
	}
	if t.json {
		out := versioned()
		out.SetString("domain", domainOf(d.status))
		out.Set("registry", d.status)
		for _, key := range []string{bootstrap.KeyJobs, bootstrap.KeyNames} {
			out.Set(key, listJSON(d.list).Get(key))
		}
		out.Set(bootstrap.KeyDisabled, d.disabled.GetDictionary(bootstrap.KeyDisabled))
		return t.printJSON(out)
	}
	var b bytes.Buffer
	name := domainOf(d.status)
	kind := "user"
	if name == "system" {
		kind = "system"
	}
	fmt.Fprintf(&b, "%s = {\n\ttype = %s\n\thandle = %d\n", name, kind, d.status.GetInt64(bootstrap.KeyUID))
	fmt.Fprintf(&b, "\tactive count = %d\n\tservice count = %d\n", d.status.GetInt64(bootstrap.KeyRunningCount), d.status.GetInt64(bootstrap.KeyJobCount))
	fmt.Fprintf(&b, "\tcreator = xpcd[%d]\n\tpath = %s\n", d.status.GetInt64(bootstrap.KeyPID), plain(d.status.GetString(bootstrap.KeyPath)))
	b.WriteString("\n\tservices = {\n")
	for job := range dictionaries(d.list.GetArray(bootstrap.KeyJobs)) {
		fmt.Fprintf(&b, "\t\t%8d %6s \t%s\n", job.GetInt64(bootstrap.KeyPID), statusOf(job), plain(job.GetString(bootstrap.KeyLabel)))
	}
	b.WriteString("\t}\n\n\tunmanaged names = {\n")
	for entry := range dictionaries(d.list.GetArray(bootstrap.KeyNames)) {
		fmt.Fprintf(&b, "\t\t%8d \t%s\n", entry.GetInt64(bootstrap.KeyPID), plain(entry.GetString(bootstrap.KeyName)))
	}
	b.WriteString("\t}\n\n" + disabledBlock(d.disabled.GetDictionary(bootstrap.KeyDisabled), "\t") + "}\n")
	_, err = t.out.Write(b.Bytes())
	return err
}

// managerCommands are launchctl's three words about the registry that is asked.
func (t *tool) managerCommands() []*cobra.Command {
	number := func(key string) func(*xpc.Dictionary) string {
		return func(status *xpc.Dictionary) string { return strconv.FormatInt(status.GetInt64(key), 10) }
	}
	return []*cobra.Command{
		t.managerCommand("managername", "name", "Print the kind of the registry: System or Background", managerName),
		t.managerCommand("manageruid", "uid", "Print the user that the registry runs as", number(bootstrap.KeyUID)),
		t.managerCommand("managerpid", "pid", "Print the process id of the registry", number(bootstrap.KeyPID)),
	}
}

// managerName is launchd's word for the session: there is no graphical one here.
func managerName(status *xpc.Dictionary) string {
	if domainOf(status) == "system" {
		return "System"
	}
	return "Background"
}

func (t *tool) managerCommand(name, key, short string, get func(status *xpc.Dictionary) string) *cobra.Command {
	return &cobra.Command{
		Use: name, Short: short, Example: "  xpcctl " + name,
		Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, cancel := t.deadline(c.Context())
			defer cancel()
			status, err := ask(ctx, request(bootstrap.OpStatus))
			if err != nil {
				return err
			}
			if !t.json {
				_, err := fmt.Fprintln(t.out, get(status))
				return err
			}
			d := versioned()
			if key == "name" {
				d.SetString(key, get(status))
			} else {
				d.SetInt64(key, status.GetInt64(key))
			}
			return t.printJSON(d)
		},
	}
}
