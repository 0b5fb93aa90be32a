package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/openxpc/openxpc/credentials/codesign"
)

// tool is what all commands share: the global flags and where output goes.
type tool struct {
	root         string
	user, system bool
	json, quiet  bool
	in           io.Reader
	out, err     io.Writer
}

// run executes one command line and returns the exit code.
func run(args []string, in io.Reader, out, errOut io.Writer) int {
	t := &tool{in: in, out: out, err: errOut}
	root := t.command()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.Execute()
	if err != nil && err.Error() != "" {
		fmt.Fprintln(errOut, "xpcsign: "+oneLine(err.Error()))
	}
	return exitCode(err)
}

func (t *tool) command() *cobra.Command {
	c := &cobra.Command{
		Use:   "xpcsign COMMAND",
		Short: "Sign programs, and say what signatures are worth",
		Long: `xpcsign signs programs, installs what was signed, and says what a signature is
worth. Signatures lie in a store of their own; programs stay as they are.

Root, and everybody with --system or --root, works on the system's store and
trust; others on their own, which adds to the system's for their own services.

Exit codes: 0 success, 1 any other error, 3 not signed, 4 a signature is not valid
or a requirement not met, 64 usage, 65 a file or a requirement that cannot be read.`,
		Example: `  xpcsign keygen --team EXAMPLE123 --entitlement 'com.example.*'
  xpcsign sign --identifier com.example.tool --key EXAMPLE123 ./tool
  xpcsign verify ./tool`,
		Args:              cobra.ArbitraryArgs,
		RunE:              noCommand,
		PersistentPreRunE: t.prepare,
		SilenceErrors:     true,
		SilenceUsage:      true,
	}
	c.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return usageOf(c, "%v", err) })
	f := c.PersistentFlags()
	f.StringVar(&t.root, "root", "", "work on the system whose root is this `folder`")
	f.BoolVar(&t.user, "user", false, "work on your own store and trust, as root too")
	f.BoolVar(&t.system, "system", false, "work on the system's store and trust")
	f.BoolVarP(&t.json, "json", "j", false, "print JSON, one value a line")
	f.BoolVarP(&t.quiet, "quiet", "q", false, "print nothing but errors")
	c.AddCommand(
		t.keygenCommand(), t.signCommand(), t.verifyCommand(), t.displayCommand(), t.requirementCommand(),
		t.installCommand(), t.trustCommand(), t.denyCommand(), t.trustPackageCommand(), t.doctorCommand(),
	)
	return c
}

// noCommand runs when no command matches.
func noCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 && !c.HasParent() {
		return c.Help()
	}
	if len(args) == 0 {
		return usageOf(c, "COMMAND is missing")
	}
	text := fmt.Sprintf("unknown command %q", args[0])
	c.SuggestionsMinimumDistance = 2
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		text += "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return usageOf(c, "%s", text)
}

func (t *tool) prepare(c *cobra.Command, _ []string) error {
	if t.user && (t.system || t.root != "") {
		return usageOf(c, "--user together with --system or --root")
	}
	if c.Flags().Changed("root") {
		if t.root == "" {
			return usageOf(c, "--root is empty")
		}
		root, err := filepath.Abs(t.root)
		if err != nil {
			return err
		}
		t.root = root
	}
	if t.quiet {
		t.out = io.Discard
	}
	return nil
}

// ofUser says whether commands work on the user's own place.
func (t *tool) ofUser() bool {
	return t.user || !t.system && t.root == "" && os.Geteuid() != 0
}

// places are those that decide, and mine is the one to write to.
func (t *tool) places() (all []codesign.Place, mine codesign.Place, err error) {
	all = codesign.System(t.root)
	if !t.ofUser() {
		return all, all[1], nil
	}
	config, err := userFolder("XDG_CONFIG_HOME", ".config")
	if err != nil {
		return nil, mine, err
	}
	data, err := userFolder("XDG_DATA_HOME", ".local/share")
	if err != nil {
		return nil, mine, err
	}
	mine = codesign.User(config, data, os.Geteuid())
	return append(all, mine), mine, nil
}

// userFolder follows the XDG base directory specification: what is not absolute does not count.
func userFolder(env, otherwise string) (string, error) {
	if dir := os.Getenv(env); filepath.IsAbs(dir) {
		return dir, nil
	}
	home, err := os.UserHomeDir()
	return filepath.Join(home, otherwise), err
}

// keys is the folder of the user's signing keys.
func keys() (string, error) {
	config, err := userFolder("XDG_CONFIG_HOME", ".config")
	return filepath.Join(config, "xpc/keys"), err
}

// printJSON writes one line; every answer has the version of the form.
func (t *tool) printJSON(v map[string]any) error {
	v["version"] = 1
	e := json.NewEncoder(t.out)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func (t *tool) printf(format string, a ...any) { fmt.Fprintf(t.out, format, a...) }

func (t *tool) warn(format string, a ...any) {
	if !t.quiet {
		fmt.Fprintln(t.err, "xpcsign: warning: "+oneLine(fmt.Sprintf(format, a...)))
	}
}

// warnProblems tells of files of the trust store that count for nothing.
func (t *tool) warnProblems(trust *codesign.Trust) {
	for _, err := range trust.Problems {
		t.warn("not trusted: %v", err)
	}
}

// usageError is a command line that makes no sense.
type usageError struct{ text, help string }

func (e *usageError) Error() string { return e.text + "; see " + e.help }

func usageOf(c *cobra.Command, format string, a ...any) error {
	return &usageError{fmt.Sprintf(format, a...), c.CommandPath() + " --help"}
}

// between counts positional arguments, of which none may be empty; most < 0 means
// without end.
func between(least, most int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if i := slices.Index(args, ""); i >= 0 {
			return usageOf(c, "argument %d \"\" is empty", i+1)
		}
		if most >= 0 && len(args) > most {
			return usageOf(c, "unexpected argument %q", args[most])
		}
		if len(args) < least {
			names := strings.Fields(strings.ReplaceAll(c.Use, "[flags] ", ""))
			return usageOf(c, "%s is missing", strings.TrimRight(names[len(args)+1], "."))
		}
		return nil
	}
}

// now is of whole seconds, as signatures are.
func now() time.Time { return time.Now().UTC().Truncate(time.Second) }

// program is an open file and its digest.
type program struct {
	file   *os.File
	digest codesign.Digest
	size   int64
}

// openProgram opens a program and computes its digest; the caller closes the file.
func openProgram(path string) (p program, err error) {
	if p.file, err = os.Open(path); err != nil {
		return p, err
	}
	info, err := p.file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	if err == nil {
		p.size = info.Size()
		p.digest, err = codesign.Measure(p.file, p.size)
	}
	if err != nil {
		p.file.Close()
		return p, err
	}
	return p, nil
}
