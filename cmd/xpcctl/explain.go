package main

import (
	"fmt"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// exitMeanings and registryMeanings are what xpcctl error says.
var exitMeanings = map[int]string{
	exitOK:          "success",
	exitError:       "an error that has no code of its own; the line on stderr says which",
	exitNoRegistry:  "no registry answers",
	exitUnknownName: "no such name or job; or it does not run, or cannot be started",
	exitRefused:     "refused: not permitted, disabled, or a peer requirement was not met",
	exitTimeout:     "the time given by --timeout is over",
	exitInterrupted: "the connection was interrupted: the service ended or did not reply",
	exitLaunch:      "the service's program could not be executed",
	exitUsage:       "the command line makes no sense",
	exitBadJob:      "bad job file",
	exitCannotRun:   "xpcctl run: the command cannot be executed",
	exitNotFound:    "xpcctl run: the command was not found",
}

var registryMeanings = map[int]string{
	int(bootstrap.NotPrivileged):  "the caller may not do this",
	int(bootstrap.NameInUse):      "the name or label is taken",
	int(bootstrap.UnknownService): "no such name or job",
	int(bootstrap.ServiceActive):  "the name is checked in already",
	int(bootstrap.BadRequest):     "the request makes no sense",
	int(bootstrap.OverQuota):      "a limit of the registry is reached",
	int(bootstrap.Changed):        "the process runs another image than the one that was attested, or is gone",
	int(bootstrap.BadJob):         "bad job file",
	int(bootstrap.Disabled):       "the job is disabled, and so cannot be loaded",
	int(bootstrap.NotRunning):     "the job has no process, or cannot be started",
}

func (t *tool) errorCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "error NUMBER",
		Short:   "Explain an error number",
		Long:    `error prints every meaning that a number can have: an exit code of xpcctl, an answer of the registry, a signal (128 and more, or negative as in list), an errno.`,
		Example: "  xpcctl error 1102\n  xpcctl error -- -9",
		Args:    exactly(1),
		RunE: func(c *cobra.Command, args []string) error {
			n, err := strconv.Atoi(args[0])
			if err != nil {
				return usageOf(c, quoted(args[0])+" is not a number")
			}
			list := meanings(n)
			if len(list) == 0 {
				return fmt.Errorf("%d means nothing here", n)
			}
			return t.printMeanings(n, list)
		},
	}
	c.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageOf(c, err.Error()+" (a negative number goes behind --)")
	})
	return c
}

type meaning struct{ kind, text string }

func meanings(n int) []meaning {
	var list []meaning
	if text, ok := exitMeanings[n]; ok {
		list = append(list, meaning{"exit code", text})
	}
	if text, ok := registryMeanings[n]; ok {
		list = append(list, meaning{"registry", text})
	}
	if text := signalText(n); text != "" {
		list = append(list, meaning{"signal", text})
	}
	if name := unix.ErrnoName(syscall.Errno(max(n, 0))); n > 0 && name != "" {
		list = append(list, meaning{"errno", name + ": " + syscall.Errno(n).Error()})
	}
	return list
}

// signalText knows both ways to write the end by a signal: 128 plus its number
// (shells and xpcctl run), or its negative number (list).
func signalText(n int) string {
	switch {
	case n < 0 && n > -exitSignal:
		n = -n
	case n > exitSignal:
		n -= exitSignal
	default:
		return ""
	}
	return unix.SignalName(syscall.Signal(n))
}

func (t *tool) printMeanings(n int, list []meaning) error {
	if !t.json {
		for _, m := range list {
			fmt.Fprintf(t.out, "%d: %s: %s\n", n, m.kind, m.text)
		}
		return nil
	}
	d, a := versioned(), xpc.NewArray()
	for _, m := range list {
		one := xpc.NewDictionary()
		one.SetString("kind", m.kind)
		one.SetString("text", m.text)
		a.Append(one)
	}
	d.SetInt64("number", int64(n))
	d.Set("meanings", a)
	return t.printJSON(d)
}
