package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The last lines are found from the end, over the borders of what is read at once.
func TestLastLines(t *testing.T) {
	long := strings.Repeat("x", 20<<10)
	for _, tt := range []struct {
		content string
		lines   int
		want    string
	}{
		{"", 3, ""},
		{"a\nb\nc\n", 2, "b\nc\n"},
		{"a\nb\nc", 2, "b\nc\n"}, // a line that has not ended is one all the same
		{"a\nb\n", 5, "a\nb\n"},
		{"a\nb\n", 0, ""},
		{"\n\n\n", 2, "\n\n"},
		{long + "\n" + long + "\nend\n", 2, long + "\nend\n"},
	} {
		path := filepath.Join(t.TempDir(), "log")
		if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		l := &logs{tool: &tool{out: &out}, files: []*logFile{{path: path}}}
		if err := l.last(tt.lines, false); err != nil {
			t.Error(err)
		}
		l.close()
		if out.String() != tt.want {
			t.Errorf("the last %d lines of %.20q (%d bytes): got %.20q (%d bytes), want %d bytes", tt.lines, tt.content, len(tt.content), out.String(), out.Len(), len(tt.want))
		}
	}
}

// A file that is followed may grow by pieces, be cut, be replaced, and come late.
func TestFollowedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	var out bytes.Buffer
	f := &logFile{path: path}
	l := &logs{tool: &tool{out: &out}, files: []*logFile{f}}
	defer l.close()
	write := func(flag int, text string) {
		t.Helper()
		w, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|flag, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(w, text)
		w.Close()
	}
	look := func(why, want string) {
		t.Helper()
		out.Reset()
		if err := f.reopen(); err != nil {
			t.Fatal(err)
		}
		if err := l.more(f); err != nil {
			t.Fatal(err)
		}
		if out.String() != want {
			t.Errorf("%s: got %q, want %q", why, out.String(), want)
		}
	}
	look("not there yet", "")
	write(os.O_APPEND, "one\ntw")
	look("a line and a half", "one\n")
	write(os.O_APPEND, "o\n")
	look("the other half", "two\n")
	write(os.O_TRUNC, "cut\n")
	look("cut: shorter than before", "cut\n")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	look("moved away", "")
	write(os.O_APPEND, "a new file, longer than the old one\n")
	look("replaced", "a new file, longer than the old one\n")
	endless := strings.Repeat("x", 3*maxLogLine)
	write(os.O_APPEND, endless)
	out.Reset()
	if err := l.more(f); err != nil || len(f.rest) >= maxLogLine {
		t.Errorf("a line without end: %d bytes are kept, %v", len(f.rest), err)
	}
}
