package transport

import (
	"io"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A connection whose peer takes long pays for one try in 8 waits; a try that
// succeeds, or waits that were short, make it quick again.
func TestSpinTriesBecomeRarerInVain(t *testing.T) {
	var s spin
	tries := func(waits int, came bool) (n int) {
		for range waits {
			if s.worthwhile() {
				n++
				s.tried(came)
			}
		}
		return n
	}
	if n := tries(100, true); n != 100 {
		t.Errorf("of 100 waits for a peer that answers at once %d spun, want all", n)
	}
	// One at once, then after 1 and 3 skipped ones, then each eighth.
	if n := tries(1+2+4, false); n != 3 {
		t.Errorf("of the first 7 waits in vain %d spun, want 3", n)
	}
	if n := tries(80, false); n != 10 {
		t.Errorf("of 80 further waits in vain %d spun, want 10", n)
	}
	if n := tries(8, true); n != 1 {
		t.Errorf("of 8 waits after those %d spun, want 1", n)
	}
	if n := tries(10, true); n != 10 {
		t.Errorf("after a try that succeeded %d of 10 waits spun, want all", n)
	}

	tries(7, false)
	s.waited(time.Millisecond)
	if n := tries(7, true); n != 0 {
		t.Errorf("after a long wait %d of 7 spun, want none", n)
	}
	for range 3 {
		s.waited(spinTime)
	}
	if n := tries(10, true); n != 10 {
		t.Errorf("after three short waits %d of 10 spun, want all", n)
	}
}

// What a spinning reader finds is what a sleeping one would: nothing, bytes, the end.
func TestSpinFinds(t *testing.T) {
	defer func(was bool) { canSpin = was }(canSpin)
	canSpin = true
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[0])
	s := &socket{fd: fds[0]}
	in := incoming{control: make([]byte, controlRoom)}
	look := func() (int, error) {
		s.spin = spin{}
		return s.receiveSoon(make([]byte, 16), &in)
	}
	if n, err := look(); n != 0 || err != errAgain || s.spin.skip == 0 {
		t.Errorf("nothing was sent: got %d, %v, and skip %d; want errAgain and a rarer try", n, err, s.spin.skip)
	}
	if _, err := unix.Write(fds[1], []byte("abc")); err != nil {
		t.Fatal(err)
	}
	spinning.Store(true)
	if n, err := look(); n != 0 || err != errAgain {
		t.Errorf("beside another that spins: got %d, %v; want errAgain without a look", n, err)
	}
	spinning.Store(false)
	if n, err := look(); n != 3 || err != nil {
		t.Errorf("after three bytes: got %d, %v", n, err)
	}
	unix.Close(fds[1])
	if n, err := look(); n != 0 || err != io.EOF {
		t.Errorf("after the end: got %d, %v; want io.EOF", n, err)
	}
	if spinning.Load() {
		t.Error("it still counts as spinning after it returned")
	}
}

// Only where much goes both ways a reader looks longer: a stream that nobody answers, and
// one call after the other, have nothing of it.
func TestLivelyIsMuchInBothDirections(t *testing.T) {
	in := new(inbox)
	for i, c := range []struct {
		frames int
		taken  int64
		want   bool
	}{
		{2, 100, true},  // several came, and something was written
		{2, 100, false}, // nothing was written since
		{1, 200, false}, // one came
		{5, 300, true},
		{0, 400, false},
	} {
		if in.notice(c.frames, c.taken); in.lively != c.want {
			t.Errorf("look %d: after %d frames and %d bytes written in all lively is %v, want %v", i, c.frames, c.taken, in.lively, c.want)
		}
	}
}
