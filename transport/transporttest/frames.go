package transporttest

import (
	"bytes"
	"context"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/openxpc/openxpc/transport"
)

var frameTests = []test{
	{"Pipelined", pipelined},
	{"Burst", burst},
	{"Sequential", sequential},
	{"SplitWithDescriptors", splitWithDescriptors},
	{"ByteByByte", byteByByte},
	{"SlowReader", slowReader},
	{"Inlays", inlays},
	{"LongestFrame", longestFrame},
	{"BothWaysAtOnce", bothWaysAtOnce},
	{"Callers", callers},
	{"Identify", identify},
}

var none transport.Options

// sizes straddle what is special: nothing, the copy threshold, the read buffer.
var sizes = []int{0, 1, 64, 16<<10 - 1, 16 << 10, 64<<10 - 17, 64<<10 - 16, 64<<10 - 15, 64 << 10, 300_000}

func pipelined(t *testing.T, m Medium) {
	a, b := m.Pair(t, none, none)
	defer a.Close()
	defer b.Close()
	r := record(b)
	var inodes [][]uint64
	const rounds = 30
	for i := range rounds * len(sizes) {
		files, n := descriptors(t, i%4)
		inodes = append(inodes, n)
		a.Append(&transport.Frame{Kind: 3, Flags: uint8(i), ID: uint64(i), Body: pattern(uint64(i), sizes[i%len(sizes)]), Files: files})
		if i%7 == 0 {
			a.Flush()
		}
	}
	a.Flush()
	for i := range rounds * len(sizes) {
		r.want(t, "frames arrive in order, each with its own descriptors",
			transport.Frame{Kind: 3, Flags: uint8(i), ID: uint64(i), Body: pattern(uint64(i), sizes[i%len(sizes)])}, inodes[i]...)
	}
}

// burst mixes senders in haste with senders who are not: all frames arrive, in
// order, also those that gather when the connection is closed, and the last one
// without anything following it.
func burst(t *testing.T, m Medium) {
	a, b := m.Pair(t, none, none)
	defer a.Close()
	defer b.Close()
	r := record(b)
	sent := uint64(0)
	for round := range 50 {
		last := round == 49
		size := func(i int) int {
			if last {
				return i // what is closed upon must fit into the smallest socket
			}
			return sizes[i%4]
		}
		for i := range 40 {
			body := pattern(sent, size(i))
			a.Append(&transport.Frame{ID: sent, Body: body})
			if i%10 == 9 {
				a.Flush()
			} else {
				a.FlushSoon()
			}
			sent++
		}
		if last {
			a.Close()
		}
		for i := range 40 {
			id := sent - 40 + uint64(i)
			r.want(t, "a burst arrives whole and in order", transport.Frame{ID: id, Body: pattern(id, size(i))})
		}
	}
	r.wantEnd(t, "closed with nothing left behind", io.EOF)
}

func sequential(t *testing.T, m Medium) {
	a, b := m.Pair(t, none, none)
	defer a.Close()
	defer b.Close()
	r := record(b)
	for i, size := range sizes {
		files, inodes := descriptors(t, i)
		body := pattern(uint64(i), size)
		send(a, &transport.Frame{ID: uint64(i), Body: body, Files: files})
		r.want(t, "one frame at a time", transport.Frame{ID: uint64(i), Body: body}, inodes...)
	}
	files, inodes := descriptors(t, transport.MaxDescriptors)
	send(a, &transport.Frame{ID: 99, Files: files})
	r.want(t, "as many descriptors as a frame can carry", transport.Frame{ID: 99}, inodes...)
}

// splitWithDescriptors: the bytes of one frame and the descriptors of the next may come in one read.
func splitWithDescriptors(t *testing.T, m Medium) {
	c, peer := m.Raw(t, none)
	defer c.Close()
	defer peer.Close()
	r := record(c)
	files, inodes := descriptors(t, 3)
	defer closeFiles(files)
	one := encode(0, 0, 1, 0, 5, []byte("plain"))
	two := encode(0, 0, 2, 1, 3, []byte("one"))
	three := encode(0, 0, 3, 2, 3, []byte("two"))
	for cut := range len(one) {
		write(t, peer, one[:cut])
		write(t, peer, one[cut:])
		write(t, peer, two, files[0])
		write(t, peer, three[:1+cut%4], files[1:]...)
		write(t, peer, three[1+cut%4:])
		r.want(t, "a plain frame in two pieces", transport.Frame{ID: 1, Body: []byte("plain")})
		r.want(t, "its own descriptor", transport.Frame{ID: 2, Body: []byte("one")}, inodes[0])
		r.want(t, "descriptors came with the first piece", transport.Frame{ID: 3, Body: []byte("two")}, inodes[1:]...)
	}
}

func write(t testing.TB, w Wire, b []byte, files ...*transport.Descriptor) {
	t.Helper()
	if len(b) == 0 {
		return
	}
	if err := w.Write(b, files...); err != nil {
		t.Fatalf("the test's peer cannot write: %v", err)
	}
}

func byteByByte(t *testing.T, m Medium) {
	c, peer := m.Raw(t, none)
	defer c.Close()
	defer peer.Close()
	r := record(c)
	for id, size := range []int{0, 1, 40} {
		body := pattern(uint64(id), size)
		for _, x := range frame(uint64(id), body) {
			write(t, peer, []byte{x})
		}
		r.want(t, "no byte boundary matters", transport.Frame{ID: uint64(id), Body: body})
	}
	// A frame longer than the read buffer, dripping at both sides of the boundary.
	body := pattern(9, 100_000)
	all := frame(9, body)
	write(t, peer, all[:64<<10-3])
	for _, x := range all[64<<10-3 : 64<<10+3] {
		write(t, peer, []byte{x})
	}
	write(t, peer, all[64<<10+3:])
	r.want(t, "a long frame in pieces", transport.Frame{ID: 9, Body: body})
}

