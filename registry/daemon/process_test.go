package daemon

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/registry"
)

func TestEnvironment(t *testing.T) {
	own := []string{"PATH=/bin", "HOME=/root", "SECRET=x", "XPC_REGISTRY=/other", "LD_PRELOAD=y", "TMPDIR=/var/tmp"}
	got := environment(own, map[string]string{"HOME": "/srv", "MODE": "a"}, "/r.sock", 3)
	want := []string{"HOME=/srv", "MODE=a", "PATH=/bin", "TMPDIR=/var/tmp", "XPC_BOOTSTRAP_FD=3", "XPC_REGISTRY=/r.sock"}
	if !slices.Equal(got, want) {
		t.Errorf("a job sees a few variables of ours, its own, and which registry is its: got %q, want %q", got, want)
	}
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "prog"), []byte("#!/bin/sh\n"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "text"), nil, 0o644))
	env := []string{"PATH=relative:/none:" + dir}
	if got, err := find("prog", "", env); err != nil || got != filepath.Join(dir, "prog") {
		t.Errorf("a bare word is looked for in the job's PATH: %q, %v", got, err)
	}
	for program, want := range map[string]string{
		"none":                    "not found in PATH",
		filepath.Join(dir, "no"):  "no such file or directory",
		filepath.Join(dir, "sub"): "no such file or directory",
		dir:                       "is a directory",
	} {
		if _, err := find(program, "", env); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", program, err, want)
		}
	}
	// Root may execute what has no x bit for anybody? No: nobody may.
	if _, err := find(filepath.Join(dir, "text"), "", env); !errors.Is(err, unix.EACCES) {
		t.Errorf("a file that is no program: got %v", err)
	}
}

// runToEnd runs a job file to its end and returns its status.
func runToEnd(t *testing.T, j *registry.Job) int {
	t.Helper()
	own, child, err := bootstrapPair()
	must(t, err)
	defer own.Close()
	ended := make(chan struct{})
	p, err := spawn(j, surroundings{registry: "/r.sock", helper: self(t)}, child, func() { close(ended) })
	child.Close()
	must(t, err)
	<-ended
	status, _ := p.finish()
	return status
}

func TestSpawn(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	j := &registry.Job{
		Label: "x", Program: "sh",
		Arguments:        []string{"sh", "-c", "pwd; echo $MODE; cat; test -S /dev/fd/$XPC_BOOTSTRAP_FD && echo bootstrap; ps -o sid= -p $$ >/dev/null; exit 7"},
		Environment:      map[string]string{"MODE": "quiet"},
		WorkingDirectory: dir, StandardOutPath: out, StandardErrorPath: out,
	}
	if status := runToEnd(t, j); status != 7 {
		t.Errorf("status: got %d, want the program's own", status)
	}
	text, _ := os.ReadFile(out)
	if want := dir + "\nquiet\nbootstrap\n"; !strings.HasPrefix(string(text), want) {
		t.Errorf("got %q, want %q", text, want)
	}
	j.Arguments = []string{"sh", "-c", "kill -KILL $$"}
	if status := runToEnd(t, j); status != -9 {
		t.Errorf("status: got %d, want the negative signal", status)
	}
}

func TestTheRestOfTheGroupIsEnded(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "out")
	must(t, unix.Mkfifo(fifo, 0o600))
	out, err := os.OpenFile(fifo, os.O_RDWR, 0)
	must(t, err)
	defer out.Close()
	own, child, err := bootstrapPair()
	must(t, err)
	defer own.Close()
	ended := make(chan struct{})
	p, err := spawn(&registry.Job{Label: "x", Program: "sh", StandardOutPath: fifo, StandardErrorPath: fifo,
		Arguments: []string{"sh", "-c", "(trap 'echo told; exit' TERM; echo up; while :; do sleep 0.1; done) & wait"}},
		surroundings{}, child, func() { close(ended) })
	child.Close()
	must(t, err)
	readUntil(t, out, "up")
	p.signal(unix.SIGKILL)
	<-ended
	p.finish()
	readUntil(t, out, "told") // R222
}

func readUntil(t *testing.T, f *os.File, want string) {
	t.Helper()
	var got strings.Builder
	buf := make([]byte, 64)
	for !strings.Contains(got.String(), want) {
		n, err := f.Read(buf)
		if err != nil {
			t.Fatalf("waiting for %q: %v", want, err)
		}
		got.Write(buf[:n])
	}
}

func TestSpawnFailures(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	must(t, os.WriteFile(text, []byte("no program"), 0o755))
	fifo := filepath.Join(dir, "fifo")
	must(t, unix.Mkfifo(fifo, 0o600))
	for want, j := range map[string]*registry.Job{
		`cannot execute "/no/such": no such file or directory`:    {Program: "/no/such"},
		`cannot execute "` + text + `": exec format error`:        {Program: text},
		`working directory "/no/such": no such file or directory`: {Program: "sh", WorkingDirectory: "/no/such"},
		`output file "/no/such/out": no such file or directory`:   {Program: "sh", StandardOutPath: "/no/such/out"},
		`output file "` + fifo + `": no such device or address`:   {Program: "sh", StandardErrorPath: fifo},
		`cannot execute "no-such-word": not found in PATH`:        {Program: "no-such-word"},
		`working directory "` + text + `": not a directory`:       {Program: "sh", WorkingDirectory: text},
		`cannot execute "` + dir + `": is a directory`:            {Program: dir},
	} {
		own, child, err := bootstrapPair()
		must(t, err)
		j.Arguments = []string{j.Program}
		_, err = spawn(j, surroundings{}, child, func() { t.Error("what was not started has ended") })
		if err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		own.Close()
		child.Close()
	}
}
