package transporttest

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/openxpc/openxpc/transport"
)

var waitTests = []test{
	{"ReplyWhileWorkBlocks", replyWhileWorkBlocks},
	{"FrameWhileWorkBlocks", frameWhileWorkBlocks},
	{"EndWhileWorkBlocks", endWhileWorkBlocks},
	{"CorkedRepliesWhileWorkBlocks", corkedRepliesWhileWorkBlocks},
	{"CallInsideWork", callInsideWork},
	{"CancelWait", cancelWait},
	{"CancelManyWaits", cancelManyWaits},
	{"WaitNeedsNoRoom", waitNeedsNoRoom},
	{"CompletedElsewhere", completedElsewhere},
	{"WaiterAgain", waiterAgain},
}

// blocked returns a connection whose receiver's work blocks until unblock is closed.
func blocked(t *testing.T, m Medium) (a, b *transport.Conn, r *recorder, unblock chan struct{}) {
	a, b = m.Pair(t, none, none)
	r, unblock = serve(b)
	send(a, &transport.Frame{Kind: kindBlock})
	<-r.frames
	return a, b, r, unblock
}

func replyWhileWorkBlocks(t *testing.T, m Medium) {
	a, b, r, unblock := blocked(t, m)
	defer a.Close()
	defer b.Close()
	defer close(unblock)
	w := r.expect(5)
	send(a, &transport.Frame{Kind: kindReply, ID: 5})
	if err := b.Wait(context.Background(), w); err != nil {
		t.Errorf("Wait gave %v: a caller must get its reply while user code blocks", err)
	}
}

func frameWhileWorkBlocks(t *testing.T, m Medium) {
	a, b, r, unblock := blocked(t, m)
	defer a.Close()
	defer b.Close()
	defer close(unblock)
	send(a, &transport.Frame{ID: 6})
	r.want(t, "Receive goes on while user code blocks", transport.Frame{ID: 6})
}

func endWhileWorkBlocks(t *testing.T, m Medium) {
	a, b, r, unblock := blocked(t, m)
	defer b.Close()
	defer close(unblock)
	a.Close()
	r.wantEnd(t, "the end is noticed while user code blocks", io.EOF)
}

// corkedRepliesWhileWorkBlocks: a reply held back because more frames were in
// the buffer must leave although one of those makes the work block.
func corkedRepliesWhileWorkBlocks(t *testing.T, m Medium) {
	a, b := m.Pair(t, none, none)
	defer a.Close()
	defer b.Close()
	_, unblock := serve(b)
	defer close(unblock)
	client := record(a)
	w := client.expect(1)
	a.Append(&transport.Frame{Kind: kindRequest, ID: 1})
	a.Append(&transport.Frame{Kind: kindBlock})
	a.Append(&transport.Frame{Kind: kindEvent})
	a.Flush()
	if err := a.Wait(context.Background(), w); err != nil {
		t.Errorf("Wait gave %v: the reply was made before the work blocked", err)
	}
}

// callInsideWork: both sides call each other from their handlers, many deep.
func callInsideWork(t *testing.T, m Medium) {
	a, b := m.Pair(t, none, none)
	defer a.Close()
	defer b.Close()
	const depth = 20
	bounce := func(c *transport.Conn) *recorder {
		r := newRecorder()
		r.onFrame = func(f *transport.Frame, inline bool) transport.Outcome {
			id := f.ID
			go func() {
				if id < depth {
					if err := r.call(context.Background(), c, id+1, nil); err != nil {
						t.Errorf("the call inside call %d: %v", id, err)
					}
				}
				send(c, &transport.Frame{Kind: kindReply, ID: id})
			}()
			return 0
		}
		c.Start(r)
		return r
	}
	client := bounce(a)
	bounce(b)
	if err := client.call(context.Background(), a, 1, nil); err != nil {
		t.Error(err)
	}
}

func cancelWait(t *testing.T, m Medium) {
	a, b := m.Pair(t, none, none)
	defer a.Close()
	defer b.Close()
	silent := record(b)
	client := record(a)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- client.call(ctx, a, 1, nil) }()
	<-silent.frames
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Wait gave %v, want Canceled", err)
	}
	w := client.expect(2)
	send(b, &transport.Frame{Kind: kindReply, ID: 2})
	if err := a.Wait(context.Background(), w); err != nil {
		t.Errorf("the call after a cancelled one: %v", err)
	}
	send(b, &transport.Frame{ID: 3})
	client.want(t, "events are received after a cancelled call", transport.Frame{ID: 3})
}

// cancelManyWaits: callers that leave at any moment take nobody else's turn with them.
func cancelManyWaits(t *testing.T, m Medium) {
	a, b := m.Pair(t, none, none)
	defer a.Close()
	defer b.Close()
	serve(b)
	client := record(a)
	var all sync.WaitGroup
	for g := range uint64(8) {
		all.Go(func() {
			for i := range uint64(100) {
				ctx, cancel := context.WithCancel(context.Background())
				if (g+i)%3 == 0 {
					go cancel()
				}
				err := client.call(ctx, a, g<<32|i, nil)
				cancel()
				if err != nil && !errors.Is(err, context.Canceled) {
					t.Errorf("call: %v", err)
				}
			}
		})
	}
	all.Wait()
	if err := client.call(context.Background(), a, 1<<60, nil); err != nil {
		t.Errorf("the last call: %v", err)
	}
}

// waitNeedsNoRoom: what need not block succeeds with a context that is done.
func waitNeedsNoRoom(t *testing.T, m Medium) {
	a, b := m.Pair(t, none, none)
	defer a.Close()
	defer b.Close()
	record(a)
	done, cancel := context.WithCancel(context.Background())
	cancel()
	w := transport.NewWaiter()
	w.Complete()
	if err := a.Wait(done, w); err != nil {
		t.Errorf("Wait for a completed Waiter gave %v", err)
	}
	if err := a.Wait(done, transport.NewWaiter()); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait gave %v, want Canceled", err)
	}
}

// completedElsewhere: a waiter may be completed without a frame, by whoever cancels the call.
func completedElsewhere(t *testing.T, m Medium) {
	a, b := m.Pair(t, none, none)
	defer a.Close()
	defer b.Close()
	client, silent := record(a), record(b)
	w := client.expect(1)
	ended := make(chan error)
	go func() { ended <- a.Wait(context.Background(), w) }()
	send(a, &transport.Frame{})
	<-silent.frames
	w.Complete()
	if err := <-ended; err != nil {
		t.Errorf("Wait gave %v, want nil: the waiter is complete", err)
	}
}

func waiterAgain(t *testing.T, m Medium) {
	a, b := m.Pair(t, none, none)
	defer a.Close()
	defer b.Close()
	serve(b)
	client := record(a)
	w := transport.NewWaiter()
	for id := range uint64(100) {
		client.mu.Lock()
		client.calls[id] = w
		client.mu.Unlock()
		send(a, &transport.Frame{Kind: kindRequest, ID: id})
		if err := a.Wait(context.Background(), w); err != nil {
			t.Fatal(err)
		}
		if !w.Completed() {
			t.Fatal("Wait gave nil for a Waiter that is not complete")
		}
		w.Reset()
	}
}
