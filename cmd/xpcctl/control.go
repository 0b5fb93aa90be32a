package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

func (t *tool) kickstartCommand() *cobra.Command {
	var kill, printPID bool
	c := &cobra.Command{
		Use:   "kickstart TARGET",
		Short: "Start a job now",
		Long: `kickstart starts a job whether or not a client needs it, without regard to
ThrottleInterval, and returns when its process runs. What runs is left alone;
with -k it is ended first, and started anew.` + targetHelp,
		Example:           "  xpcctl kickstart -p com.example.echo\n  xpcctl kickstart -k system/com.example.echo",
		Args:              noEmpty(exactly(1)),
		ValidArgsFunction: t.complete(labels),
		RunE: func(c *cobra.Command, args []string) error {
			label, reply, err := t.onJob(c, args[0], bootstrap.OpKickstart, func(m *xpc.Dictionary) { m.SetBool(bootstrap.KeyRestart, kill) })
			if err != nil {
				return err
			}
			pid := reply.GetInt64(bootstrap.KeyPID)
			if t.json {
				d := versioned()
				d.SetString("label", label)
				d.SetInt64("pid", pid)
				return t.printJSON(d)
			}
			if printPID {
				_, err = fmt.Fprintf(t.out, "service spawned with pid: %d\n", pid)
			}
			return err
		},
	}
	c.Flags().BoolVarP(&kill, "kill", "k", false, "end the process first if one runs")
	c.Flags().BoolVarP(&printPID, "print-pid", "p", false, "print the process id")
	return c
}

func (t *tool) killCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "kill SIGNAL TARGET",
		Short: "Send a signal to a job's process",
		Long:  `kill sends a signal, a number or a name like TERM or SIGTERM, to the process of a job, and to nothing else of its group.` + targetHelp,
		Example: `  xpcctl kill TERM com.example.echo
  xpcctl kill 9 user/1000/com.example.echo`,
		Args: noEmpty(exactly(2)),
		ValidArgsFunction: func(c *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 0 {
				return []string{"TERM", "KILL", "INT", "HUP", "USR1", "USR2", "STOP", "CONT"}, cobra.ShellCompDirectiveNoFileComp
			}
			return t.complete(labels)(c, args[1:], word)
		},
		RunE: func(c *cobra.Command, args []string) error {
			signal, err := signalNumber(c, args[0])
			if err != nil {
				return err
			}
			_, _, err = t.onJob(c, args[1], bootstrap.OpKill, func(m *xpc.Dictionary) { m.SetInt64(bootstrap.KeySignal, int64(signal)) })
			return err
		},
	}
}

func signalNumber(c *cobra.Command, text string) (int, error) {
	if n, err := strconv.ParseUint(text, 10, 7); err == nil && n >= 1 && n <= 64 {
		return int(n), nil
	}
	name := strings.ToUpper(text)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	if n := unix.SignalNum(name); n > 0 {
		return int(n), nil
	}
	return 0, usageOf(c, quoted(text)+" is no signal: a number from 1 to 64, or a name like TERM")
}

// debugFlags are what a debug run has in place of the job file's words.
type debugFlags struct {
	program, in, out, err string
	environment           []string
}

func (t *tool) debugCommand() *cobra.Command {
	var f debugFlags
	c := &cobra.Command{
		Use:   "debug [flags] TARGET -- [ARGUMENT]...",
		Short: "Change how a job is started the next time, and only then",
		Long: `debug has the next run of a job use other files, variables, another program or
other arguments. The first argument is the program's name for itself and, without
--program, the program. What is left out stays as the job file says; with nothing
given, an earlier debug is forgotten.
Nothing is started: see kickstart.` + targetHelp,
		Example: `  xpcctl debug com.example.echo --stderr "$(tty)" --environment LOG=debug
  xpcctl debug com.example.echo -- strace -f /srv/echo
  xpcctl kickstart -k com.example.echo`,
		Args:              noEmptyFirst,
		ValidArgsFunction: t.complete(labels),
		RunE: func(c *cobra.Command, args []string) error {
			more, err := f.request(c, args[1:])
			if err != nil {
				return err
			}
			_, _, err = t.onJob(c, args[0], bootstrap.OpDebug, func(m *xpc.Dictionary) {
				for key, o := range more.All() {
					m.Set(key, o)
				}
			})
			return err
		},
	}
	l := c.Flags()
	l.StringVar(&f.program, "program", "", "`path` of the program to execute")
	l.StringVar(&f.in, "stdin", "", "`path` of the file that input comes from")
	l.StringVar(&f.out, "stdout", "", "`path` of the file that output is appended to")
	l.StringVar(&f.err, "stderr", "", "`path` of the file that errors are appended to")
	l.StringArrayVar(&f.environment, "environment", nil, "`NAME=VALUE` to add to the environment; may be repeated")
	return c
}

