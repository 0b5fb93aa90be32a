package main

import (
	"fmt"
	"math"
)

// target is what OpenXPC wants to reach, as a number that must be at least or at
// most a bound.
type target struct {
	text    string
	bound   float64
	atLeast bool
	measure func(*results) float64 // NaN or 0: not measured
	show    func(float64) string
	count   bool // a whole number per call, blurred by what happens once in a while
}

var targets = []target{
	{"64 B round trip, by raw C's", 1.3, false, ratioOf(wRTT, ours, limit, p50), digits, false},
	{"ttrpc's 64 B round trip, by ours", 4, true, ratioOf(wRTT, ttrpcPeer.key, ours, p50), digits, false},
	{"net/rpc's", 4, true, ratioOf(wRTT, netRPC.key, ours, p50), digits, false},
	{"grpc-go's", 6, true, ratioOf(wRTT, grpcPeer.key, ours, p50), digits, false},
	{"godbus's", 20, true, ratioOf(wRTT, godbusPeer.key, ours, p50), digits, false},
	{"calls/s of 64 callers, by ttrpc's", 4, true, ratioOf(wMany, ours, ttrpcPeer.key, rate), digits, false},
	{"by grpc-go's", 9, true, ratioOf(wMany, ours, grpcPeer.key, rate), digits, false},
	{"calls/s with 256 replies awaited, by ttrpc's best", 8, true, func(r *results) float64 {
		return r.spread(wAsync, ours, rate).Median / best(r, ttrpcPeer.key)
	}, digits, false},
	{"grpc-go's 1 MiB echo, by ours", 4, true, ratioOf(wMega, grpcPeer.key, ours, p50), digits, false},
	{"grpc-go's 64 MiB echo", 8, true, ratioOf(wHuge, grpcPeer.key, ours, p50), digits, false},
	{"raw Go socket's 64 MiB echo", 2, true, ratioOf(wHuge, rawGo.key, ours, p50), digits, false},
	{"1 GiB of shared data handed over, two pages read, in our 64 B round trips", 20, false, inRoundTrips(wHand, ours, ours), digits, false},
	{"the same in raw C's round trips", 20, false, inRoundTrips(wHand, ours, limit), digits, false},
	{"1 GiB mapped by its receiver, two pages touched, in our round trips", 20, false, inRoundTrips(wMap, ours, ours), digits, false},
	{"the same in raw C's round trips", 20, false, inRoundTrips(wMap, ours, limit), digits, false},
	{"memory of its receiver, at its peak above before, bytes", 50 << 20, false, medianOf(wMap, func(x round) float64 { return x.Peak }), amount, false},
	{"one-way messages/s", 1e6, true, func(r *results) float64 { return r.spread(wOneWay, ours, rate).Median }, amount, false},
	{"connect by name and first reply, in our 64 B round trips", 12, false, inRoundTrips(wConnect, ours, ours), digits, false},
	{"the same in raw C's round trips", 12, false, inRoundTrips(wConnect, ours, limit), digits, false},
	{"launch and first reply, by fork and exec", 1.3, false, func(r *results) float64 {
		return spreadOf(ratios(r.values(wCold, ours, p50), r.values(wCold, ours, baseP50))).Median
	}, digits, false},
	{"allocations of a call with 8 fields, client", 6, false, medianOf(wAllocs, func(x round) float64 { return x.Allocs }), digits, true},
	{"allocations of a call with 8 fields, service", 6, false, medianOf(wAllocs, func(x round) float64 { return x.ServerAllocs }), digits, true},
	{"memory of an idle connection, client, bytes", 1536, false, func(r *results) float64 { return r.Idle[ours].Client.Memory }, amount, false},
	{"memory of an idle connection, service, bytes", 1536, false, func(r *results) float64 { return r.Idle[ours].Server.Memory }, amount, false},
	{"one more client beside thousands, by beside ten", 1.3, false, scaled(func(s *scale) float64 { return s.Idle.RoundTrip / s.Idle.RoundTripFew }), digits, false},
	{"look-up among 100,000 names, by among 100", 1.5, false, scaled(func(s *scale) float64 { return s.Names.LookUp / s.Names.LookUpFew }), digits, false},
	{"threads of a service that 2,000 clients call at once", 100, false, scaled(func(s *scale) float64 { return float64(s.Active.ServiceThreads) }), digits, false},
	{"ten clients beside a flooding one, by alone", 3, false, scaled(func(s *scale) float64 { return s.Flood.Flooded / s.Flood.Alone }), digits, false},
	{"who a process is whose program is known, p99", 100e3, false, demanded(func(d *demands) float64 { return d.Known.P99 }), duration, false},
	{"a requirement adds to connect and first reply, median", 100e3, false, demanded(func(d *demands) float64 { return d.Services["looks"].AddsConnect.Median }), duration, false},
	{"where the registry has to be asked", 100e3, false, demanded(func(d *demands) float64 { return d.Services["asks"].AddsConnect.Median }), duration, false},
	{"a requirement adds to a message, median", 5e3, false, demanded(func(d *demands) float64 { return d.Services["looks"].AddsMessage.Median }), duration, false},
	{"where the registry has to be asked", 5e3, false, demanded(func(d *demands) float64 { return d.Services["asks"].AddsMessage.Median }), duration, false},
	{"verification of a program of 1 MiB that was never seen", 2e6, false, demanded(func(d *demands) float64 { return d.Cold.P50 }), duration, false},
	{"1,000 connections of a program that is not known, by hashings of it", 10, false, demanded(func(d *demands) float64 { return (d.FirstTogether - d.AgainTogether) / d.Hashing }), digits, false},
	{"system calls on the socket of a round trip, client", 2, false, func(r *results) float64 { return r.Traces[ours].Client.moving() }, digits, true},
	{"system calls on the socket of a round trip, service", 2, false, func(r *results) float64 { return r.Traces[ours].Server.moving() }, digits, true},
}

func ratioOf(work, a, b string, of func(round) float64) func(*results) float64 {
	return func(r *results) float64 { return r.ratio(work, a, b, of).Median }
}

// inRoundTrips is what a work of one system takes in another's small round trips. Its own
// are those that the same processes made just before, where they did.
func inRoundTrips(work, system, other string) func(*results) float64 {
	return func(r *results) float64 {
		if own := ratios(r.values(work, system, p50), r.values(work, system, baseP50)); system == other && len(own) > 0 {
			return spreadOf(own).Median
		}
		return r.spread(work, system, p50).Median / r.spread(wRTT, other, p50).Median
	}
}

func scaled(of func(*scale) float64) func(*results) float64 {
	return func(r *results) float64 {
		if r.Scale == nil {
			return 0
		}
		return of(r.Scale)
	}
}

func medianOf(work string, of func(round) float64) func(*results) float64 {
	return func(r *results) float64 { return r.spread(work, ours, of).Median }
}

// best is the most calls/s that a system reached with any number at once.
func best(r *results, system string) float64 {
	return max(r.spread(wMany, system, rate).Median, r.spread(wMany256, system, rate).Median, r.spread(wAsync, system, rate).Median)
}

// line is the target's line of the table, "" if it was not measured.
func (t target) line(r *results) string {
	v := t.measure(r)
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return ""
	}
	if t.count {
		v = math.Round(10*v) / 10
	}
	sign, met := "at most", v <= t.bound
	if t.atLeast {
		sign, met = "at least", v >= t.bound
	}
	verdict := "not met"
	if met {
		verdict = "met"
	}
	return fmt.Sprintf("| %s | %s %s | %s | %s |\n", t.text, sign, t.show(t.bound), t.show(v), verdict)
}
