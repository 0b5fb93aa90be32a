package transport

import (
	"context"
	"io"
	"runtime"
	"sync/atomic"
	"testing"
)

// counted counts the writes of a medium.
type counted struct {
	medium
	sends atomic.Int32
}

func (c *counted) send(head, body []byte, files []*Descriptor, identify, wait bool) (int, error) {
	c.sends.Add(1)
	return c.medium.send(head, body, files, identify, wait)
}

// askers have one call each; the frame's ID says whose.
type askers []*Waiter

func (a askers) Receive(f *Frame, inline bool) Outcome {
	a[f.ID].Complete()
	return Replied
}

func (a askers) Work()        {}
func (a askers) Closed(error) {}

func TestWhatFollowsManyRepliesLeavesTogether(t *testing.T) {
	// With one processor the callers run while their reader lets them.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const callers, rounds = 16, 10
	c, far := RawPipe(Options{})
	m := &counted{medium: c.m}
	c.m = m
	who := make(askers, callers)
	for i := range who {
		who[i] = NewWaiter()
	}
	c.Start(who)
	defer c.Close()
	done := make(chan error, callers)
	for i := range who {
		go func() {
			var err error
			for range rounds {
				who[i].Reset()
				c.Append(&Frame{ID: uint64(i)})
				c.Flush()
				if err = c.Wait(context.Background(), who[i]); err != nil {
					break
				}
			}
			done <- err
		}()
	}
	round := make([]byte, callers*HeaderSize) // the frames come back as they are: replies
	fewest, last := int32(callers), int32(0)
	for range rounds {
		if _, err := io.ReadFull(far, round); err != nil {
			t.Fatal(err)
		}
		sends := m.sends.Load()
		fewest, last = min(fewest, sends-last), sends
		if err := far.Write(round); err != nil {
			t.Fatal(err)
		}
	}
	for range callers {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	// Not in each round: one of the callers may read, and leave with its own reply.
	if fewest > callers/2 {
		t.Errorf("the %d calls that follow %d replies take %d writes at best, want one or a few", callers, callers, fewest)
	}
}
