package transport

import (
	"context"
	"io"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// counted counts the writes of a medium.
type counted struct {
	medium
	sends atomic.Int32
}

func (c *counted) send(p parts, files []*Descriptor, identify, wait bool) (int, error) {
	c.sends.Add(1)
	return c.medium.send(p, files, identify, wait)
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

// answerer answers each frame with half a KiB; awaited says whether the peer waits for that.
type answerer struct {
	conn    *Conn
	awaited Outcome
	taken   []int64 // by the medium when each frame was about to be answered
	done    chan struct{}
}

const questions = 64

// unticked is a medium whose reader keeps its role however long it is kept from running.
type unticked struct{ medium }

func (unticked) startTicking() {}

func (a *answerer) Receive(*Frame, bool) Outcome { return Work | a.awaited }

func (a *answerer) Work() {
	a.taken = append(a.taken, a.conn.Taken())
	a.conn.Append(&Frame{Body: make([]byte, 512)})
	a.conn.Flush()
	if len(a.taken) == questions {
		close(a.done)
	}
}

func (a *answerer) Closed(error) {}

func TestFirstOfManyAnswersLeaveEarly(t *testing.T) {
	taken := func(awaited Outcome) []int64 {
		c, far := RawPipe(Options{})
		defer c.Close()
		c.m = unticked{c.m}
		a := &answerer{conn: c, awaited: awaited, done: make(chan struct{})}
		if err := far.Write(make([]byte, questions*HeaderSize)); err != nil {
			t.Fatal(err)
		}
		c.Start(a)
		<-a.done
		return a.taken
	}
	if got := taken(0); got[questions-1] != 0 {
		t.Errorf("%d bytes left before the last of the frames that nobody waits for was handled, want all to leave together", got[questions-1])
	}
	// What is held back when an answer is made: mostHeldBack, and the one that reached it.
	const answer, most = HeaderSize + 512, mostHeldBack + HeaderSize + 512
	for i, left := range taken(Awaited) {
		if held := int64(i*answer) - left; held > most {
			t.Fatalf("%d bytes of %d answers are held back, want at most %d: the peer waits for them", held, i, most)
		}
	}
}

func TestWhoQueuesBehindRunsLast(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector's scheduler shuffles")
	}
	// With one processor there is one queue, and nobody to take from it.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const others = 20
	var ran atomic.Int32
	for range others {
		go func() { ran.Add(1) }()
	}
	new(inbox).queueBehind()
	if n := ran.Load(); n != others {
		t.Errorf("of %d goroutines that were ready before %d ran, want all", others, n)
	}
}

// preempted is a medium whose peer runs in the writer's place.
type preempted struct{ medium }

func (m preempted) send(p parts, files []*Descriptor, identify, wait bool) (int, error) {
	for until := time.Since(began) + 2*burst; time.Since(began) < until; {
	}
	return m.medium.send(p, files, identify, wait)
}

func TestBurstGoesOnAfterThePeerHasRun(t *testing.T) {
	c, _ := RawPipe(Options{})
	defer c.Close()
	c.m = preempted{c.m}
	c.Append(&Frame{ID: 1})
	before := time.Since(began)
	c.FlushSoon()
	// Counted from before the write, the next frame would begin a burst of its own.
	if since := c.w.wrote - before; since < 2*burst {
		t.Errorf("the burst counts from %v after FlushSoon began, want from after the write of at least %v", since, 2*burst)
	}
}

func TestHalfWrittenComesBeforeTheRest(t *testing.T) {
	c, far := RawPipe(Options{})
	defer c.Close()
	const frames, size = 100, 20 << 10 // ten times what the pipe holds
	var order []string
	for range frames {
		c.Append(&Frame{Body: make([]byte, size)})
	}
	half, whole := make(chan int, 1), make(chan int, 1)
	c.Written(func() { order = append(order, "whole"); whole <- c.QueuedFrames() })
	c.HalfWritten(func() { order = append(order, "half"); half <- c.QueuedFrames() })
	c.Flush()
	if _, err := io.CopyN(io.Discard, far, frames*(HeaderSize+size)); err != nil {
		t.Fatal(err)
	}
	if n := <-whole; n != 0 {
		t.Errorf("Written's call found %d frames that wait, want 0", n)
	}
	// Some more may leave before it is called, and some were in the pipe already.
	if n := <-half; n == 0 || n > frames/2 {
		t.Errorf("HalfWritten's call found %d frames that wait, want some, and at most half of %d", n, frames)
	}
	if order[0] != "half" {
		t.Errorf("the calls came in the order %q, want half before whole", order)
	}
	idle := make(chan struct{})
	c.HalfWritten(func() { close(idle) })
	<-idle // of nothing half is written, too
}
