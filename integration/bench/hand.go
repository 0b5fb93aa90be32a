package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/openxpc/openxpc/xpc"
)

// handOver gives shared data, which was built in place, to the service, whose
// reply tells its first and last byte. Making it is not timed: whoever has such
// data has it. What the service's memory grew by at its worst is told as well.
func handOver(c caller, size int, limit time.Duration) (outcome, error) {
	x, ok := c.(*xpcCaller)
	if !ok {
		return outcome{}, errNotOffered
	}
	s, err := xpc.NewSharedData(size)
	if err != nil {
		return outcome{}, err
	}
	s.Bytes()[0], s.Bytes()[size-1] = 1, 2
	d, err := s.Freeze()
	if err != nil {
		return outcome{}, err
	}
	if err := call(c, make([]byte, 64)); err != nil {
		return outcome{}, err
	}
	before, err := beginPeak(x.conn.PID())
	if err != nil {
		return outcome{}, err
	}
	o, err := roundTrips(limit, func() error { return x.hand(d) })
	if err != nil {
		return outcome{}, err
	}
	after, err := statusLine(x.conn.PID(), "VmHWM:")
	o.Peak = float64(after - before)
	return o, err
}

func (c *xpcCaller) hand(d *xpc.Data) error {
	m := xpc.NewDictionary()
	m.Set("sample", d)
	reply, err := c.conn.SendMessageWithReplySync(context.Background(), m)
	if err == nil && (reply.GetInt64("first") != 1 || reply.GetInt64("last") != 2) {
		err = fmt.Errorf("bench: the service read something else: %v", reply)
	}
	return err
}

// beginPeak is a process's resident memory, shared pages included, from which on
// its peak is counted.
func beginPeak(pid int) (bytes int, err error) {
	const resetPeak = "5"
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte(resetPeak), 0); err != nil {
		return 0, err
	}
	return statusLine(pid, "VmRSS:")
}

// statusLine is a line of a process's status, which is in kB, in bytes.
func statusLine(pid int, key string) (int, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == key {
			kb, err := strconv.Atoi(f[1])
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("bench: process %d has no %s", pid, key)
}
