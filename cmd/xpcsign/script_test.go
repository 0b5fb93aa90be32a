package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"github.com/openxpc/openxpc/credentials/codesign"
	"github.com/openxpc/openxpc/integration/leaktest"
)

// TestMain makes xpcsign a command of the scripts, and counts goroutines and
// descriptors afterwards.
func TestMain(m *testing.M) {
	testscript.Main(counted{m}, map[string]func(){"xpcsign": main})
}

type counted struct{ m *testing.M }

func (c counted) Run() int {
	done := leaktest.Start()
	code := c.m.Run()
	if !done() {
		code = 1
	}
	return code
}

// Each script has a home and a root of its own, and must say --user or --root: as
// root the system's own places would be meant.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
			env.Setenv("XDG_CONFIG_HOME", "")
			env.Setenv("XDG_DATA_HOME", "")
			env.Setenv("GORACE", "atexit_sleep_ms=0")
			return nil
		},
		Condition: func(name string) (bool, error) {
			if name == "root" {
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %s", name)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"status": checkStatus,
			"mode": func(ts *testscript.TestScript, _ bool, args []string) { // mode 2755 FILE
				info, err := os.Stat(ts.MkAbs(args[1]))
				ts.Check(err)
				mode := info.Mode().Perm()
				if info.Mode()&os.ModeSetgid != 0 {
					mode |= 0o2000
				}
				if got := fmt.Sprintf("%o", uint32(mode)); got != args[0] {
					ts.Fatalf("%s has mode %s, want %s", args[1], got, args[0])
				}
			},
		},
	})
}

// checkStatus runs a command line and compares its exit code: status 3 xpcsign verify x.
func checkStatus(ts *testscript.TestScript, _ bool, args []string) {
	code := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("%v: exit code %d, want %s\n%s", args[1:], code, args[0], ts.ReadFile("stderr"))
	}
	if n := strings.Count(ts.ReadFile("stderr"), "\n"); code != 0 && n == 0 {
		ts.Fatalf("%v: exit code %d without a word", args[1:], code)
	}
}

// commands are those that do something.
func commands(c *cobra.Command) (all []*cobra.Command) {
	for _, c := range c.Commands() {
		if c.HasSubCommands() {
			all = append(all, commands(c)...)
			continue
		}
		all = append(all, c)
	}
	return all
}

func TestEveryCommandHasHelp(t *testing.T) {
	for _, c := range commands((&tool{}).command()) {
		if c.Short == "" || c.Example == "" || c.Args == nil {
			t.Errorf("%s lacks a short text, an example or a check of its arguments", c.CommandPath())
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
	text := all.String()
	for _, c := range commands((&tool{}).command()) {
		words := strings.TrimPrefix(c.CommandPath(), "xpcsign ")
		if !regexp.MustCompile(`\n(\[.*\] )?exec xpcsign (--user |--root \S+ )(-\S+ )*` + words + `\b`).MatchString(text) {
			t.Errorf("no script has %s succeed", words)
		}
	}
	for _, code := range []int{exitError, exitUnsigned, exitRefused, exitUsage, exitBadFile} {
		if !strings.Contains(text, fmt.Sprintf("\nstatus %d xpcsign ", code)) {
			t.Errorf("no script sees exit code %d", code)
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^.*(exec|status \d+) xpcsign (.*)$`).FindAllStringSubmatch(text, -1) {
		if !strings.HasPrefix(m[2], "--user ") && !strings.HasPrefix(m[2], "--root ") && !strings.Contains(m[2], "help") {
			t.Errorf("%q could change this system: say --user or --root", m[0])
		}
	}
}

func TestExitCode(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("x"), 1},
		{codesign.ErrUnsigned, 3},
		{codesign.ErrDenied, 4},
		{fmt.Errorf("x: %w", codesign.ErrExpired), 4},
		{codesign.ErrTrust, 1},
		{codesign.ErrImage, 1},
		{codesign.ErrMalformed, 65},
		{badFile(errors.New("x")), 65},
		{&usageError{}, 64},
	} {
		if got := exitCode(c.err); got != c.want {
			t.Errorf("%v: exit code %d, want %d", c.err, got, c.want)
		}
	}
}

func TestOneLine(t *testing.T) {
	for _, c := range [][2]string{{"a\nb\r\n", "a; b"}, {"\x1b[2J \xff é", `\x1b[2J \xff é`}, {"a b", "a b"}} {
		if got := oneLine(c[0]); got != c[1] {
			t.Errorf("oneLine(%q) = %q, want %q", c[0], got, c[1])
		}
	}
}

// This test is a program for this machine.
func TestDescribe(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	f, err := describe(exe)
	if err != nil || f.Size == 0 {
		t.Errorf("%+v, %v", f, err)
	}
}
