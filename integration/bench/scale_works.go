package main

import (
	"slices"
	"sync"
	"time"
)

// active opens connections that all call at once, each for itself, and closes them.
func (t *tester) active(n int, payload []byte, limit time.Duration) (outcome, error) {
	defer t.openIdle(0, nil)
	if err := t.openIdle(n, payload); err != nil {
		return outcome{}, err
	}
	var all sync.WaitGroup
	samples := make([][]float64, n)
	errs := make([]error, n)
	start := time.Now()
	for i, c := range t.idle {
		all.Go(func() {
			for len(samples[i]) == 0 || time.Since(start) < limit {
				before := time.Now()
				if errs[i] = call(c, payload); errs[i] != nil {
					return
				}
				samples[i] = append(samples[i], float64(time.Since(before)))
			}
		})
	}
	all.Wait()
	took := time.Since(start)
	for _, err := range errs {
		if err != nil {
			return outcome{}, err
		}
	}
	return sampled(slices.Concat(samples...), took), nil
}

// flood sends as much as it can: calls, so many awaited at one time, and one-way
// messages, over two connections.
func (t *tester) flood(depth int, payload []byte, limit time.Duration) (outcome, error) {
	defer t.openIdle(0, nil)
	if err := t.openIdle(2, payload); err != nil {
		return outcome{}, err
	}
	var calls, messages outcome
	var errs [2]error
	var both sync.WaitGroup
	both.Go(func() { calls, errs[0] = asyncCalls(t.idle[0], payload, depth, limit) })
	both.Go(func() { messages, errs[1] = oneWay(t.idle[1], payload, limit) })
	both.Wait()
	for _, err := range errs {
		if err != nil {
			return outcome{}, err
		}
	}
	return outcome{Calls: calls.Calls + messages.Calls, Seconds: max(calls.Seconds, messages.Seconds)}, nil
}
