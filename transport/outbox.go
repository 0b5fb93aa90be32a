package transport

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// copyBelow: shorter bodies are copied next to their header, longer ones are written from where they are.
	copyBelow = 16 << 10
	// segmentSize bounds what is gathered into one segment: what the kernel takes as one piece.
	segmentSize = 32 << 10
	// burst: what is appended within this time of a write is most likely followed by more.
	burst = 20 * time.Microsecond
	// writerRounds is how often one sender writes for others before a goroutine takes over.
	writerRounds = 8
	// waitedPiece is how much of a body is written at once by who may wait for room.
	waitedPiece = 1 << 20
	// mostUnread is how many bytes beside frames may be on their way to a peer that
	// has not read what was written; one frame may always be.
	mostUnread = 16 << 20
	// firstLook and lastLook bound how long it takes to notice that the peer has read.
	firstLook, lastLook = time.Millisecond, 64 * time.Millisecond
	// roundSegments is what a writer takes at once.
	roundSegments = 8
	// spareSegments bounds what an idle connection keeps for the next frames.
	spareSegments = 4
)

// segment is what one send can carry: descriptors go with its first byte.
type segment struct {
	head     []byte // headers and short bodies, gathered
	body     []byte // one long body, or the long part of one
	tail     []byte // what follows that part
	files    []*Descriptor
	identify bool
	frames   uint64
	beside   int // what it counts for, too
	pooled   bool
}

func (s *segment) size() int { return len(s.head) + len(s.body) + len(s.tail) }

// outbox gathers frames in order and has one goroutine at a time write them.
type outbox struct {
	conn   *Conn
	queued atomic.Int64 // bytes appended and not yet written, those beside frames too
	frames atomic.Int64 // appended and not yet written
	taken  atomic.Int64 // bytes that the medium took

	// Changed under mu alone. Whoever makes them something else again writes what was
	// appended until then.
	writer atomic.Uint32
	corked atomic.Bool

	mu       sync.Mutex // guards the rest; never held across I/O or a close
	segs     []segment
	spare    []segment
	appended uint64        // frames
	written  uint64        // frames written or dropped
	closed   bool          // nothing is appended any more
	farewell bool          // whoever writes shuts the medium down at the end
	cause    error         // why writing failed, unless the peer is simply gone
	wrote    time.Duration // when FlushSoon last wrote, since began
	marks    []mark
	marking  bool // a goroutine calls the marks

	// The writer's alone.
	unread int           // bytes beside frames that the peer may not have read yet
	look   time.Duration // until it is asked again
}

// What the outbox's writer can be.
const (
	nobodyWrites uint32 = iota
	someoneWrites
	waitsForRoom // the poller will start a goroutine
)

type mark struct {
	at   uint64
	call func()
}

// Append puts f behind everything appended before; Flush writes it. It does no
// I/O and may be called with a lock held. On a closed connection the frame is
// dropped and its descriptors are closed. kept says that Body is still in use;
// if it is false, the caller may use Body's memory again. What goes beyond the
// peer's Options, MaxDescriptors or 4 GiB costs the connection: check before.
func (c *Conn) Append(f *Frame) (kept bool) {
	w := &c.w
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		closeAll(f.Files)
		return false
	}
	kept = len(f.Body) >= copyBelow
	gathered := f.Body // in the segment's head
	if kept {
		gathered = f.Body[:f.InlayAt]
	}
	s := w.segmentFor(f, len(gathered))
	s.head = append(appendHeader(s.head, f), gathered...)
	switch {
	case len(f.Inlay) > 0 && kept:
		s.body, s.tail = f.Inlay, f.Body[f.InlayAt:]
	case len(f.Inlay) > 0:
		rest := len(s.head) - len(f.Body) + f.InlayAt
		s.head, s.body, s.tail = s.head[:rest], f.Inlay, s.head[rest:]
	case kept:
		s.body = f.Body
	}
	if len(f.Files) > 0 {
		s.files = f.Files
	}
	s.identify = s.identify || f.Identify
	s.frames++
	s.beside += f.Beside
	w.appended++
	w.queued.Add(int64(f.Size() + f.Beside))
	w.frames.Add(1)
	w.mu.Unlock()
	return kept
}

