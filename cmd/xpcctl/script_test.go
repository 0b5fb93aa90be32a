package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/openxpc/openxpc/integration/leaktest"
	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// TestMain makes xpcctl a command of the scripts, builds the xpcd that they
// need, and counts goroutines and descriptors afterwards.
func TestMain(m *testing.M) {
	testscript.Main(counted{m}, map[string]func(){"xpcctl": main, "ownclient": ownClient})
}

// ownClient calls com.example.own, which is its program's own service, and then runs a
// command, whose environment has its pid in CLIENT.
func ownClient() {
	c := xpc.NewConnection("com.example.own", nil)
	c.SetEventHandler(func(xpc.Object) {})
	c.Activate()
	_, err := c.SendMessageWithReplySync(context.Background(), xpc.NewDictionary())
	if err == nil {
		command := exec.Command(os.Args[1], os.Args[2:]...)
		command.Env = append(os.Environ(), fmt.Sprint("CLIENT=", os.Getpid()))
		command.Stdout, command.Stderr = os.Stdout, os.Stderr
		err = command.Run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type counted struct{ m *testing.M }

func (c counted) Run() int {
	dir, err := buildXpcd()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	done := leaktest.Start()
	code := c.m.Run()
	if !done() {
		code = 1
	}
	return code
}

// buildXpcd puts an xpcd of this very source into a folder and in front of PATH.
func buildXpcd() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "xpcd-"); err != nil {
		return "", err
	}
	out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "xpcd"), "../xpcd").CombinedOutput()
	if err != nil {
		os.RemoveAll(dir)
		return "", fmt.Errorf("building xpcd: %w\n%s", err, out)
	}
	return dir, os.Setenv("PATH", dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
}

// Each script has a registry of its own. The command fill replaces $VARIABLE in
// a file by its value, for job files that need absolute paths.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			ctx, cancel := context.WithTimeout(context.Background(), defaultTimeout)
			defer cancel()
			reg, err := startRegistry(ctx, os.Stderr)
			if err != nil {
				return err
			}
			env.Defer(reg.stop)
			env.Setenv(bootstrap.EnvRegistry, reg.socket)
			env.Setenv("GORACE", "atexit_sleep_ms=0") // a second for each process otherwise
			for _, name := range []string{"xpcctl", "ownclient"} {
				path, err := exec.LookPath(name)
				if err != nil {
					return err
				}
				env.Setenv(strings.ToUpper(name), path)
			}
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"fill": func(ts *testscript.TestScript, _ bool, args []string) {
				for _, name := range args {
					path := ts.MkAbs(name)
					b, err := os.ReadFile(path)
					ts.Check(err)
					ts.Check(os.WriteFile(path, []byte(os.Expand(string(b), ts.Getenv)), 0o600))
				}
			},
			"status": checkStatus,
		},
	})
}

// checkStatus runs a command line and compares its exit code: status 3 xpcctl call x.
func checkStatus(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: status CODE COMMAND...")
	}
	code := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		code, _ = commandCode(exit)
	}
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("%v: exit code %d, want %s\n%s", args[1:], code, args[0], ts.ReadFile("stderr"))
	}
}
