// Command xpcctl talks to the registry and to the services behind it: what
// launchctl does for services, and calling them from the command line.
//
// The registry is reached like any other service, through package xpc. Each
// command has its file; value forms are in internal/value, exit codes in exit.go.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends whatever the first could not
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