// segmentFor returns the segment that f goes to, with n bytes beside its header in the
// head: the last one, unless it is full or f must be the first frame of its segment.
func (w *outbox) segmentFor(f *Frame, n int) *segment {
	if i := len(w.segs) - 1; i >= 0 {
		s := &w.segs[i]
		room := cap(s.head) - len(s.head) - HeaderSize - n
		if s.body == nil && len(f.Files) == 0 && !f.Identify && room >= 0 {
			return s
		}
	}
	s := segment{}
	if n > 0 || len(f.Body) < copyBelow {
		s.head, s.pooled = outBuffers.Get().(*outBuffer)[:0], true
	}
	w.segs = append(w.segs, s)
	return &w.segs[len(w.segs)-1]
}

// outBuffer holds many short frames.
type outBuffer [segmentSize]byte

var outBuffers = sync.Pool{New: func() any { return new(outBuffer) }}

func (s *segment) recycle() {
	if s.pooled && cap(s.head) == len(outBuffer{}) {
		outBuffers.Put((*outBuffer)(s.head[:cap(s.head)]))
	}
	*s = segment{}
}

// left says that what was appended is left to others to write.
func (w *outbox) left() bool { return w.writer.Load() != nobodyWrites || w.corked.Load() }

// Flush writes what has been appended. It never blocks: what the peer has no room
// for is written when there is room. If another goroutine is writing, that one
// writes it all.
func (c *Conn) Flush() {
	w := &c.w
	if w.left() {
		return
	}
	w.mu.Lock()
	if w.left() || w.closed || len(w.segs) == 0 {
		w.mu.Unlock()
		return
	}
	w.writer.Store(someoneWrites)
	c.retain()
	batch := w.takeLocked()
	w.mu.Unlock()
	w.write(batch, false)
}

// began is what FlushSoon counts from.
var began = time.Now()

// FlushSoon is Flush for a sender who does not wait for an answer: the first of a
// burst is written at once, what follows it gathers until the other goroutines
// that can run have had their turn.
func (c *Conn) FlushSoon() {
	w := &c.w
	if w.left() {
		return
	}
	w.mu.Lock()
	if w.left() || w.closed || len(w.segs) == 0 {
		w.mu.Unlock()
		return
	}
	w.writer.Store(someoneWrites)
	c.retain()
	now := time.Since(began)
	if now-w.wrote < burst {
		w.mu.Unlock()
		// Ends when everything is written or the medium is full.
		go w.writeSoon()
		return
	}
	batch := w.takeLocked()
	w.mu.Unlock()
	w.write(batch, false)
	w.noteBurst()
}

// noteBurst: the peer may have run meanwhile, in this thread's place.
func (w *outbox) noteBurst() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrote = time.Since(began)
}

func (w *outbox) writeSoon() {
	runtime.Gosched()
	w.mu.Lock()
	w.wrote = time.Since(began)
	batch := w.takeLocked()
	w.mu.Unlock()
	w.write(batch, true)
}

// takeLocked takes what one round writes: no more than so much that who waits for a part
// of the queue is told early.
func (w *outbox) takeLocked() []segment {
	if len(w.segs) > roundSegments {
		batch := append(w.spare[:0], w.segs[:roundSegments]...)
		clear(w.segs[:roundSegments])
		w.segs, w.spare = w.segs[roundSegments:], nil
		return batch
	}
	batch := w.segs
	w.segs, w.spare = w.spare[:0], nil
	return batch
}

// idle gives up the room for the next frames.
func (w *outbox) idle() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.spare = nil
	if len(w.segs) == 0 {
		w.segs = nil
	}
}

// Queued is the number of bytes that wait to be written.
func (c *Conn) Queued() int { return int(c.w.queued.Load()) }

// QueuedFrames is the number of frames that wait to be written.
func (c *Conn) QueuedFrames() int { return int(c.w.frames.Load()) }

// Taken is the number of bytes that the medium has taken: it grows while the peer reads.
func (c *Conn) Taken() int64 { return c.w.taken.Load() }

