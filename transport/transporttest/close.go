package transporttest

import (
	"context"
	"io"
	"sync"
	"testing"

	"github.com/openxpc/openxpc/transport"
)

var closeTests = []test{
	{"QueuedFramesThenEnd", queuedFramesThenEnd},
	{"CloseFlushes", closeFlushes},
	{"CloseWhileOthersWrite", closeWhileOthersWrite},
	{"CloseIsSilent", closeIsSilent},
	{"CloseWakesWaiters", closeWakesWaiters},
	{"CloseDropsWhatDoesNotFit", closeDropsWhatDoesNotFit},
	{"AppendAfterClose", appendAfterClose},
	{"WrittenInOrder", writtenInOrder},
	{"NeverStarted", neverStarted},
}

func queuedFramesThenEnd(t *testing.T, m Medium) {
	a, b := m.Pair(t, none, none)
	defer b.Close()
	for id := range uint64(50) {
		send(a, &transport.Frame{ID: id, Body: pattern(id, 100)})
	}
	a.Close()
	r := record(b)
	for id := range uint64(50) {
		r.want(t, "what was sent before the end is delivered before the end", transport.Frame{ID: id, Body: pattern(id, 100)})
	}
	r.wantEnd(t, "the peer closed in good order", io.EOF)
}

func closeFlushes(t *testing.T, m Medium) {
	a, b := m.Pair(t, none, none)
	defer b.Close()
	r := record(b)
	files, inodes := descriptors(t, 2)
	a.Append(&transport.Frame{ID: 1, Files: files})
	a.Append(&transport.Frame{ID: 2, Body: pattern(2, 20_000)})
	a.Close()
	r.want(t, "there was room for it", transport.Frame{ID: 1}, inodes...)
	r.want(t, "there was room for it", transport.Frame{ID: 2, Body: pattern(2, 20_000)})
	r.wantEnd(t, "the peer closed in good order", io.EOF)
}

// closeWhileOthersWrite: whoever is writing when Close is called still writes all that was appended.
func closeWhileOthersWrite(t *testing.T, m Medium) {
	for range 50 {
		a, b := m.Pair(t, none, none)
		r := record(b)
		var all sync.WaitGroup
		for id := range uint64(8) {
			all.Go(func() { send(a, &transport.Frame{ID: id, Body: pattern(id, 2000)}) })
		}
		all.Go(func() { a.Append(&transport.Frame{ID: 8}) })
		all.Wait()
		a.Close()
		r.wantEnd(t, "the peer closed in good order", io.EOF)
		if n := len(r.frames); n != 9 {
			t.Fatalf("%d of 9 frames arrived: all were appended before Close and there was room", n)
		}
		b.Close()
	}
}

func closeIsSilent(t *testing.T, m Medium) {
	a, b := m.Pair(t, none, none)
	x, y := record(a), record(b)
	a.Close()
	a.Close()
	y.wantEnd(t, "the peer closed", io.EOF)
	if len(x.closed) != 0 {
		t.Error("who calls Close is not told of the end")
	}
	b.Close()
	if _, err := a.Peer(); err != transport.ErrClosed {
		t.Errorf("Peer after Close: %v, want ErrClosed: the descriptor may be somebody else's by now", err)
	}
}

func closeWakesWaiters(t *testing.T, m Medium) {
	for _, byPeer := range []bool{false, true} {
		a, b := m.Pair(t, none, none)
		r := record(a)
		server := record(b)
		ended := make(chan error, 3)
		for id := range uint64(3) {
			go func() { ended <- r.call(context.Background(), a, id, nil) }()
		}
		for range 3 {
			<-server.frames
		}
		if byPeer {
			b.Close()
		} else {
			a.Close()
		}
		for range 3 {
			if err := <-ended; err != transport.ErrClosed {
				t.Errorf("Wait gave %v, want ErrClosed: no reply can come any more (ended by the peer: %v)", err, byPeer)
			}
		}
		if err := r.call(context.Background(), a, 9, nil); err != transport.ErrClosed {
			t.Errorf("a later Wait gave %v, want ErrClosed", err)
		}
		a.Close()
		b.Close()
	}
}

func closeDropsWhatDoesNotFit(t *testing.T, m Medium) {
	c, peer := m.Raw(t, none)
	defer peer.Close()
	record(c)
	for id := range uint64(20) {
		files, _ := descriptors(t, 1)
		send(c, &transport.Frame{ID: id, Body: make([]byte, 100_000), Files: files})
	}
	written := make(chan struct{})
	c.Written(func() { close(written) })
	c.Close()
	<-written
	if n := c.Queued(); n != 0 {
		t.Errorf("%d bytes are queued after Close, want 0", n)
	}
}

func appendAfterClose(t *testing.T, m Medium) {
	a, b := m.Pair(t, none, none)
	defer b.Close()
	a.Close()
	files, _ := descriptors(t, 1)
	a.Append(&transport.Frame{Files: files})
	if files[0].Retain() {
		t.Error("the descriptor is open: Append owns it, also when it drops the frame")
	}
	a.Flush()
	called := false
	a.Written(func() { called = true })
	if !called {
		t.Error("Written on a closed connection must call at once: everything was dropped")
	}
}

func writtenInOrder(t *testing.T, m Medium) {
	c, peer := m.Raw(t, none)
	defer c.Close()
	record(c)
	const marks = 40
	order := make(chan int, marks)
	for i := range marks {
		send(c, &transport.Frame{ID: uint64(i), Body: make([]byte, 50_000)})
		c.Written(func() { order <- i })
	}
	if len(order) == marks {
		t.Error("all is said to be written, but it cannot have fitted")
	}
	if err := readFull(peer, make([]byte, marks*(50_000+transport.HeaderSize)), 1<<20); err != nil {
		t.Fatal(err)
	}
	for i := range marks {
		if got := <-order; got != i {
			t.Fatalf("mark %d was called in place of %d", got, i)
		}
	}
	send(c, &transport.Frame{Body: make([]byte, 1<<20)})
	dropped := make(chan struct{})
	c.Written(func() { close(dropped) })
	peer.Close()
	<-dropped // dropped counts as done
}

func neverStarted(t *testing.T, m Medium) {
	a, b := m.Pair(t, none, none)
	files, _ := descriptors(t, 3)
	send(a, &transport.Frame{Files: files})
	a.Close()
	b.Close()
}
