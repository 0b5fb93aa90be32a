// Package echo is what every server of the comparison does with a request: give
// it back. Two requests are questions instead: "count" asks how many one-way
// messages have arrived, "stats" what the server's memory looks like.
//
// Any number of goroutines may call its functions.
package echo

import (
	"encoding/json"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync/atomic"
)

// The questions. They are shorter than any payload that is measured.
const (
	Count = "count"
	Stat  = "stats"
)

// Stats describes the process that makes it.
type Stats struct {
	PID        int    `json:"pid"`
	Heap       uint64 `json:"heap"`       // live bytes on the heap, after a collection
	Stacks     uint64 `json:"stacks"`     // bytes of goroutine stacks
	Mallocs    uint64 `json:"mallocs"`    // allocations since the start
	Goroutines int    `json:"goroutines"` // live ones
}

var sunk atomic.Uint64

// Sink counts one-way messages.
func Sink(n int) { sunk.Add(uint64(n)) }

// Reply is the reply to a request; it may be the request itself.
func Reply(request []byte) []byte {
	if len(request) != len(Count) {
		return request
	}
	switch string(request) {
	case Count:
		return strconv.AppendUint(nil, sunk.Load(), 10)
	case Stat:
		b, _ := json.Marshal(Measure()) // plain numbers cannot fail
		return b
	}
	return request
}

// Measure collects garbage, gives the rest back to the system and describes the process.
func Measure() Stats {
	for range 2 { // pools outlive one collection
		debug.FreeOSMemory()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return Stats{PID: os.Getpid(), Heap: m.HeapAlloc, Stacks: m.StackInuse, Mallocs: m.Mallocs, Goroutines: runtime.NumGoroutine()}
}
