package main

import (
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

func (t *tool) listCommand() *cobra.Command {
	long := false
	c := &cobra.Command{
		Use:   "list [DOMAIN]",
		Short: "List the loaded jobs",
		Long: `list prints launchctl's three columns: the process id (- when nothing runs),
the last exit status (a negative number is the signal that ended the process,
0 also before the first exit) and the label, with tabs between them.

DOMAIN is system, user/UID or gui/UID; without it the nearest registry is asked.
--long adds the state, aligns the columns, and lists names that programs
registered themselves, which belong to no job.`,
		Example: "  xpcctl list\n  xpcctl list --long\n  xpcctl list --json",
		Args:    noEmpty(atMost(1)),
		RunE: func(c *cobra.Command, args []string) error {
			g, err := parseDomain(c, strings.Join(args, ""))
			if err != nil {
				return err
			}
			reply, err := t.inDomain(c, g, request(bootstrap.OpList))
			if err != nil {
				return err
			}
			switch {
			case t.json:
				return t.printJSON(listJSON(reply))
			case long:
				return t.listLong(reply)
			}
			return t.listShort(reply)
		},
	}
	c.Flags().BoolVarP(&long, "long", "l", false, "more columns, and names without a job")
	return c
}

func listJSON(reply *xpc.Dictionary) *xpc.Dictionary {
	d := versioned()
	for _, key := range []string{bootstrap.KeyJobs, bootstrap.KeyNames} {
		list := reply.GetArray(key)
		if list == nil {
			list = xpc.NewArray()
		}
		d.Set(key, list)
	}
	return d
}

func (t *tool) listShort(reply *xpc.Dictionary) error {
	fmt.Fprintln(t.out, "PID\tStatus\tLabel")
	for job := range dictionaries(reply.GetArray(bootstrap.KeyJobs)) {
		_, err := fmt.Fprintf(t.out, "%s\t%d\t%s\n", pidOf(job), job.GetInt64(bootstrap.KeyStatus), plain(job.GetString(bootstrap.KeyLabel)))
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *tool) listLong(reply *xpc.Dictionary) error {
	w := tabwriter.NewWriter(t.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "PID\tStatus\tState\tLabel")
	for job := range dictionaries(reply.GetArray(bootstrap.KeyJobs)) {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", pidOf(job), statusOf(job), plain(job.GetString(bootstrap.KeyState)), plain(job.GetString(bootstrap.KeyLabel)))
	}
	for name := range dictionaries(reply.GetArray(bootstrap.KeyNames)) {
		fmt.Fprintf(w, "%s\t-\t%s\t%s\n", pidOf(name), "registered", plain(name.GetString(bootstrap.KeyName)))
	}
	return w.Flush()
}

func pidOf(d *xpc.Dictionary) string {
	if pid := d.GetInt64(bootstrap.KeyPID); pid > 0 {
		return strconv.FormatInt(pid, 10)
	}
	return "-"
}

func statusOf(d *xpc.Dictionary) string {
	if d.Get(bootstrap.KeyStatus) == nil {
		return "-"
	}
	return strconv.FormatInt(d.GetInt64(bootstrap.KeyStatus), 10)
}