// noEmptyFirst wants a target, and lets the job's arguments be what they like.
func noEmptyFirst(c *cobra.Command, args []string) error {
	return noEmpty(atLeast(1))(c, args[:min(1, len(args))])
}

func (f *debugFlags) request(c *cobra.Command, arguments []string) (*xpc.Dictionary, error) {
	m := xpc.NewDictionary()
	program := f.program
	if program == "" && len(arguments) > 0 {
		if program = arguments[0]; !strings.Contains(program, "/") {
			m.SetString(bootstrap.KeyProgram, program)
			program = ""
		}
	}
	for key, path := range map[string]string{
		bootstrap.KeyProgram: program, bootstrap.KeyStandardIn: f.in, bootstrap.KeyStandardOut: f.out, bootstrap.KeyStandardError: f.err,
	} {
		if path == "" {
			continue
		}
		abs, err := filepath.Abs(path)
		if err != nil {
			return nil, err
		}
		m.SetString(key, abs)
	}
	if len(arguments) > 0 {
		list := xpc.NewArray()
		for _, a := range arguments {
			list.AppendString(a)
		}
		m.SetArray(bootstrap.KeyArguments, list)
	}
	if len(f.environment) > 0 {
		variables := xpc.NewDictionary()
		for _, kv := range f.environment {
			name, value, ok := strings.Cut(kv, "=")
			if !ok || name == "" {
				return nil, usageOf(c, fmt.Sprintf("--environment %q: want NAME=VALUE", kv))
			}
			variables.SetString(name, value)
		}
		m.SetDictionary(bootstrap.KeyEnvironment, variables)
	}
	return m, nil
}

// submission is a job without a file, in launchd's keys.
type submission struct {
	Label             string
	Program           string `json:",omitempty"`
	ProgramArguments  []string
	StandardOutPath   string          `json:",omitempty"`
	StandardErrorPath string          `json:",omitempty"`
	KeepAlive         map[string]bool // started again until it succeeds
}

func (t *tool) submitCommand() *cobra.Command {
	var s submission
	c := &cobra.Command{
		Use:   "submit [flags] -- COMMAND [ARGUMENT]...",
		Short: "Run a command as a job, without a job file",
		Long: `submit loads a job that has no file. It is started at once, and again when it
fails, until it has ended with code 0. xpcctl remove LABEL forgets it.`,
		Example: "  xpcctl submit -l com.example.backup -o /tmp/backup.log -- /usr/local/bin/backup --all",
		Args:    noEmptyFirst,
		RunE: func(c *cobra.Command, args []string) error {
			document, err := s.document(c, args)
			if err != nil {
				return err
			}
			ctx, cancel := t.deadline(c.Context())
			defer cancel()
			m := request(bootstrap.OpLoad)
			m.SetData(bootstrap.KeyDocument, document)
			reply, err := ask(ctx, m)
			if err != nil {
				return err
			}
			return t.printLoaded(reply, "")
		},
	}
	l := c.Flags()
	l.StringVarP(&s.Label, "label", "l", "", "the job's `label`")
	l.StringVarP(&s.Program, "program", "p", "", "`path` of the program to execute, if it is not COMMAND")
	l.StringVarP(&s.StandardOutPath, "stdout", "o", "", "`path` of the file that output is appended to")
	l.StringVarP(&s.StandardErrorPath, "stderr", "e", "", "`path` of the file that errors are appended to")
	l.SetInterspersed(false)
	return c
}

