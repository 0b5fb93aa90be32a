package xpc

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
)

// What waits for a dial that fails is discarded: then there is room, and nobody
// else will say so.
func TestSendThatWaitsLearnsOfAFailedDial(t *testing.T) {
	for _, k := range []from{fromName, fromEndpoint} {
		bubble(t, k, func(t *testing.T, r *ring) {
			r.o.slowDial()
			r.o.answers(errNoRoom)
			r.c.Activate()
			for range 7 {
				r.c.SendMessage(big("x"))
			}
			stuck := async(func() error { return r.c.Send(context.Background(), saying("y")) })
			if err := stuck.result(); err != errNotDone {
				t.Fatalf("got %v, want that it waits", err)
			}
			r.o.letGo()
			if err := stuck.result(); err != nil {
				t.Errorf("got %v, want that it is sent, with a dial of its own", err)
			}
		})
	}
}

// A queue smaller than what Send leaves for others is respected too: Send waits
// rather than fill it.
func TestSendWaitsInASmallQueue(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		r.c.SetLimits(Limits{MaxQueuedBytes: 400 << 10})
		r.suspend()
		sent := 0
		for ; sent < 10; sent++ {
			stuck := async(func() error { return r.c.Send(t.Context(), big("x")) })
			if stuck.result() == errNotDone {
				break
			}
		}
		if sent != 2 {
			t.Errorf("Send waited after %d messages of 150 KiB, want 2: half of the queue and one more", sent)
		}
		if why := r.c.InvalidationReason(); why != "" {
			t.Errorf("the connection was cancelled: %s", why)
		}
	})
}

// A message that the queue can never hold was submitted when that is noticed, so
// the connection ends, as SendMessage's does.
func TestSendBeyondTheWholeQueue(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		r.c.SetLimits(Limits{MaxQueuedBytes: 100 << 10})
		r.suspend()
		if err := r.c.Send(t.Context(), big("x")); err == nil || !strings.Contains(err.Error(), "MaxQueuedBytes") {
			t.Errorf("got %v, want the limit by name", err)
		}
		if why := r.c.InvalidationReason(); !strings.Contains(why, "MaxQueuedBytes") {
			t.Errorf("the reason is %q, want the limit by name", why)
		}
	})
}

// A connection that is invalid from the start says so where the program listens.
func TestSocketThatIsNoneIsToldOnActivation(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	own, err := NewPeerSameUserRequirement()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []*os.File{nil, null} {
		c := NewConnectionFromSocket(f, nil)
		if c.InvalidationReason() == "" {
			t.Error("no reason is given before activation")
		}
		told := make(chan Object, 2)
		c.SetEventHandler(func(o Object) { told <- o })
		// No misuse: a peer can hang up at any moment, and must not end the program with that.
		c.SetLimits(Limits{})
		c.SetAttester(nil)
		c.SetPeerRequirement(own)
		c.Activate()
		<-c.Done()
		if len(told) != 1 || <-told != Object(ErrConnectionInvalid) {
			t.Error("want INVALID, once")
		}
		if err := c.Send(t.Context(), saying("x")); !errors.Is(err, ErrConnectionInvalid) {
			t.Errorf("got %v, want INVALID", err)
		}
	}
}
