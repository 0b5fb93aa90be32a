package main

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// patience bounds a random call: some wait for what never comes.
const patience = 20 * time.Millisecond

// Whatever the command line, xpcctl ends with a documented code, and tells an
// error in one harmless line that names what it is about.
func TestRandomCommandLines(t *testing.T) {
	calls := 10000
	if testing.Short() {
		calls = 1000
	}
	xpcd, err := exec.LookPath("xpcd")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", filepath.Dir(xpcd)) // run, submit and debug find no other command, and so run none
	live := serveEcho(t)
	t.Setenv(bootstrap.EnvRegistry, "")
	t.Chdir(randomFiles(t))
	r := rand.New(rand.NewPCG(1, 2))
	seen := map[int]int{}
	for range calls {
		args := randomArgs(r)
		os.Setenv(bootstrap.EnvRegistry, "none.sock")
		if r.IntN(8) == 0 {
			os.Setenv(bootstrap.EnvRegistry, live)
		}
		var out, errOut bytes.Buffer
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		code := run(ctx, args, &out, &errOut)
		cancel()
		seen[code]++
		if wrong := judge(args, code, errOut.String()); wrong != "" {
			t.Errorf("xpcctl %q: exit code %d, %s; stderr:\n%s", args, code, wrong, errOut.String())
		}
		if t.Failed() {
			break
		}
	}
	for _, code := range []int{exitOK, exitError, exitNoRegistry, exitUnknownName, exitTimeout, exitUsage, exitBadJob, exitNotFound} {
		if seen[code] == 0 {
			t.Errorf("no call ended with code %d: the test has lost its reach", code)
		}
	}
}

// serveEcho gives the socket of a registry in which com.example.echo answers.
func serveEcho(t *testing.T) string {
	reg, err := startRegistry(t.Context(), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(bootstrap.EnvRegistry, reg.socket)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan int, 1)
	go func() { // ends with ctx; the clean-up waits for it
		done <- run(ctx, []string{"-q", "listen", "--echo", "com.example.echo"}, os.Stdout, os.Stderr)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		reg.stop()
	})
	if code := run(t.Context(), []string{"wait", "com.example.echo"}, os.Stdout, os.Stderr); code != exitOK {
		t.Fatalf("no echo service: exit code %d", code)
	}
	return reg.socket
}

