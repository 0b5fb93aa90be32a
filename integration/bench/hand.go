package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/openxpc/openxpc/xpc"
)

// handedOver is how many are made beforehand.
const handedOver = 4

// handOver gives shared data, which was built in place, to the service, whose
// reply tells a byte of its first and of its last page: of those that it reads, or where
// it maps the data, of those that it looks at. Each is one that nobody has seen before.
// Making it is not timed: whoever has such data has it. What the service's memory
// grew by at its worst is told as well.
func handOver(c caller, how string, size int, limit time.Duration) (outcome, error) {
	x, ok := c.(*xpcCaller)
	if !ok {
		return outcome{}, errNotOffered
	}
	var data [handedOver]*xpc.Data
	for i := range data {
		d, err := sharedData(size)
		if err != nil {
			return outcome{}, err
		}
		data[i] = d
	}
	// Small ones first: the processes are as busy with each other as in the other works.
	small, err := smallRoundTrips(c, limit)
	if err != nil {
		return outcome{}, err
	}
	before, err := beginPeak(x.conn.PID())
	if err != nil {
		return outcome{}, err
	}
	samples := make([]float64, 0, len(data))
	start := time.Now()
	for _, d := range data {
		began := time.Now()
		if err := x.hand(d, how); err != nil {
			return outcome{}, err
		}
		samples = append(samples, float64(time.Since(began)))
	}
	runtime.KeepAlive(data) // to take a GiB away takes longer than to hand it over
	o := sampled(samples, time.Since(start))
	o.BaseP50 = small
	after, err := statusLine(x.conn.PID(), "VmHWM:")
	o.Peak = float64(after - before)
	return o, err
}

func sharedData(size int) (*xpc.Data, error) {
	s, err := xpc.NewSharedData(size)
	if err != nil {
		return nil, err
	}
	s.Bytes()[0], s.Bytes()[size-1] = 1, 2
	return s.Freeze()
}

func (c *xpcCaller) hand(d *xpc.Data, how string) error {
	m := xpc.NewDictionary()
	m.Set(how, d)
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
