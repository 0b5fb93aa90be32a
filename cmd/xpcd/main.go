// Command xpcd is the registry: it owns the names of services, launches the
// programs behind them when a client wants one, and tells clients where to go.
//
// It ends on SIGTERM or SIGINT, after its jobs. On SIGHUP it executes its program
// anew, which may be another version by then, and no name, client or job is lost;
// under systemd the same holds when it is killed. Exit codes: 0, 1 error, 64 usage,
// 65 bad job file.
package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/openxpc/openxpc/registry"
	"github.com/openxpc/openxpc/registry/daemon"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// Exit codes, those of sysexits.h.
const (
	exitError  = 1
	exitUsage  = 64
	exitBadJob = 65
)

type flags struct {
	socket        string
	jobs          []string
	jobsDir       string
	stateDir      string
	noAdHoc       bool
	adHocUsers    []string
	adHocGroups   []string
	endWithParent bool
	idleExit      time.Duration
	trustRoot     string
	enforced      bool
	logLevel      string
}

// usageError marks errors of the command line.
type usageError struct{ error }

func main() {
	daemon.RunHelper()
	keepDescriptors()
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// keepDescriptors keeps to xpcd what it was started with: the pipes of a shell would
// otherwise stay open in every job. It knows them where /dev/fd shows them.
func keepDescriptors() {
	entries, _ := os.ReadDir("/dev/fd")
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
}

// run is the program, from arguments to exit code.
func run(args []string, in io.Reader, out, errs io.Writer) int {
	c := command(in, errs)
	c.SetArgs(args)
	c.SetOut(out)
	c.SetErr(errs)
	err := c.Execute()
	if err != nil {
		fmt.Fprintf(errs, "xpcd: %v\n", err)
	}
	return exitCode(err)
}

func exitCode(err error) int {
	var usage usageError
	var job *registry.JobError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &job):
		return exitBadJob
	}
	return exitError
}

func command(in io.Reader, errs io.Writer) *cobra.Command {
	var f flags
	c := &cobra.Command{
		Use:   "xpcd",
		Short: "Own the names of XPC services and launch them on demand",
		Example: `  xpcd                                     your own registry, no jobs
  xpcd --jobs-dir ~/.config/xpc/services.d your own registry, with jobs
  xpcd --socket /tmp/x/r.sock --job j.plist a private one; clients need XPC_REGISTRY=/tmp/x/r.sock
  xpcd --adhoc-groups services             only members of a group may register names of their own`,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("unexpected argument %q; see xpcd --help", args[0])}
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return serve(c.Context(), &f, in, errs) },
	}
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; see xpcd --help", err)}
	})
	c.SetVersionTemplate("xpcd {{.Version}}\n")
	c.CompletionOptions.DisableDefaultCmd = true
	l := c.Flags()
	l.StringVar(&f.socket, "socket", "", "path of the registry's socket (default: $XPC_REGISTRY, then the user's or the system's)")
	l.StringArrayVar(&f.jobs, "job", nil, "load this job file; a bad one ends xpcd (repeatable)")
	l.StringVar(&f.jobsDir, "jobs-dir", "", "load the *.plist and *.json files of this folder; bad ones are left out")
	l.StringVar(&f.stateDir, "state-dir", "", "keep here which jobs are enabled and disabled (default: /var/lib/xpc for root, else $XDG_STATE_HOME/xpc; none for a registry with a path of its own)")
	l.BoolVar(&f.noAdHoc, "no-adhoc", false, "do not let programs register names that no job declares")
	l.StringSliceVar(&f.adHocUsers, "adhoc-users", nil, "users who may do so, by name or number, instead of the one that xpcd runs as")
	l.StringSliceVar(&f.adHocGroups, "adhoc-groups", nil, "groups whose members may do so, likewise")
	l.DurationVar(&f.idleExit, "idle-exit", time.Minute, "end jobs with EnablePressuredExit, and programs' own services, that have been idle so long; 0 for never")
	l.BoolVar(&f.endWithParent, "end-with-parent", false, "end when standard input does, and remove the socket's folder")
	l.StringVar(&f.trustRoot, "trust-root", "", "look for signatures, trust anchors and groups below this folder, not in the machine's places")
	l.BoolVar(&f.enforced, "code-is-enforced", false, "this host's kernel executes signed code only (IPE, IMA, dm-verity): believe it")
	l.StringVar(&f.logLevel, "log-level", "info", "debug, info, warn or error")
	return c
}