// slowReader: the medium fills up, and the writer is resumed each time there is room.
func slowReader(t *testing.T, m Medium) {
	c, peer := m.Raw(t, none)
	defer c.Close()
	defer peer.Close()
	record(c)
	var want []byte
	for id := range uint64(60) {
		body := pattern(id, sizes[int(id)%len(sizes)])
		want = append(want, frame(id, body)...)
		send(c, &transport.Frame{ID: id, Body: body})
	}
	if c.Queued() == 0 {
		t.Errorf("nothing is queued: %d bytes should not fit into the medium", len(want))
	}
	readSlowly(t, c, peer, want)
}

// readSlowly wants these bytes at the far end, and nothing to be queued then.
func readSlowly(t *testing.T, c *transport.Conn, peer Wire, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	if err := readFull(peer, got, 1777); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("the bytes differ: a short write must go on where it stopped")
	}
	Eventually(t, "nothing is queued after all has been read", func() bool { return c.Queued() == 0 })
}

// inlays are parts of a body that lie elsewhere: the bytes are those of the whole, short
// writes go on within each part, and what is before and after is not mixed up.
func inlays(t *testing.T, m Medium) {
	c, peer := m.Raw(t, none)
	defer c.Close()
	defer peer.Close()
	record(c)
	var want []byte
	id := uint64(0)
	for _, before := range []int{0, 5, transport.MaxInlayAt} {
		for _, long := range []int{1, 16 << 10, 64 << 10, 300_000} {
			for _, after := range []int{0, 7, 20_000, 300_000} {
				id++
				whole := pattern(id, before+long+after)
				want = append(want, frame(id, whole)...)
				body := append(append([]byte(nil), whole[:before]...), whole[before+long:]...)
				f := &transport.Frame{ID: id, Body: body, Inlay: whole[before : before+long], InlayAt: before}
				if f.Size() != transport.HeaderSize+len(whole) {
					t.Errorf("the frame has %d bytes, want %d", f.Size(), transport.HeaderSize+len(whole))
				}
				if kept := c.Append(f); !kept {
					clear(body) // the memory is the caller's again
				}
				id++
				want = append(want, frame(id, []byte("short"))...)
				send(c, &transport.Frame{ID: id, Body: []byte("short")})
			}
		}
	}
	if n := c.Queued(); n == 0 || n > len(want) {
		t.Errorf("%d bytes are queued of %d", n, len(want))
	}
	readSlowly(t, c, peer, want)
}

func longestFrame(t *testing.T, m Medium) {
	a, b := m.Pair(t, none, none)
	defer a.Close()
	defer b.Close()
	r := record(b)
	body := make([]byte, 64<<20)
	copy(body[len(body)-8:], "the end.")
	send(a, &transport.Frame{ID: 1, Body: body})
	r.want(t, "64 MiB is within the default limit", transport.Frame{ID: 1, Body: body})
	send(a, &transport.Frame{ID: 2, Body: append(body, 0)})
	r.wantProtocolError(t, "one byte more is not")
	Eventually(t, "the sender's queue is dropped when the peer has gone", func() bool { return a.Queued() == 0 })
}

func bothWaysAtOnce(t *testing.T, m Medium) {
	a, b := m.Pair(t, none, none)
	defer a.Close()
	defer b.Close()
	x, y := record(a), record(b)
	const frames = 500
	var both sync.WaitGroup
	for _, c := range []*transport.Conn{a, b} {
		both.Go(func() {
			for id := range uint64(frames) {
				send(c, &transport.Frame{ID: id, Body: pattern(id, 10_000)})
			}
		})
	}
	both.Wait()
	for id := range uint64(frames) {
		want := transport.Frame{ID: id, Body: pattern(id, 10_000)}
		x.want(t, "two floods do not block each other", want)
		y.want(t, "two floods do not block each other", want)
	}
}

// callers: many goroutines wait at once, and each gets its own reply.
func callers(t *testing.T, m Medium) {
	for _, n := range []int{1, 2, 3, 64} {
		a, b := m.Pair(t, none, none)
		server, _ := serve(b)
		client := record(a)
		var id atomic.Uint64
		var all sync.WaitGroup
		for range n {
			all.Go(func() {
				for i := range 1000 / n {
					size := 64
					if i%50 == 25 {
						size = 300_000
					}
					if err := client.call(context.Background(), a, id.Add(1), make([]byte, size)); err != nil {
						t.Errorf("call: %v", err)
						return
					}
				}
			})
		}
		all.Wait()
		client.wantIdle(t, "replies are not events")
		a.Close()
		server.wantEnd(t, "the client closed in good order", io.EOF)
	}
}

func identify(t *testing.T, m Medium) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux attaches credentials to bytes on these sockets")
	}
	a, b := m.Pair(t, none, none)
	defer a.Close()
	defer b.Close()
	r := record(b)
	a.Append(&transport.Frame{ID: 1, Identify: true})
	a.Append(&transport.Frame{ID: 2})
	a.Flush()
	if f := <-r.frames; f.Sender.PID != os.Getpid() || f.Sender.UID != os.Geteuid() {
		t.Errorf("the sender is %v, want this process: credentials were asked for", f.Sender)
	}
	<-r.frames
}
