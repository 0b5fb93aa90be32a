package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/openxpc/openxpc/integration/bench/internal/echo"
)

// errNotOffered says that a system has no such thing.
var errNotOffered = errors.New("not offered")

// tester carries out works over one connection, which it keeps from one to the next.
type tester struct {
	addr string
	dial func() (caller, error)
	conn caller
	idle []caller
}

func (t *tester) hangUp() {
	if t.conn != nil {
		t.conn.Close()
		t.conn = nil
	}
}

func (t *tester) connect() (caller, error) {
	if t.conn == nil {
		c, err := t.dial()
		if err != nil {
			return nil, err
		}
		t.conn = c
	}
	return t.conn, nil
}

func (t *tester) carryOut(cmd command) (outcome, error) {
	if cmd.work == "lookup" { // of a registry that has no such service
		return lookUps(t.addr, cmd.callers)
	}
	c, err := t.connect()
	if err != nil {
		return outcome{}, err
	}
	limit := time.Duration(cmd.ms) * time.Millisecond
	var payload []byte
	if cmd.work != handRead && cmd.work != handMap { // whose data is made elsewhere
		// Written to, as whatever is sent was: else the first to read it pays for each of its pages.
		payload = bytes.Repeat([]byte("x"), cmd.size)
	}
	switch cmd.work {
	case "rtt":
		return roundTrips(limit, func() error { return call(c, payload) })
	case "connect":
		return t.connects(c, limit, payload)
	case "many":
		return manyCallers(c, payload, cmd.callers, limit)
	case "async":
		return asyncCalls(c, payload, cmd.callers, limit)
	case "oneway":
		return oneWay(c, payload, limit)
	case "allocs":
		return allocations(c, payload, limit)
	case handRead, handMap:
		return handOver(c, cmd.work, cmd.size, limit)
	case "cold":
		return coldLaunches(c, payload, limit)
	case "active":
		return t.active(cmd.callers, payload, limit)
	case "flood":
		return t.flood(cmd.callers, payload, limit)
	case "open":
		return outcome{}, t.openIdle(cmd.callers, payload)
	case "open-together":
		return outcome{}, t.openTogether(cmd.callers, payload)
	case "stats":
		return stats(c)
	case "pid":
		return servant(c, payload)
	}
	return outcome{}, errNotOffered
}

func call(c caller, payload []byte) error {
	reply, err := c.Call(payload)
	if err == nil && len(reply) != len(payload) {
		err = fmt.Errorf("bench: sent %d bytes and got %d back", len(payload), len(reply))
	}
	return err
}

// maxSamples bounds what one command remembers.
const maxSamples = 1 << 20

// roundTrips times each call of one caller.
func roundTrips(limit time.Duration, call func() error) (outcome, error) {
	samples := make([]float64, 0, 1<<16)
	start := time.Now()
	last := start
	for {
		if err := call(); err != nil {
			return outcome{}, err
		}
		now := time.Now()
		samples = append(samples, float64(now.Sub(last)))
		last = now
		if now.Sub(start) >= limit || len(samples) == maxSamples {
			break
		}
	}
	return sampled(samples, last.Sub(start)), nil
}

// sampled sorts samples.
func sampled(samples []float64, took time.Duration) outcome {
	slices.Sort(samples)
	return outcome{
		Calls: len(samples), Seconds: took.Seconds(),
		P50: quantile(samples, 0.5), P99: quantile(samples, 0.99),
	}
}

// smallRoundTrips tells the median of some over c, in nanoseconds.
func smallRoundTrips(c caller, limit time.Duration) (float64, error) {
	payload := make([]byte, 64)
	o, err := roundTrips(limit, func() error { return call(c, payload) })
	return o.P50, err
}

// connects times a new connection up to its first reply; hanging up is not timed. What is
// open has round trips before, to compare with.
func (t *tester) connects(open caller, limit time.Duration, payload []byte) (outcome, error) {
	small, err := smallRoundTrips(open, limit/4)
	if err != nil {
		return outcome{}, err
	}
	var samples []float64
	start := time.Now()
	for len(samples) == 0 || time.Since(start) < limit {
		before := time.Now()
		c, err := t.dial()
		if err != nil {
			return outcome{}, err
		}
		err = call(c, payload)
		samples = append(samples, float64(time.Since(before)))
		c.Close()
		if err != nil {
			return outcome{}, err
		}
	}
	o := sampled(samples, time.Since(start))
	o.BaseP50 = small
	return o, nil
}

// manyCallers has goroutines share the connection, each waiting for its reply.
func manyCallers(c caller, payload []byte, callers int, limit time.Duration) (outcome, error) {
	if _, ok := c.(*rawCaller); ok {
		return outcome{}, errNotOffered // its calls would wait for each other
	}
	var done sync.WaitGroup
	var calls atomic.Int64
	errs := make(chan error, callers)
	start := time.Now()
	for range callers {
		done.Go(func() {
			n := 0
			for n == 0 || time.Since(start) < limit {
				if err := call(c, payload); err != nil {
					errs <- err
					break
				}
				n++
			}
			calls.Add(int64(n))
		})
	}
	done.Wait()
	o := outcome{Calls: int(calls.Load()), Seconds: time.Since(start).Seconds()}
	select {
	case err := <-errs:
		return outcome{}, err
	default:
		return o, nil
	}
}

