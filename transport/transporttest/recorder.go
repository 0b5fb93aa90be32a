package transporttest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/transport"
)

// Eventually asks until ok, and fails t if that is never so.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	giveUp := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(giveUp) {
			t.Fatalf("never came true: %s", what)
		}
		runtime.Gosched()
	}
}

// recorder is a Receiver that keeps what comes. The functions may be nil.
type recorder struct {
	frames  chan transport.Frame
	closed  chan error
	onFrame func(f *transport.Frame, inline bool) transport.Outcome
	onWork  func()

	mu    sync.Mutex // guards calls
	calls map[uint64]*transport.Waiter
}

func newRecorder() *recorder {
	return &recorder{frames: make(chan transport.Frame, 10_000), closed: make(chan error, 1), calls: map[uint64]*transport.Waiter{}}
}

func record(c *transport.Conn) *recorder {
	r := newRecorder()
	c.Start(r)
	return r
}

func (r *recorder) Receive(f *transport.Frame, inline bool) transport.Outcome {
	if f.Kind == kindReply {
		return r.reply(f)
	}
	g := *f
	g.Body = bytes.Clone(f.Body)
	var out transport.Outcome
	if r.onFrame != nil {
		out = r.onFrame(&g, inline)
	}
	r.frames <- g
	return out
}

func (r *recorder) reply(f *transport.Frame) transport.Outcome {
	r.mu.Lock()
	w := r.calls[f.ID]
	delete(r.calls, f.ID)
	r.mu.Unlock()
	if w == nil {
		return 0
	}
	w.Complete()
	return transport.Replied
}

func (r *recorder) Work() {
	if r.onWork != nil {
		r.onWork()
	}
}

func (r *recorder) Closed(err error) { r.closed <- err }

// expect registers a waiter for the reply with this id.
func (r *recorder) expect(id uint64) *transport.Waiter {
	w := transport.NewWaiter()
	r.mu.Lock()
	r.calls[id] = w
	r.mu.Unlock()
	return w
}

const (
	kindEvent = iota
	kindReply
	kindRequest
	kindBlock
)

// call sends a request and waits for the reply of the same id.
func (r *recorder) call(ctx context.Context, c *transport.Conn, id uint64, body []byte) error {
	w := r.expect(id)
	send(c, &transport.Frame{Kind: kindRequest, ID: id, Body: body})
	return c.Wait(ctx, w)
}

// serve answers each request from Work, and blocks on a kindBlock frame until unblock is closed.
func serve(c *transport.Conn) (r *recorder, unblock chan struct{}) {
	r, unblock = newRecorder(), make(chan struct{})
	var mu sync.Mutex
	var queue []transport.Frame
	r.onFrame = func(f *transport.Frame, inline bool) transport.Outcome {
		mu.Lock()
		queue = append(queue, *f)
		mu.Unlock()
		if !inline {
			go r.onWork()
			return 0
		}
		return transport.Work
	}
	r.onWork = func() {
		mu.Lock()
		todo := queue
		queue = nil
		mu.Unlock()
		for _, f := range todo {
			switch f.Kind {
			case kindRequest:
				send(c, &transport.Frame{Kind: kindReply, ID: f.ID, Body: f.Body})
			case kindBlock:
				<-unblock
			}
		}
	}
	c.Start(r)
	return r, unblock
}

func send(c *transport.Conn, f *transport.Frame) {
	c.Append(f)
	c.Flush()
}

func (r *recorder) wantEnd(t testing.TB, why string, want error) {
	t.Helper()
	if err := <-r.closed; !errors.Is(err, want) {
		t.Errorf("the end was told as %v, want %v: %s", err, want, why)
	}
}

func (r *recorder) wantProtocolError(t testing.TB, why string) {
	t.Helper()
	var broken *transport.ProtocolError
	if err := <-r.closed; !errors.As(err, &broken) {
		t.Errorf("the end was told as %v, want a ProtocolError: %s", err, why)
	}
	if n := len(r.frames); n > 0 {
		t.Errorf("%d frames were delivered: %s", n, why)
	}
}

func (r *recorder) wantIdle(t testing.TB, why string) {
	t.Helper()
	if n := len(r.frames); n > 0 {
		t.Errorf("%d frames were delivered: %s", n, why)
	}
}

// want takes the next frame and compares its id, body and descriptors.
func (r *recorder) want(t testing.TB, why string, want transport.Frame, inodes ...uint64) {
	t.Helper()
	got := <-r.frames
	defer closeFiles(got.Files)
	if got.Kind != want.Kind || got.Flags != want.Flags || got.ID != want.ID || !bytes.Equal(got.Body, want.Body) {
		t.Fatalf("got frame kind %d flags %d id %d with %d bytes, want kind %d flags %d id %d with these %d bytes: %s",
			got.Kind, got.Flags, got.ID, len(got.Body), want.Kind, want.Flags, want.ID, len(want.Body), why)
	}
	if len(got.Files) != len(inodes) {
		t.Fatalf("frame %d brought %d descriptors, want %d: %s", got.ID, len(got.Files), len(inodes), why)
	}
	for i, d := range got.Files {
		if n := inode(t, d); n != inodes[i] {
			t.Errorf("frame %d: descriptor %d is of inode %d, want %d: %s", got.ID, i, n, inodes[i], why)
		}
	}
}

func closeFiles(files []*transport.Descriptor) {
	for _, d := range files {
		d.Close()
	}
}

// descriptors opens n descriptors, each of another file, and names them by inode.
func descriptors(t testing.TB, n int) (files []*transport.Descriptor, inodes []uint64) {
	t.Helper()
	for range n {
		var p [2]int
		if err := unix.Pipe(p[:]); err != nil {
			t.Fatal(err)
		}
		unix.Close(p[1])
		d := transport.NewDescriptor(p[0])
		files, inodes = append(files, d), append(inodes, inode(t, d))
	}
	return files, inodes
}

func inode(t testing.TB, d *transport.Descriptor) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Fstat(d.FD(), &st); err != nil {
		t.Fatalf("a descriptor that should be open: %v", err)
	}
	return uint64(st.Ino)
}

// encode writes a frame as the wire has it, from the page and not with the package's own code.
func encode(kind, flags uint8, id uint64, files uint16, length uint32, body []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, length)
	b = append(b, kind, flags)
	b = binary.BigEndian.AppendUint16(b, files)
	b = binary.BigEndian.AppendUint64(b, id)
	return append(b, body...)
}

func frame(id uint64, body []byte) []byte {
	return encode(kindEvent, 0, id, 0, uint32(len(body)), body)
}

// pattern is n bytes that differ from frame to frame and from place to place.
func pattern(seed uint64, n int) []byte {
	b := make([]byte, n)
	x := seed*2654435761 + 1
	for i := range b {
		x = x*6364136223846793005 + 1442695040888963407
		b[i] = byte(x >> 56)
	}
	return b
}

// readFull reads exactly len(b) bytes, at most step at a time.
func readFull(w Wire, b []byte, step int) error {
	for len(b) > 0 {
		n, err := w.Read(b[:min(step, len(b))])
		if err == io.EOF {
			return io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}
