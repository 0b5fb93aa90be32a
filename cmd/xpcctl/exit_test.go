package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/openxpc/openxpc/cmd/xpcctl/internal/value"
	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// The codes are a contract: scripts tell by them what to do next.
func TestExitCode(t *testing.T) {
	interruptedBy := func(cause error) error {
		return &xpc.ConnectionError{Event: xpc.ErrConnectionInterrupted, Cause: cause}
	}
	for _, c := range []struct {
		name string
		err  error
		want int
	}{
		{"success", nil, 0},
		{"anything else", errors.New("x"), 1},
		{"no registry", interruptedBy(xpc.ErrNoRegistry), 2},
		{"unknown name", fmt.Errorf("x: %w", xpc.ErrUnknownName), 3},
		{"not permitted", xpc.ErrNotPermitted, 4},
		{"requirement not met", xpc.ErrPeerCodeSigningRequirement, 4},
		{"timeout", fmt.Errorf("x: %w", context.DeadlineExceeded), 5},
		{"interrupted", interruptedBy(nil), 6},
		{"launch failed, which also interrupts", interruptedBy(xpc.ErrLaunchFailed), 7},
		{"usage", &usageError{}, 64},
		{"argument", fmt.Errorf("argument 2: %w", value.ErrArgument), 64},
		{"signal", context.Canceled, 130},
		{"registry: unknown", &registryError{code: bootstrap.UnknownService}, 3},
		{"registry: not privileged", &registryError{code: bootstrap.NotPrivileged}, 4},
		{"registry: bad job", &registryError{code: bootstrap.BadJob}, 65},
		{"registry: anything else", &registryError{code: bootstrap.NameInUse}, 1},
		{"a command's own", &statusError{code: 143}, 143},
	} {
		if got := exitCode(c.err); got != c.want {
			t.Errorf("%s: exit code %d, want %d", c.name, got, c.want)
		}
	}
}

func TestErrorTextIsOneLine(t *testing.T) {
	t.Setenv(bootstrap.EnvRegistry, "/x/registry.sock")
	for _, c := range []struct {
		err  error
		want string
	}{
		{nil, ""},
		{&statusError{code: 3}, ""},
		{errors.New("xpc: a\nb\r\n"), "a; b"},
		{errors.New("\x1b[2J \xff \u202e \ufffd é"), `\x1b[2J \xff \u202e ` + "\ufffd é"},
		{fmt.Errorf("x: %w", context.DeadlineExceeded), "x: no answer within 1s; --timeout gives more time"},
		{xpc.ErrNoRegistry, "no registry answers at /x/registry.sock; start one with xpcd, "},
	} {
		if got := errorText(c.err, time.Second); !strings.HasPrefix(got, c.want) || (c.want == "" && got != "") {
			t.Errorf("errorText(%v) = %q, want %q", c.err, got, c.want)
		}
	}
}

func TestEveryCommandHasHelp(t *testing.T) {
	root := (&tool{}).root()
	root.InitDefaultHelpCmd()
	for _, c := range root.Commands() {
		if c.Short == "" || c.Example == "" {
			t.Errorf("%s lacks a short text or an example", c.Name())
		}
		if c.Args == nil {
			t.Errorf("%s does not check its arguments: mistakes would get another exit code", c.Name())
		}
	}
}

// The scripts are what a user relies on: every command and every exit code is in them.
func TestScriptsCoverEverything(t *testing.T) {
	var all strings.Builder
	scripts, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("scripts %v, %v", scripts, err)
	}
	for _, name := range scripts {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(b)
	}
	for _, c := range (&tool{}).root().Commands() {
		if !regexp.MustCompile(`\nexec xpcctl (-\S+ )*` + c.Name() + `\b`).MatchString(all.String()) {
			t.Errorf("no script has %s succeed", c.Name())
		}
	}
	for code := range exitMeanings {
		if code != exitOK && !strings.Contains(all.String(), fmt.Sprintf("\nstatus %d xpcctl ", code)) {
			t.Errorf("no script sees exit code %d", code)
		}
	}
}

// Help without an example is half a help.
func TestEveryCommandHasAnExample(t *testing.T) {
	for _, c := range (&tool{}).root().Commands() {
		if !strings.Contains(c.Example, "xpcctl "+c.Name()) {
			t.Errorf("%s: the help's example is %q", c.Name(), c.Example)
		}
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: short help is %q", c.Name(), c.Short)
		}
	}
}
