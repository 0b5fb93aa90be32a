package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/openxpc/openxpc/integration/bench/internal/echo"
)

// command is one line to a client.
type command struct {
	work    string
	size    int // of the payload in bytes
	callers int // at once; connections for idle, replies awaited for async
	ms      int // how long to go on
}

func (c command) String() string {
	return fmt.Sprintf("%s %d %d %d", c.work, c.size, c.callers, c.ms)
}

func parseCommand(line string) (c command, err error) {
	if _, err = fmt.Sscanf(line, "%s %d %d %d", &c.work, &c.size, &c.callers, &c.ms); err != nil {
		err = fmt.Errorf("bench: command %q: want WORK SIZE CALLERS MILLISECONDS: %w", line, err)
	}
	return c, err
}

// outcome is a client's answer to a command. Fields that do not apply are zero.
type outcome struct {
	Calls   int     `json:"calls"`
	Seconds float64 `json:"seconds"`
	P50     float64 `json:"p50,omitempty"` // nanoseconds
	P99     float64 `json:"p99,omitempty"`
	// Allocations per call, of client and server.
	Allocs       float64 `json:"allocs,omitempty"`
	ServerAllocs float64 `json:"server_allocs,omitempty"`
	// How far the service's resident memory rose, in bytes, for the works of 1 GiB.
	Peak float64 `json:"peak,omitempty"`
	// What the processes say of themselves, for the work "stats".
	Client *echo.Stats `json:"client,omitempty"`
	Server *echo.Stats `json:"server,omitempty"`
	// Of fork and exec, for the work "cold"; else of round trips before.
	BaseP50 float64 `json:"base_p50,omitempty"`
	Error   string  `json:"error,omitempty"`
}

// client carries out commands until there are no more. It reads from a blocking
// descriptor, so that no thread of the runtime looks at a poller meanwhile.
func client(p *peer, addr string, in io.Reader, out io.Writer) error {
	t := &tester{addr: addr, dial: func() (caller, error) { return p.dial(addr) }}
	defer t.hangUp()
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		var o outcome
		cmd, err := parseCommand(lines.Text())
		if err == nil {
			o, err = t.carryOut(cmd)
		}
		if err != nil {
			t.hangUp()
			o = outcome{Error: err.Error()}
		}
		if err := json.NewEncoder(out).Encode(o); err != nil {
			return err
		}
	}
	return lines.Err()
}

// serve is the server's process: it ends with the orchestrator, which holds the
// other end of its standard input.
func serve(p *peer, addr string) error {
	if p.serve == nil {
		return fmt.Errorf("bench: %s has no server of its own", p.key)
	}
	go func() { // ends the process
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	return p.serve(addr, func() { fmt.Println("ready") })
}
