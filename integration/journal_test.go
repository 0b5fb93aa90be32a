package integration_test

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// journal is what the processes of a test said, in order for each of them. A test
// reads it like a conversation: every line has to be expected.
type journal struct {
	t *testing.T

	mu      sync.Mutex // guards the rest
	lines   map[string][]line
	errors  []string // of everybody's standard error
	more    chan struct{}
	said    map[line]bool // final events that were read
	readers sync.WaitGroup
}

type line struct {
	who  string
	pid  int
	text string
}

func newJournal(t *testing.T) *journal {
	return &journal{t: t, lines: map[string][]line{}, more: make(chan struct{}), said: map[line]bool{}}
}

// pipe returns the writing end of a pipe whose lines go to take. The caller
// closes it once a process has it.
func (j *journal) pipe(take func(string)) *os.File {
	j.t.Helper()
	r, w, err := os.Pipe()
	must(j.t, err)
	// Ends with the last process that holds the other end; close waits for it.
	j.readers.Go(func() {
		defer r.Close()
		in := bufio.NewReader(r)
		for {
			text, err := in.ReadString('\n')
			if text != "" {
				take(strings.TrimSuffix(text, "\n"))
			}
			if err != nil {
				return
			}
		}
	})
	return w
}

func (j *journal) changed() {
	close(j.more)
	j.more = make(chan struct{})
}

// take files a line of a helper's.
func (j *journal) take(text string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	parts := strings.SplitN(text, "\t", 3)
	if len(parts) != 3 {
		j.errors = append(j.errors, text)
		return
	}
	pid, _ := strconv.Atoi(parts[1])
	l := line{parts[0], pid, parts[2]}
	j.lines[l.who] = append(j.lines[l.who], l)
	j.changed()
}

// takeError files a line of standard error.
func (j *journal) takeError(text string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.errors = append(j.errors, text)
	j.changed()
}

// await calls find under the lock until it answers true, and fails the test
// after patience.
func (j *journal) await(why string, find func() bool) {
	j.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		j.mu.Lock()
		found, more := find(), j.more
		j.mu.Unlock()
		if found {
			return
		}
		select {
		case <-more:
		case <-deadline.C:
			j.t.Fatalf("%s: nothing came", why)
		}
	}
}

// next is the next line of who's.
func (j *journal) next(why, who string) (l line) {
	j.t.Helper()
	j.await(fmt.Sprintf("%s: the next line of %s", why, who), func() bool {
		if len(j.lines[who]) == 0 {
			return false
		}
		l = j.lines[who][0]
		j.lines[who] = j.lines[who][1:]
		j.said[l] = true
		return true
	})
	return l
}

// says wants who's next lines to be these.
func (j *journal) says(why, who string, want ...string) {
	j.t.Helper()
	for _, text := range want {
		if got := j.next(why, who); got.text != text {
			j.t.Fatalf("%s: %s says %q, want %q", why, who, got.text, text)
		}
	}
}

// finally wants these to be among who's lines, in any order and with others between.
func (j *journal) finally(why, who string, want ...string) {
	j.t.Helper()
	for _, text := range want {
		j.await(fmt.Sprintf("%s: %s says %q", why, who, text), func() bool {
			for i, l := range j.lines[who] {
				if l.text == text {
					j.lines[who] = append(j.lines[who][:i:i], j.lines[who][i+1:]...)
					j.said[l] = true
					return true
				}
			}
			return false
		})
	}
}

// silent wants who to have said nothing more so far.
func (j *journal) silent(why, who string) {
	j.t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	if l := j.lines[who]; len(l) > 0 {
		j.t.Fatalf("%s: %s says %q", why, who, l[0].text)
	}
}

// dies wants text on the standard error of one of the processes, which may panic.
func (j *journal) dies(why, text string) {
	j.t.Helper()
	j.await(fmt.Sprintf("%s: %q on standard error", why, text), func() bool {
		for i, e := range j.errors {
			if strings.Contains(e, text) {
				j.errors[i] = ""
				return true
			}
		}
		return false
	})
}

// mayDie forgets what a process that ended by panic printed; dies has checked it.
func (j *journal) mayDie() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.errors = nil
}

// close waits until every process has let go of its pipes, and fails the test for
// what was said and not expected. What its own end brings about is: each accepted
// peer's one INVALID.
func (j *journal) close() {
	j.t.Helper()
	ended := make(chan struct{})
	// Ends with the last reader.
	go func() {
		j.readers.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(patience):
		j.t.Error("a process still holds its pipes")
		return
	}
	for _, lines := range j.lines {
		for _, l := range lines {
			if !strings.HasSuffix(l.text, invalid) || j.said[l] {
				j.t.Errorf("nobody expected of %s (pid %d): %q", l.who, l.pid, l.text)
			}
			j.said[l] = true
		}
	}
	for _, e := range j.errors {
		if strings.HasPrefix(e, "panic:") || strings.HasPrefix(e, "fatal error:") || strings.Contains(e, "DATA RACE") {
			j.t.Errorf("on standard error:\n%s", strings.Join(j.errors, "\n"))
			return
		}
	}
	if j.t.Failed() {
		j.t.Logf("on standard error:\n%s", strings.Join(j.errors, "\n"))
	}
}
