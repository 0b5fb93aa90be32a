package main

// work is one thing that systems are compared in, in rounds of a fixed time.
type work struct {
	key    string
	title  string
	cmd    command
	rounds int
	quick  int  // rounds of a quick run; 0 leaves it out
	own    bool // only OpenXPC has such a thing
}

// The works' keys.
const (
	wRTT     = "rtt-64"
	wRTT4K   = "rtt-4k"
	wMany    = "callers-64"
	wMany256 = "callers-256"
	wAsync   = "async-256"
	wOneWay  = "one-way"
	wMega    = "echo-1m"
	wHuge    = "echo-64m"
	wHand    = "hand-1g"
	wMap     = "map-1g"
	wConnect = "connect"
	wCold    = "cold"
	wAllocs  = "allocs"
	wIdle    = "idle"        // not in rounds: see measureIdle
	wTrace   = "trace"       // not in rounds: see measureTraces
	wScale   = "scale"       // not in rounds: see measureScale
	wDemand  = "requirement" // not in rounds: see measureRequirement
)

// plan is all works that run in rounds, in their order. The first one makes the
// first line of output. A work has more rounds where one has few samples, and the
// first rounds find nothing that can be used again.
var plan = []work{
	{wRTT, "64 B round trip, one caller", command{"rtt", 64, 1, 200}, 11, 7, false},
	{wRTT4K, "4 KiB round trip, one caller", command{"rtt", 4096, 1, 200}, 5, 1, false},
	{wMany, "64 B calls, 64 callers", command{"many", 64, 64, 300}, 5, 1, false},
	{wMany256, "64 B calls, 256 callers", command{"many", 64, 256, 300}, 5, 1, false},
	{wAsync, "64 B calls, 256 replies awaited", command{"async", 64, 256, 300}, 5, 1, false},
	{wOneWay, "64 B one-way messages", command{"oneway", 64, 1, 300}, 5, 1, false},
	{wMega, "1 MiB echo, one caller", command{"rtt", 1 << 20, 1, 200}, 5, 1, false},
	{wHuge, "64 MiB echo, one caller", command{"rtt", 64 << 20, 1, 600}, 5, 0, false},
	{wHand, "1 GiB handed over, first and last page read", command{handRead, 1 << 30, 1, 100}, 11, 0, true},
	{wMap, "1 GiB handed over and mapped, both pages touched", command{handMap, 1 << 30, 1, 100}, 11, 0, true},
	{wConnect, "connect and first reply", command{"connect", 64, 1, 200}, 11, 1, false},
	{wCold, "launch and first reply", command{"cold", 64, 1, 500}, 11, 1, true},
	{wAllocs, "allocations", command{"allocs", 64, 1, 300}, 1, 1, false},
}

// idleConnections is how many are held to learn what one costs.
const (
	idleConnections      = 2000
	idleConnectionsQuick = 500
)

// How the receiver of what is handed over comes at it, in a work's name and in the message.
const (
	handRead = "read"
	handMap  = "map"
)

// traceTime is how long a traced client calls.
const traceTime = 300 // ms
