package transport

import (
	"runtime"
	"sync/atomic"
	"time"
)

const (
	// spinTime is how long a reader looks again and again before it sleeps: about
	// what it costs both sides that it sleeps and is woken.
	spinTime = 20 * time.Microsecond
	// livelySpin is as much where many frames go both ways. Linux wakes who reads a Unix
	// socket on the processor of who writes: two that sleep again and again for one
	// another share one, beside others that are idle.
	livelySpin = 60 * time.Microsecond
	// mostSkipped bounds how many waits pass without a try where tries were in vain.
	mostSkipped = 7
)

// canSpin: on one processor the peer cannot answer meanwhile. It was measured on
// Linux alone.
var canSpin = runtime.GOOS == "linux" && runtime.NumCPU() > 1 && runtime.GOMAXPROCS(0) > 1

// spinning is true while a goroutine of this process spins: more of them would
// take processors from its other work.
var spinning atomic.Bool

// spin decides which waits begin with looking again and again. A peer that is at
// work answers in less time than it takes to sleep and be woken, and is spared the
// wake-up. Tries in vain make the next ones rarer. It is pure; the reader's.
type spin struct{ skip, skipped uint8 }

func (s *spin) worthwhile() bool {
	if s.skipped < s.skip {
		s.skipped++
		return false
	}
	s.skipped = 0
	return true
}

func (s *spin) tried(came bool) {
	if came {
		s.skip = 0
	} else {
		s.skip = min(2*s.skip+1, mostSkipped)
	}
}

// waited is told how long a wait without a try took, the wake-up included.
func (s *spin) waited(d time.Duration) {
	if d < 2*spinTime {
		s.skip /= 2
	}
}

// receiveSoon looks for bytes that come soon, if they are likely to.
// Of a long frame that is on its way more comes than one wake-up costs.
func (s *socket) receiveSoon(b []byte, in *incoming) (n int, err error) {
	if !canSpin || len(b) > bufferSize || !s.spin.worthwhile() || !spinning.CompareAndSwap(false, true) {
		return 0, errAgain
	}
	defer spinning.Store(false)
	patience := spinTime
	if in.lively {
		patience = livelySpin
	}
	for until := time.Since(began) + patience; ; {
		n, err = s.receive(b, in, false)
		if err != errAgain || time.Since(began) > until {
			s.spin.tried(err != errAgain)
			return n, err
		}
	}
}