// Written calls call once everything appended so far has been written or
// dropped, on any goroutine and perhaps before Written returns. Calls run in the
// order in which they come due, one at a time. call must not block.
func (c *Conn) Written(call func()) { c.w.mark(1, call) }

// HalfWritten is Written for half of the frames that wait now: whoever makes more need
// not wait until nothing is left to send.
func (c *Conn) HalfWritten(call func()) { c.w.mark(2, call) }

// mark has call called when one part of what waits is written.
func (w *outbox) mark(parts uint64, call func()) {
	w.mu.Lock()
	waiting := w.appended - w.written
	at := w.written + (waiting+parts-1)/parts
	i := len(w.marks)
	for i > 0 && w.marks[i-1].at > at {
		i--
	}
	w.marks = slices.Insert(w.marks, i, mark{at, call})
	w.mu.Unlock()
	w.callMarks()
}

// callMarks calls what is due, unless another goroutine does: marks keep their order.
func (w *outbox) callMarks() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.marking {
		return
	}
	w.marking = true
	for len(w.marks) > 0 && w.marks[0].at <= w.written {
		due := w.marks[0]
		w.marks[0], w.marks = mark{}, w.marks[1:]
		w.mu.Unlock()
		due.call()
		w.mu.Lock()
	}
	w.marking = false
	if len(w.marks) == 0 {
		w.marks = nil
	}
}

func (w *outbox) cork(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.corked.Store(on)
}

// write is run by whoever became the writer: a sender, who never waits, or a
// goroutine of its own, which may wait for the reader of a long body: to be told
// of room by the poller costs more than the room is worth. It ends when nothing is
// left, or when the poller or another goroutine goes on.
func (w *outbox) write(batch []segment, own bool) {
	for rounds := writerRounds; ; rounds-- {
		left, sent, err := w.conn.sendAll(batch, own)
		look := w.look // after settle it may be another writer's
		var do then
		batch, do = w.settle(batch, left, sent, err, own)
		switch {
		case do == awaitRoom:
			w.conn.m.arm(false, true)
		case do == awaitReader:
			time.AfterFunc(look, w.writable)
		case do == sayFarewell:
			w.conn.m.shutdown()
		case do == writeMore && (rounds > 0 || own):
			continue
		case do == writeMore || do == writeWaiting:
			// Ends when everything is written or there is no room for long; holds the
			// writer's place on the medium.
			go w.write(batch, true)
			return
		}
		w.conn.release()
		return
	}
}

// then is what a writer does after a round.
type then uint8

const (
	writeMore then = iota
	finished
	sayFarewell
	awaitRoom
	awaitReader
	writeWaiting
)

// sendAll writes segments until the medium has no more room, and for the end of
// long bodies waits for it if it may. It returns the first unfinished one and the
// number of bytes written.
func (c *Conn) sendAll(batch []segment, mayWait bool) (left, sent int, err error) {
	for i := range batch {
		s := &batch[i]
		if s.beside > 0 && len(s.files) > 0 && !c.w.admits(s.beside) {
			return i, sent, errUnread
		}
		for s.size() > 0 {
			piece, tail := s.body, s.tail
			wait := mayWait && len(s.body) > 0 && !c.ended.Load()
			if wait {
				piece = piece[:min(len(piece), waitedPiece)]
				tail = tail[:min(len(tail), waitedPiece-len(piece))]
			}
			n, err := c.m.send(parts{s.head, piece, tail}, s.files, s.identify, wait)
			if err != nil {
				return i, sent, err
			}
			closeAll(s.files)
			s.files, s.identify = nil, false
			s.advance(n)
			sent += n
			c.w.taken.Add(int64(n))
		}
	}
	return len(batch), sent, nil
}

// errUnread: what was written before is to be read first.
var errUnread = errors.New("transport: the peer has not read")

// admits says whether n bytes beside a frame may be sent. The socket's buffer
// bounds frames, but not the memory that they carry.
func (w *outbox) admits(n int) bool {
	if w.unread > 0 && w.unread+n > mostUnread {
		if !w.conn.m.drained() {
			w.look = min(max(2*w.look, firstLook), lastLook)
			return false
		}
		w.unread = 0
	}
	w.unread += n
	w.look = 0
	return true
}

