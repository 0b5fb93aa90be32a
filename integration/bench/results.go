package main

import "slices"

// results is everything that was measured, as it is kept in results.json. A
// value that is missing was not measured; Missing says why.
type results struct {
	When    string `json:"when"`
	Machine string `json:"machine"`
	Cores   int    `json:"cores"`
	Go      string `json:"go"`
	Commit  string `json:"commit"`
	Quick   bool   `json:"quick"`
	Seconds int    `json:"seconds"` // that the run took

	Rounds  map[string]map[string][]round `json:"rounds"` // by work and system
	Traces  map[string]traces             `json:"traces"` // by system
	Idle    map[string]idle               `json:"idle"`   // by system
	Scale   *scale                        `json:"scale,omitempty"`
	Demands *demands                      `json:"requirements,omitempty"`
	Missing []missing                     `json:"missing"`
}

// round is what one system did in one round of a work; all zero if it failed.
type round struct {
	outcome
	CPU      float64 `json:"cpu,omitempty"`      // ns per call, of all processes
	Switches float64 `json:"switches,omitempty"` // times per call that a thread went to sleep, likewise
}

// perSecond is calls per second.
func (r round) perSecond() float64 {
	if r.Seconds == 0 {
		return 0
	}
	return float64(r.Calls) / r.Seconds
}

type traces struct {
	Client traced `json:"client"`
	Server traced `json:"server"`
}

// idle is what idle connections cost, divided by their number.
type idle struct {
	Connections int  `json:"connections"`
	Client      cost `json:"client"`
	Server      cost `json:"server"`
	Brokers     cost `json:"brokers"` // Memory is not known
}

// cost is of one connection: bytes of heap and stacks after a collection, bytes
// of resident memory, goroutines and threads.
type cost struct {
	Memory     float64 `json:"memory"`
	Resident   float64 `json:"resident"`
	Goroutines float64 `json:"goroutines"`
	Threads    float64 `json:"threads"`
}

// missing is what could not be measured.
type missing struct {
	System string `json:"system"`
	Work   string `json:"work"` // "" if nothing could
	Reason string `json:"reason"`
}

// values are those of a work's rounds, zero where a round failed.
func (r *results) values(work, system string, of func(round) float64) []float64 {
	var v []float64
	for _, x := range r.Rounds[work][system] {
		v = append(v, of(x))
	}
	return v
}

// spread leaves out the rounds that failed.
func (r *results) spread(work, system string, of func(round) float64) spread {
	v := r.values(work, system, of)
	return spreadOf(slices.DeleteFunc(v, func(x float64) bool { return x == 0 }))
}

// ratio is a's value by b's, round by round.
func (r *results) ratio(work, a, b string, of func(round) float64) spread {
	return spreadOf(ratios(r.values(work, a, of), r.values(work, b, of)))
}

func p50(r round) float64      { return r.P50 }
func p99(r round) float64      { return r.P99 }
func cpu(r round) float64      { return r.CPU }
func switches(r round) float64 { return r.Switches }
func baseP50(r round) float64  { return r.BaseP50 }
func rate(r round) float64     { return r.perSecond() }
