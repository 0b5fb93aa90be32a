package main

import (
	"errors"
	"strconv"
	"strings"
	"unicode"

	"github.com/openxpc/openxpc/credentials/codesign"
	"github.com/openxpc/openxpc/credentials/requirement"
)

// The exit codes are a contract with scripts; docs/signing.md lists them. They are
// xpcctl's where it has the condition.
const (
	exitOK       = 0
	exitError    = 1
	exitUnsigned = 3
	exitRefused  = 4
	exitUsage    = 64
	exitBadFile  = 65
)

// statusError ends xpcsign with a code of its own; without err it says nothing.
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

// badFile is an input that is not what it should be.
func badFile(err error) error { return &statusError{exitBadFile, err} }

// exits maps what package codesign says to codes; any other of its reasons is a refusal.
var exits = map[codesign.Reason]int{
	codesign.ErrUnsigned:  exitUnsigned,
	codesign.ErrMalformed: exitBadFile,
	codesign.ErrImage:     exitError,
	codesign.ErrTrust:     exitError,
}

func exitCode(err error) int {
	var status *statusError
	var usage *usageError
	var syntax *requirement.SyntaxError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &status):
		return status.code
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &syntax):
		return exitBadFile
	}
	reason := reasonOf(err)
	if code, ok := exits[reason]; ok {
		return code
	}
	if reason != "" {
		return exitRefused
	}
	return exitError
}

// reasonOf is why a signature counts for nothing; "" if it is another error.
func reasonOf(err error) codesign.Reason {
	var reason codesign.Reason
	errors.As(err, &reason)
	return reason
}

// oneLine joins lines, and escapes what could disturb a terminal.
func oneLine(text string) string {
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
		text = strings.Trim(strconv.Quote(text), `"`)
	}
	return text
}