func randomFiles(t *testing.T) string {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"good.json":  `{"Label": "com.example.good", "Program": "/bin/true", "MachServices": {"com.example.good": true}}`,
		"bad.json":   `{"Label": 5}`,
		"bad.plist":  "<plist><dict><key>\xff\x1b",
		"line\n.txt": "text",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

var (
	randomCommands = []string{
		"bootstrap", "bootout", "list", "print", "status", "call", "send", "ping", "error", "validate", "version",
		"blame", "kickstart", "kill", "debug", "submit", "enable", "disable", "print-disabled", "remove", "managername",
		"manageruid", "managerpid", "logs", "procinfo", "doctor", "completion", "help", "run", "call", "call", "send", "validate", "cal", "", "\xff", "\x1b[2J",
	}
	randomFlags = []string{
		"-j", "--json", "--json=maybe", "-q", "--timeout", "--timeout=1ms", "--timeout=-1s", "--timeout=soon", "--timeout=1h",
		"--timeout=99999999999999999999h", "--registry", "--registry=", "--registry=none", "--registry=\xff", "--long", "-l",
		"--echo", "--count", "--count=1", "--count=-5", "--count=99999999999999999999", "--job", "--job=bad.json", "-h", "--help",
		"-x", "-\xff", "--", "---", "-", "--=", "-k", "-p", "-n=1", "-n=-1", "-n=99999999999999999999", "-p=", "-l=com.example.good",
		"--label", "--environment", "--environment=A=b", "--environment=\xff", "--stdout=/none/out", "--program=none", "--no\npe", "--n\x1bpe=5", "-jq", "-jx",
	}
	randomNames = []string{
		"com.example.echo", "com.example.echo", "com.example.nobody", "com.example.good", "a/b", "", "\xff", "a\nb", "\x1b",
		"system", "system/", "system/a", "user/0", "user/0/com.example.good", "user/", "gui/99999999999/a", "pid/1", "pid/x", "/", "\xff/a",
		strings.Repeat("n", 127), strings.Repeat("n", 128), "\u202e", "bash",
	}
	randomPaths  = []string{"good.json", "bad.json", "bad.plist", "line\n.txt", "none.json", ".", "/dev/null", "/dev/zero", "", "\xff"}
	randomTypes  = []string{"", "", "null", "bool", "int64", "uint64", "double", "date", "data", "string", "uuid", "fd", "array", "dictionary", "int", "\xff"}
	randomKeys   = []string{"key", "key", "n", "a:b", "", "=", "\xff", "$int64", "ü"}
	randomValues = []string{
		"", "TERM", "9", "SIGNOTHING", "65", "-9", "0", "-1", "5", "9223372036854775808", "-9223372036854775809", "18446744073709551616", "1e999", "nan", "0x1F", "1_000",
		"true", "now", "2024-02-30T00:00:00Z", "9999-01-01T00:00:00Z", "AAEC", "A", "@good.json", "@none", "@.", "\xff\xfe", `{"k":"\u0000"}`,
		"01234567-89ab-cdef-0123-456789abcdef", "[1,2", "[1,{\"$uint64\":-1}]", "{\"a\":null}", "{\"$data\":5}",
		strings.Repeat("[", 1000), strings.Repeat("9", 1000), "\x1b[2J", "\u202e", "null",
	}
)

func pick(r *rand.Rand, from []string) string { return from[r.IntN(len(from))] }

func randomArgs(r *rand.Rand) []string {
	var args []string
	for r.IntN(3) == 0 {
		args = append(args, pick(r, randomFlags))
	}
	command := pick(r, randomCommands)
	if r.IntN(40) == 0 {
		command = []string{"wait", "listen"}[r.IntN(2)] // these use up their time
	}
	args = append(args, command)
	for n := r.IntN(5); n > 0; n-- {
		args = append(args, randomArg(r))
	}
	return args
}

func randomArg(r *rand.Rand) string {
	switch r.IntN(6) {
	case 0:
		return pick(r, randomFlags)
	case 1:
		return pick(r, randomNames)
	case 2:
		return pick(r, randomPaths)
	case 3:
		return pick(r, randomValues)
	case 4:
		junk := make([]byte, r.IntN(20))
		for i := range junk {
			junk[i] = byte(1 + r.IntN(255)) // no command line can hold a NUL
		}
		return string(junk)
	}
	return pick(r, randomKeys) + ":" + pick(r, randomTypes) + "=" + pick(r, randomValues)
}

// judge says what is wrong with the end of a call, "" for nothing.
func judge(args []string, code int, stderr string) string {
	_, documented := exitMeanings[code]
	lines := strings.Split(strings.TrimSuffix(stderr, "\n"), "\n")
	last := lines[len(lines)-1]
	switch {
	case !documented && code != exitSignal+2:
		return "which is not documented"
	case !utf8.ValidString(stderr) || strings.ContainsFunc(strings.ReplaceAll(stderr, "\n", ""), func(r rune) bool { return !unicode.IsPrint(r) }):
		return "what a terminal could be disturbed by"
	case code != exitOK && !strings.HasPrefix(last, "xpcctl: "):
		return "no error on the last line"
	case (code == exitUsage || code == exitBadJob || code == exitUnknownName) && !names(last, args):
		return "the error does not name the argument"
	}
	for _, line := range lines[:len(lines)-1] {
		if !strings.HasPrefix(line, "xpcctl: warning: ") {
			return "more than one line of error"
		}
	}
	return ""
}

// names says whether a line has one of the arguments in it, as it is or quoted,
// or what is missing.
func names(line string, args []string) bool {
	if strings.Contains(line, " is missing; ") || strings.Contains(line, "argument NAME: ") || strings.Contains(line, "unknown shorthand flag: ") || strings.Contains(line, "job files with errors") {
		return true // the findings are on stdout
	}
	for _, arg := range args {
		flag, value, _ := strings.Cut(arg, "=")
		for _, part := range []string{arg, flag, value} {
			if part != "" && (strings.Contains(line, oneLine(part)) || strings.Contains(line, strconv.Quote(part))) {
				return true
			}
		}
	}
	return strings.Contains(line, `""`) || strings.Contains(line, "it is empty")
}

// A signal ends what waits, and is told from the end of the time.
func TestSignalWhileWaiting(t *testing.T) {
	serveEcho(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	if code := run(ctx, []string{"wait", "com.example.nobody"}, &out, &out); code != exitSignal+2 {
		t.Errorf("exit code %d, want 130, as shells have it for SIGINT", code)
	}
	if code := run(ctx, []string{"listen", "com.example.mine"}, &out, &out); code != exitOK {
		t.Errorf("exit code of listen %d, want 0: a signal is how it ends", code)
	}
}