func serve(ctx context.Context, f *flags, in io.Reader, errs io.Writer) error {
	log, err := logger(f.logLevel, errs)
	if err != nil {
		return err
	}
	if f.idleExit < 0 {
		return usageError{fmt.Errorf("--idle-exit %v: want a time such as 90s or 10m, or 0 for never", f.idleExit)}
	}
	o := daemon.Options{Path: f.socket, IdleExit: cmp.Or(f.idleExit, -1), StateDir: f.stateFolder(), NoAdHoc: f.noAdHoc, TrustRoot: f.trustRoot, CodeIsEnforced: f.enforced, Logger: log, Version: version(), Outlives: true}
	if o.TrustRoot != "" {
		if o.TrustRoot, err = filepath.Abs(o.TrustRoot); err != nil {
			return err
		}
	}
	if o.Helper, err = os.Executable(); err != nil {
		log.Warn("jobs with Umask, Nice, limits or users cannot be started", "error", err)
	}
	if o.AdHoc, err = f.adHoc(); err != nil {
		return err
	}
	for _, path := range f.jobs {
		j, err := registry.LoadTrusted(path, os.Geteuid())
		if err != nil {
			return err
		}
		o.Jobs = append(o.Jobs, j)
	}
	if f.jobsDir != "" {
		if o.Optional, err = loadFolder(f.jobsDir, log); err != nil {
			return err
		}
	}
	ctx, stop := signal.NotifyContext(ctx, endSignals(f.endWithParent)...)
	defer stop()
	if f.endWithParent {
		signal.Ignore(syscall.SIGINT, syscall.SIGHUP)
		defer removeFolder(f.socket)
		ctx = untilEnd(ctx, in)
	} else {
		restart := make(chan struct{})
		o.Restart = restart
		defer onHangup(log, restart)()
	}
	return daemon.Serve(ctx, o)
}

// onHangup has SIGHUP restart xpcd, if the program that is to take its place runs.
func onHangup(log *slog.Logger, restart chan<- struct{}) (stop func()) {
	hangups, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(hangups, syscall.SIGHUP)
	// Ends with stop.
	go func() {
		for {
			select {
			case <-done:
				return
			case <-hangups:
			}
			if err := tryProgram(); err != nil {
				log.Error("goes on as it is: the new program does not run", "error", err)
				continue
			}
			select {
			case restart <- struct{}{}:
			case <-done:
				return
			}
		}
	}()
	return func() { signal.Stop(hangups); close(done) }
}

func tryProgram() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	program, err := os.Executable()
	if err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, strings.TrimSuffix(program, " (deleted)"), "--version").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

// stateFolder is where the state goes; "" for a registry with a path of its own,
// which leaves nothing behind.
func (f *flags) stateFolder() string {
	state, home := os.Getenv("XDG_STATE_HOME"), os.Getenv("HOME")
	switch {
	case f.stateDir != "":
		return f.stateDir
	case f.socket != "" || os.Getenv(bootstrap.EnvRegistry) != "":
		return ""
	case os.Geteuid() == 0:
		return "/var/lib/xpc"
	case filepath.IsAbs(state):
		return filepath.Join(state, "xpc")
	case filepath.IsAbs(home):
		return filepath.Join(home, ".local/state/xpc")
	}
	return ""
}

// adHoc is who may register names, nil for the default.
func (f *flags) adHoc() (*registry.Access, error) {
	if len(f.adHocUsers)+len(f.adHocGroups) == 0 {
		return nil, nil
	}
	if f.noAdHoc {
		return nil, usageError{errors.New("--no-adhoc lets nobody register names: leave it or --adhoc-users and --adhoc-groups out")}
	}
	who, err := registry.ParseAccess(f.adHocUsers, f.adHocGroups)
	if err != nil {
		return nil, usageError{fmt.Errorf("--adhoc-users, --adhoc-groups: %w", err)}
	}
	return &who, nil
}

// endSignals are those that end xpcd. With a parent it is the parent who knows
// when to end: Ctrl-C goes to both, and the command may outlive it.
func endSignals(withParent bool) []os.Signal {
	if withParent {
		return []os.Signal{syscall.SIGTERM}
	}
	return []os.Signal{syscall.SIGTERM, syscall.SIGINT}
}

// untilEnd is done when in ends, which the kernel sees to also when the parent is killed.
func untilEnd(ctx context.Context, in io.Reader) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	// Ends with the input, or with the process.
	go func() {
		io.Copy(io.Discard, in)
		cancel()
	}()
	return ctx
}

// removeFolder removes the folder of a private registry if nothing else is in it.
func removeFolder(socket string) {
	if socket != "" {
		os.Remove(filepath.Dir(socket))
	}
}

func logger(level string, w io.Writer) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, usageError{fmt.Errorf("--log-level %q: want debug, info, warn or error", level)}
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: l})), nil
}

// release is what a package calls itself; the linker sets it.
var release string

func version() string {
	if release != "" {
		return release
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
