package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// defaultTimeout bounds every command that waits for an answer.
const defaultTimeout = 10 * time.Second

// tool is what all commands share: the global flags and where output goes.
type tool struct {
	registry string
	json     bool
	quiet    bool
	timeout  time.Duration
	out, err io.Writer
}

// run executes one command line and returns the exit code. It is main without
// the process, so that tests can call it.
func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	t := &tool{out: out, err: errOut}
	root := t.root()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.ExecuteContext(ctx)
	if text := errorText(err, t.timeout); text != "" {
		fmt.Fprintln(errOut, "xpcctl: "+text)
	}
	return exitCode(err)
}

func (t *tool) root() *cobra.Command {
	c := &cobra.Command{
		Use:   "xpcctl COMMAND",
		Short: "Call XPC services and manage the jobs that provide them",
		Long: `xpcctl calls XPC services and manages the jobs that provide them.

The registry is looked for at $XPC_REGISTRY; without that at
$XDG_RUNTIME_DIR/xpc/registry.sock and then /run/xpc/registry.sock.

Exit codes: 0 success, 1 any other error, 2 no registry, 3 no such name,
4 refused, 5 timeout, 6 interrupted, 7 launch failed, 64 usage, 65 bad job file.`,
		Example: `  xpcctl run --job com.example.echo.plist -- xpcctl call com.example.echo greeting=hello
  xpcctl list`,
		Args:              cobra.ArbitraryArgs,
		RunE:              noCommand,
		PersistentPreRunE: t.prepare,
		SilenceErrors:     true,
		SilenceUsage:      true,
	}
	c.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return usageOf(c, err.Error()) })
	f := c.PersistentFlags()
	f.StringVar(&t.registry, "registry", "", "`path` of the registry's socket (instead of $XPC_REGISTRY)")
	f.BoolVarP(&t.json, "json", "j", false, "print JSON, one value a line")
	f.BoolVarP(&t.quiet, "quiet", "q", false, "print nothing but errors")
	f.DurationVar(&t.timeout, "timeout", defaultTimeout, "give up after this `time`; 0 waits without end")
	c.AddCommand(
		t.runCommand(), t.bootstrapCommand(), t.bootoutCommand(), t.listCommand(), t.printCommand(),
		t.blameCommand(), t.kickstartCommand(), t.killCommand(), t.debugCommand(), t.submitCommand(),
		t.enableCommand(), t.disableCommand(), t.printDisabledCommand(),
		t.logsCommand(), t.procinfoCommand(), t.doctorCommand(),
		t.statusCommand(), t.callCommand(), t.sendCommand(), t.listenCommand(), t.pingCommand(),
		t.waitCommand(), t.errorCommand(), t.validateCommand(), t.versionCommand(), t.completionCommand(),
	)
	c.AddCommand(t.managerCommands()...)
	c.SetHelpCommand(helpCommand())
	c.CompletionOptions.DisableDefaultCmd = true
	return c
}

// noCommand runs when no command matches.
func noCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return c.Help()
	}
	text := fmt.Sprintf("unknown command %q", args[0])
	c.SuggestionsMinimumDistance = 2
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		text += "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return usageOf(c, text)
}

// prepare makes the flags take effect before any command runs.
func (t *tool) prepare(c *cobra.Command, _ []string) error {
	if t.timeout < 0 {
		return usageOf(c, "--timeout is negative")
	}
	if t.quiet {
		t.out = io.Discard
	}
	if t.registry == "" {
		if c.Flags().Changed("registry") {
			return usageOf(c, "--registry is empty: give the path of a socket, or leave the flag out")
		}
		return nil
	}
	path, err := filepath.Abs(t.registry)
	if err != nil {
		return err
	}
	return os.Setenv(bootstrap.EnvRegistry, path)
}

// deadline is the context of one command under --timeout.
func (t *tool) deadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if t.timeout == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, t.timeout)
}

// warn writes a line that is no error.
func (t *tool) warn(format string, a ...any) {
	if !t.quiet {
		fmt.Fprintln(t.err, "xpcctl: "+oneLine(fmt.Sprintf(format, a...)))
	}
}

// exactly and atLeast count positional arguments; too few or too many is a
// mistake of usage that names what is missing.
func exactly(n int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) > n {
			return usageOf(c, fmt.Sprintf("unexpected argument %q", args[n]))
		}
		return atLeast(n)(c, args)
	}
}

func atLeast(n int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) >= n {
			return nil
		}
		names := strings.Fields(strings.NewReplacer("[flags] ", "", "[DOMAIN] ", "", "-- ", "").Replace(c.Use))
		missing := "argument"
		if i := len(args) + 1; i < len(names) {
			missing = strings.TrimRight(names[i], ".")
		}
		return usageOf(c, missing+" is missing")
	}
}

func atMost(n int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) > n {
			return usageOf(c, fmt.Sprintf("unexpected argument %q", args[n]))
		}
		return nil
	}
}

// noEmpty refuses empty arguments, which come from variables that are not set.
func noEmpty(count cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if i := slices.Index(args, ""); i >= 0 {
			return usageOf(c, fmt.Sprintf("argument %d \"\" is empty", i+1))
		}
		return count(c, args)
	}
}

// usageError is a command line that makes no sense.
type usageError struct{ text, help string }

func (e *usageError) Error() string { return e.text + "; see " + e.help }

func usageOf(c *cobra.Command, text string) error {
	return &usageError{text: text, help: c.CommandPath() + " --help"}
}

func isUsage(err error) bool {
	var u *usageError
	return errors.As(err, &u)
}

// checkName finds mistakes in a NAME before anybody is asked for it.
func checkName(name string) error {
	if err := bootstrap.CheckName(name); err != nil {
		return &statusError{code: exitUsage, err: fmt.Errorf("argument NAME: %w", err)}
	}
	return nil
}
