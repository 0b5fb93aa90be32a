package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/openxpc/openxpc/xpc/bootstrap"
)

func (t *tool) runCommand() *cobra.Command {
	var jobs []string
	c := &cobra.Command{
		Use:   "run [flags] -- COMMAND [ARGUMENT]...",
		Short: "Run a command under a private registry",
		Long: `run starts an xpcd of its own in a private folder, loads the given jobs, and
runs the command with XPC_REGISTRY set to it. When the command ends, the
registry stops the jobs and everything is removed, also if xpcctl is killed.

The exit code is the command's, or 128 and the number of the signal that ended
it; 127 if the command was not found and 126 if it cannot be executed. SIGINT
and SIGTERM are passed on to the command. --timeout bounds the start only.`,
		Example: `  xpcctl run --job com.example.echo.plist -- xpcctl call com.example.echo greeting=hello
  xpcctl run -- go test ./...`,
		Args: atLeast(1),
		RunE: func(c *cobra.Command, args []string) error {
			if t.registry != "" {
				return usageOf(c, "--registry makes no sense here: run makes a registry of its own")
			}
			return t.run(c.Context(), jobs, args)
		},
	}
	c.Flags().StringArrayVar(&jobs, "job", nil, "job `file` to load first; may be repeated")
	c.Flags().SetInterspersed(false)
	c.RegisterFlagCompletionFunc("job", jobFiles) // fails only for a flag that is not there
	return c
}

// run has the registry for exactly as long as the command takes.
func (t *tool) run(ctx context.Context, jobs, args []string) error {
	path, err := exec.LookPath(args[0])
	if err != nil {
		return cannotRun(args[0], err)
	}
	start, cancel := t.deadline(ctx)
	defer cancel()
	reg, err := startRegistry(start, t.err)
	if err != nil {
		return err
	}
	defer reg.stop()
	if err := os.Setenv(bootstrap.EnvRegistry, reg.socket); err != nil {
		return err
	}
	if _, err := ask(start, request(bootstrap.OpPing)); err != nil {
		return err
	}
	if err := t.loadAll(start, jobs); err != nil {
		return err
	}
	// From here on signals belong to the command, and end xpcctl through it.
	code, err := runCommand(ctx, path, args)
	if early := reg.ended(); early != nil {
		t.warn("the private registry ended before the command: %v", early)
	}
	if err != nil || code == exitOK {
		return err
	}
	return &statusError{code: code}
}

// loadAll loads the jobs and says nothing of success: the output is the command's.
func (t *tool) loadAll(ctx context.Context, jobs []string) error {
	if len(jobs) == 0 {
		return nil
	}
	silent := *t
	silent.out = discard{}
	conn := dial(bootstrap.RegistryName)
	defer hangUp(conn)
	for _, file := range jobs {
		if err := silent.load(ctx, conn, file); err != nil {
			return err
		}
	}
	return nil
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// runCommand runs the command with this process's input and output, passes
// SIGINT and SIGTERM on to it, and gives its exit code. ctx tells of a signal
// that came before.
func runCommand(ctx context.Context, path string, args []string) (int, error) {
	cmd := exec.Command(path, args[1:]...)
	cmd.Args[0] = args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = commandEnvironment(os.Environ())
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, cannotRun(args[0], err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }() // ends with the command; the loop below waits for it
	for {
		select {
		case s := <-signals:
			cmd.Process.Signal(s) // an error says that it has just ended
		case err := <-ended:
			return commandCode(err)
		}
	}
}

func commandCode(err error) (int, error) {
	var exit *exec.ExitError
	if err == nil || !errors.As(err, &exit) {
		return exitOK, err
	}
	if w, ok := exit.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return exitSignal + int(w.Signal()), nil
	}
	return exit.ExitCode(), nil
}

// commandEnvironment drops what would tie the command to another registry's job.
func commandEnvironment(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(e string) bool {
		name, _, _ := strings.Cut(e, "=")
		return slices.Contains([]string{bootstrap.EnvBootstrapFD, bootstrap.EnvBootstrapReturn, bootstrap.EnvListener}, name)
	})
}

func cannotRun(command string, err error) error {
	code, text := exitCannotRun, "cannot be executed"
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		code, text = exitNotFound, "was not found"
	}
	return &statusError{code: code, err: fmt.Errorf("command %q %s: %w", command, text, err)}
}