// asyncCalls keeps depth requests under way: each reply's handler sends the next one.
// Systems whose callers must wait do it with as many goroutines.
func asyncCalls(c caller, payload []byte, depth int, limit time.Duration) (outcome, error) {
	a, ok := c.(asyncCaller)
	if !ok {
		return manyCallers(c, payload, depth, limit)
	}
	var calls atomic.Int64
	over := make(chan error, depth)
	start := time.Now()
	var done func(error)
	next := func() {
		if err := a.CallAsync(payload, done); err != nil {
			over <- err
		}
	}
	done = func(err error) {
		calls.Add(1)
		if err != nil || time.Since(start) >= limit {
			over <- err
			return
		}
		next()
	}
	for range depth {
		next()
	}
	var failed error
	for range depth {
		if err := <-over; err != nil {
			failed = err
		}
	}
	return outcome{Calls: int(calls.Load()), Seconds: time.Since(start).Seconds()}, failed
}

// oneWay ends when the server has counted everything.
func oneWay(c caller, payload []byte, limit time.Duration) (outcome, error) {
	s, ok := c.(sender)
	if !ok {
		return outcome{}, errNotOffered
	}
	before, err := delivered(c)
	if err != nil {
		return outcome{}, err
	}
	sent := 0
	start := time.Now()
	for sent == 0 || time.Since(start) < limit {
		for range 64 {
			if err := s.Send(payload); err != nil {
				return outcome{}, err
			}
			sent++
		}
	}
	for {
		n, err := delivered(c)
		if err != nil {
			return outcome{}, err
		}
		if n-before >= sent {
			return outcome{Calls: sent, Seconds: time.Since(start).Seconds()}, nil
		}
		if time.Since(start) > limit+patience {
			return outcome{}, fmt.Errorf("bench: of %d one-way messages %d arrived", sent, n-before)
		}
	}
}

func delivered(c caller) (int, error) {
	b, err := c.Call([]byte(echo.Count))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(b))
}

// allocations are counted per call on both sides, for eight fields where the
// system has fields.
func allocations(c caller, payload []byte, limit time.Duration) (outcome, error) {
	do := func() error { return call(c, payload) }
	if x, ok := c.(*xpcCaller); ok {
		do = x.callEight
	}
	if err := do(); err != nil {
		return outcome{}, err
	}
	before, err := stats(c)
	if err != nil {
		return outcome{}, err
	}
	var m0, m1 runtime.MemStats
	runtime.ReadMemStats(&m0)
	calls := 0
	for start := time.Now(); calls == 0 || time.Since(start) < limit; calls++ {
		if err := do(); err != nil {
			return outcome{}, err
		}
	}
	runtime.ReadMemStats(&m1)
	after, err := stats(c)
	if err != nil {
		return outcome{}, err
	}
	return outcome{
		Calls:        calls,
		Allocs:       float64(m1.Mallocs-m0.Mallocs) / float64(calls),
		ServerAllocs: float64(after.Server.Mallocs-before.Server.Mallocs) / float64(calls),
	}, nil
}

// openIdle makes n connections, each used once, and keeps them; 0 closes them.
func (t *tester) openIdle(n int, payload []byte) error {
	if n == 0 {
		for _, c := range t.idle {
			c.Close()
		}
		t.idle = nil
		return nil
	}
	for range n {
		c, err := t.dial()
		if err == nil {
			t.idle = append(t.idle, c)
			err = call(c, payload)
		}
		if err != nil {
			return fmt.Errorf("connection %d: %w", len(t.idle), err)
		}
	}
	return nil
}

// stats asks both processes what they hold.
func stats(c caller) (outcome, error) {
	if _, ok := c.(*rawCaller); ok {
		return outcome{}, errNotOffered // it echoes whatever it gets
	}
	b, err := c.Call([]byte(echo.Stat))
	if err != nil {
		return outcome{}, err
	}
	var server echo.Stats
	if err := json.Unmarshal(b, &server); err != nil {
		return outcome{}, errNotOffered // a server in C
	}
	own := echo.Measure()
	return outcome{Client: &own, Server: &server}, nil
}

// servant tells the server's process as the connection knows it.
func servant(c caller, payload []byte) (outcome, error) {
	x, ok := c.(*xpcCaller)
	if !ok {
		return outcome{}, errNotOffered
	}
	if x.conn.PID() == 0 {
		if err := call(c, payload); err != nil {
			return outcome{}, err
		}
	}
	return outcome{Server: &echo.Stats{PID: x.conn.PID()}}, nil
}