// advance takes off what was sent.
func (s *segment) advance(n int) {
	if n < len(s.head) {
		s.head, s.pooled = s.head[n:], false // a shifted slice cannot go back to the pool
		return
	}
	n -= len(s.head)
	took := min(n, len(s.body))
	s.head, s.body, s.tail = s.head[:0], s.body[took:], s.tail[n-took:]
	if len(s.body) == 0 && len(s.tail) > 0 {
		s.body, s.tail = s.tail, nil // which may be long, too
	}
}

// settle accounts for a round and says what follows, with the next batch if
// there is one.
func (w *outbox) settle(batch []segment, left, sent int, err error, own bool) (more []segment, do then) {
	w.mu.Lock()
	w.queued.Add(-int64(sent))
	rest := batch[left:]
	for i := range left {
		w.written += batch[i].frames
		w.frames.Add(-int64(batch[i].frames))
		w.queued.Add(-int64(batch[i].beside))
		batch[i].recycle()
	}
	var dropped []*Descriptor
	waits := (err == errAgain || err == errUnread) && !w.closed
	switch {
	case err == errAgain && waits && !own && len(rest[0].body) > 0:
		more, do = rest, writeWaiting
	case waits:
		w.segs = append(rest, w.segs...)
	case err != nil:
		w.failLocked(err)
		dropped = append(filesOf(rest), w.dropLocked()...)
	}
	if !waits && cap(batch) <= spareSegments {
		clear(rest)
		w.spare = batch[:0]
	}
	switch {
	case do == writeWaiting:
	case waits:
		do = awaitRoom
		w.writer.Store(waitsForRoom)
		if err == errUnread {
			do = awaitReader
		}
	case len(w.segs) > 0:
		more, do = w.takeLocked(), writeMore
	default:
		do = finished
		w.writer.Store(nobodyWrites)
		if w.farewell {
			do = sayFarewell
		}
	}
	marked := len(w.marks) > 0
	w.mu.Unlock()
	closeAll(dropped)
	if marked {
		w.callMarks()
	}
	return more, do
}

// failLocked ends the writing. The reader learns of a peer that is gone by
// itself, after what that still sent; of anything else because the medium is shut down.
func (w *outbox) failLocked(err error) {
	w.closed = true
	if err != errAgain && err != errUnread && !errors.Is(err, unix.EPIPE) && !errors.Is(err, unix.ECONNRESET) {
		w.cause, w.farewell = fmt.Errorf("transport: send: %w", err), true
	}
}

// dropLocked forgets what is queued and returns its descriptors, to be closed.
func (w *outbox) dropLocked() []*Descriptor {
	dropped := filesOf(w.segs)
	w.segs, w.spare, w.written = nil, nil, w.appended
	w.queued.Store(0)
	w.frames.Store(0)
	return dropped
}

func filesOf(segs []segment) (files []*Descriptor) {
	for i := range segs {
		files = append(files, segs[i].files...)
	}
	return files
}

// failure is why writing failed; nil also when the peer was gone.
func (w *outbox) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cause
}

// writable: the poller found room.
func (w *outbox) writable() {
	w.mu.Lock()
	if w.writer.Load() != waitsForRoom || w.closed {
		w.mu.Unlock()
		return
	}
	w.writer.Store(someoneWrites)
	w.conn.retain()
	batch := w.takeLocked()
	w.mu.Unlock()
	// Ends when everything is written or the medium is full again.
	go w.write(batch, true)
}

// end refuses further frames, writes what there is room for and drops the rest.
// If a goroutine is writing, that one does it and shuts the medium down; then
// end returns false.
func (w *outbox) end() (over bool) {
	w.mu.Lock()
	w.closed = true
	if w.writer.Load() == someoneWrites {
		w.farewell = true
		w.mu.Unlock()
		return false
	}
	batch := w.segs
	w.segs = nil
	w.mu.Unlock()

	left, _, _ := w.conn.sendAll(batch, false)
	w.mu.Lock()
	dropped := append(filesOf(batch[left:]), w.dropLocked()...)
	w.mu.Unlock()
	closeAll(dropped)
	w.callMarks()
	return true
}