// document is the job as a job file. A path is relative to where xpcctl is.
func (s submission) document(c *cobra.Command, args []string) ([]byte, error) {
	if s.Label == "" {
		return nil, usageOf(c, "-l LABEL is missing")
	}
	s.ProgramArguments, s.KeepAlive = args, map[string]bool{"SuccessfulExit": false}
	if s.Program == "" && strings.Contains(args[0], "/") {
		s.Program = args[0]
	}
	for _, path := range []*string{&s.Program, &s.StandardOutPath, &s.StandardErrorPath} {
		if *path == "" {
			continue
		}
		abs, err := filepath.Abs(*path)
		if err != nil {
			return nil, err
		}
		*path = abs
	}
	for _, text := range append([]string{s.Label, s.Program, s.StandardOutPath, s.StandardErrorPath}, args...) {
		if !utf8.ValidString(text) {
			return nil, usageOf(c, fmt.Sprintf("argument %q is not UTF-8, which a job is described in", text))
		}
	}
	return json.Marshal(s)
}

func (t *tool) enableCommand() *cobra.Command {
	return t.switchCommand("enable TARGET", bootstrap.OpEnable, "Let a job be loaded again",
		`enable overrules the key Disabled of the job's file, and an earlier disable. It
loads nothing: see bootstrap.`)
}

func (t *tool) disableCommand() *cobra.Command {
	return t.switchCommand("disable TARGET", bootstrap.OpDisable, "Keep a job from being loaded",
		`disable keeps a job from being loaded from now on, also when the machine starts.
What is loaded stays loaded: see bootout. The registry keeps this in a file of its
own; the job file is not changed.`)
}

func (t *tool) switchCommand(use, op, short, long string) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short,
		Long: long + `

TARGET is a label, or system/LABEL, user/UID/LABEL or gui/UID/LABEL. The job need
not be loaded.`,
		Example:           "  xpcctl " + op + " com.example.echo\n  xpcctl print-disabled",
		Args:              noEmpty(exactly(1)),
		ValidArgsFunction: t.complete(labels, disabledLabels),
		RunE: func(c *cobra.Command, args []string) error {
			g, err := parseTarget(c, args[0])
			if err != nil {
				return err
			}
			if g.name == "" || g.domain == "pid" {
				return usageOf(c, fmt.Sprintf("target %q has no label", args[0]))
			}
			reply, err := t.inDomain(c, g, request(op, bootstrap.KeyLabel, g.name))
			if err != nil {
				return err
			}
			for _, w := range texts(reply.GetArray(bootstrap.KeyWarnings)) {
				t.warn("warning: %s", w)
			}
			return nil
		},
	}
}

// disabledLabels are those that somebody has enabled or disabled.
func disabledLabels(ctx context.Context, conn *xpc.Connection) []string {
	reply, err := askOn(ctx, conn, request(bootstrap.OpPrintDisabled))
	if err != nil {
		return nil
	}
	var list []string
	for label, o := range reply.GetDictionary(bootstrap.KeyDisabled).All() {
		list = append(list, cobra.CompletionWithDesc(label, switched(o)))
	}
	return list
}

func switched(o xpc.Object) string {
	if o == xpc.Object(xpc.Bool(true)) {
		return "disabled"
	}
	return "enabled"
}

func (t *tool) printDisabledCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "print-disabled [DOMAIN]",
		Short:   "List the jobs that have been enabled or disabled by name",
		Example: "  xpcctl print-disabled\n  xpcctl print-disabled user/1000",
		Args:    noEmpty(atMost(1)),
		RunE: func(c *cobra.Command, args []string) error {
			g, err := parseDomain(c, strings.Join(args, ""))
			if err != nil {
				return err
			}
			reply, err := t.inDomain(c, g, request(bootstrap.OpPrintDisabled))
			if err != nil {
				return err
			}
			disabled := reply.GetDictionary(bootstrap.KeyDisabled)
			if t.json {
				d := versioned()
				d.Set(bootstrap.KeyDisabled, disabled)
				return t.printJSON(d)
			}
			_, err = fmt.Fprint(t.out, disabledBlock(disabled, ""))
			return err
		},
	}
}

// disabledBlock is launchctl's layout, with an arrow in place of the equals sign.
func disabledBlock(disabled *xpc.Dictionary, indent string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%sdisabled services = {\n", indent)
	for label, o := range disabled.All() {
		fmt.Fprintf(&b, "%s\t%s => %s\n", indent, quoted(label), switched(o))
	}
	fmt.Fprintf(&b, "%s}\n", indent)
	return b.String()
}
