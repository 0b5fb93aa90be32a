package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/openxpc/openxpc/cmd/xpcctl/internal/value"
	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// The exit codes are a contract with scripts; docs/xpcctl.md lists them.
const (
	exitOK          = 0
	exitError       = 1
	exitNoRegistry  = 2
	exitUnknownName = 3
	exitRefused     = 4
	exitTimeout     = 5
	exitInterrupted = 6
	exitLaunch      = 7
	exitUsage       = 64
	exitBadJob      = 65
	exitCannotRun   = 126
	exitNotFound    = 127
	exitSignal      = 128 // plus the signal's number
)

// statusError ends xpcctl with a code of its own; without err it says nothing.
type statusError struct {
	code int
	err  error
}

func (e *statusError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *statusError) Unwrap() error { return e.err }

// registryError is an answer of the registry that says no.
type registryError struct {
	code   bootstrap.Code
	reason string
}

func (e *registryError) Error() string { return e.reason }

// exits maps conditions to codes. The order matters: an interruption may wrap
// its cause, and the cause is what helps.
var exits = []struct {
	is   error
	code int
}{
	{value.ErrArgument, exitUsage},
	{xpc.ErrNoRegistry, exitNoRegistry},
	{xpc.ErrUnknownName, exitUnknownName},
	{xpc.ErrNotPermitted, exitRefused},
	{xpc.ErrPeerCodeSigningRequirement, exitRefused},
	{context.DeadlineExceeded, exitTimeout},
	{context.Canceled, exitSignal + 2},
	{xpc.ErrLaunchFailed, exitLaunch},
	{xpc.ErrConnectionInterrupted, exitInterrupted},
}

func exitCode(err error) int {
	var status *statusError
	var refusal *registryError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &status):
		return status.code
	case isUsage(err):
		return exitUsage
	case errors.As(err, &refusal):
		return registryExit(refusal.code)
	}
	for _, e := range exits {
		if errors.Is(err, e.is) {
			return e.code
		}
	}
	return exitError
}

func registryExit(code bootstrap.Code) int {
	switch code {
	case bootstrap.UnknownService, bootstrap.NotRunning:
		return exitUnknownName
	case bootstrap.NotPrivileged, bootstrap.Disabled:
		return exitRefused
	case bootstrap.BadJob:
		return exitBadJob
	}
	return exitError
}

// errorText is the one line that the user sees, without "xpcctl: "; empty if
// there is nothing to say. timeout is what --timeout was.
func errorText(err error, timeout time.Duration) string {
	if err == nil {
		return ""
	}
	text := err.Error()
	if errors.Is(err, xpc.ErrNoRegistry) {
		text = fmt.Sprintf("no registry answers at %s; start one with xpcd, or run a command under one of its own with xpcctl run -- COMMAND",
			strings.Join(bootstrap.Paths(), " or "))
	}
	text = strings.TrimPrefix(text, "xpc: ")
	text = strings.ReplaceAll(text, context.DeadlineExceeded.Error(), fmt.Sprintf("no answer within %s; --timeout gives more time", timeout))
	return oneLine(text)
}

// oneLine joins lines, and escapes what could disturb a terminal: arguments and
// the words of peers are in it.
func oneLine(text string) string {
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
	var b strings.Builder
	for i, r := range text {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], string(utf8.RuneError)):
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return b.String()
}
