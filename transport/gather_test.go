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
	const callers = 16
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
			for range 2 {
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
	var before int32
	for range 2 {
		before = m.sends.Load()
		if _, err := io.ReadFull(far, round); err != nil {
			t.Fatal(err)
		}
		if err := far.Write(round); err != nil {
			t.Fatal(err)
		}
	}
	for range callers {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	// The reader's own call may leave before; and a goroutine may lose the processor in between.
	if sends := m.sends.Load() - before; sends > callers/2 {
		t.Errorf("the %d calls that followed %d replies took %d writes, want one or a few", callers, callers, sends)
	}
}
