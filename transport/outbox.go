package transport

import "sync"

const (
	// copyBelow: shorter bodies are copied next to their header, longer ones are written from where they are.
	copyBelow = 16 << 10
	// segmentSize is where gathering into one segment stops.
	segmentSize = 64 << 10
	// writerRounds is how often one sender writes for others before a goroutine takes over.
	writerRounds = 8
)

// segment is what one send can carry: descriptors go with its first byte.
type segment struct {
	head     []byte // headers and short bodies, gathered
	body     []byte // one long body, last
	files    []*Descriptor
	identify bool
	frames   uint64
	pooled   bool
}

func (s *segment) size() int { return len(s.head) + len(s.body) }

// outbox gathers frames in order and has one goroutine at a time write them.
type outbox struct {
	conn *Conn

	mu       sync.Mutex // guards the rest; never held across I/O
	segs     []segment
	spare    []segment
	queued   int    // bytes appended and not yet written
	appended uint64 // frames
	written  uint64 // frames written or dropped
	writing  bool   // a goroutine is in write, or the poller will start one
	corked   bool
	dead     bool // nothing will be written any more
	marks    []mark
}

type mark struct {
	at   uint64
	call func()
}

// Append puts f behind everything appended before; Flush writes it. It does no
// I/O and may be called with a lock held. On a closed connection the frame is
// dropped and its descriptors are closed. kept says that Body is still in use;
// if it is false, the caller may use Body's memory again.
func (c *Conn) Append(f *Frame) (kept bool) {
	w := &c.w
	w.mu.Lock()
	if w.dead {
		w.mu.Unlock()
		closeAll(f.Files)
		return false
	}
	s := w.segmentFor(f)
	s.head = appendHeader(s.head, f)
	if kept = len(f.Body) >= copyBelow; kept {
		s.body = f.Body
	} else {
		s.head = append(s.head, f.Body...)
	}
	if len(f.Files) > 0 {
		s.files = f.Files
	}
	s.identify = s.identify || f.Identify
	s.frames++
	w.appended++
	w.queued += HeaderSize + len(f.Body)
	w.mu.Unlock()
	return kept
}

// segmentFor returns the segment that f goes to: the last one, unless it is full
// or f must be the first frame of its segment.
func (w *outbox) segmentFor(f *Frame) *segment {
	if n := len(w.segs); n > 0 {
		s := &w.segs[n-1]
		if s.body == nil && len(f.Files) == 0 && !f.Identify && len(s.head) < segmentSize {
			return s
		}
	}
	s := segment{}
	if len(f.Body) < copyBelow {
		s.head, s.pooled = outBuffers.Get().(*outBuffer)[:0], true
	}
	w.segs = append(w.segs, s)
	return &w.segs[len(w.segs)-1]
}

type outBuffer [4 << 10]byte

var outBuffers = sync.Pool{New: func() any { return new(outBuffer) }}

func (s *segment) recycle() {
	if s.pooled && cap(s.head) == len(outBuffer{}) {
		outBuffers.Put((*outBuffer)(s.head[:cap(s.head)]))
	}
	*s = segment{}
}

// Flush writes what has been appended. It never blocks: what the peer has no room
// for is written when there is room. If another goroutine is writing, that one
// writes it all.
func (c *Conn) Flush() {
	w := &c.w
	w.mu.Lock()
	if w.writing || w.corked || w.dead || len(w.segs) == 0 {
		w.mu.Unlock()
		return
	}
	w.writing = true
	c.retain()
	w.mu.Unlock()
	w.write(writerRounds)
}

// Queued is the number of bytes that wait to be written.
func (c *Conn) Queued() int {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	return c.w.queued
}

// Written calls call once everything appended so far has been written or
// dropped, on any goroutine and perhaps before Written returns.
func (c *Conn) Written(call func()) {
	w := &c.w
	w.mu.Lock()
	now := w.dead || w.written == w.appended
	if !now {
		w.marks = append(w.marks, mark{w.appended, call})
	}
	w.mu.Unlock()
	if now {
		call()
	}
}

func (w *outbox) cork(on bool) {
	w.mu.Lock()
	w.corked = on
	w.mu.Unlock()
	if !on {
		w.conn.Flush()
	}
}

// write is run by whoever set writing. It ends when nothing is left, or with
// writing still set when the poller or another goroutine goes on.
func (w *outbox) write(rounds int) {
	for ; ; rounds-- {
		w.mu.Lock()
		if w.dead || len(w.segs) == 0 {
			w.writing = false
			w.mu.Unlock()
			w.conn.release()
			return
		}
		if rounds == 0 {
			w.mu.Unlock()
			// Ends when everything is written; holds the writer's place on the medium.
			go w.write(1 << 30)
			return
		}
		batch := w.segs
		w.segs, w.spare = w.spare[:0], nil
		w.mu.Unlock()

		left, err := w.conn.sendAll(batch)
		again := w.settle(batch, left, err)
		if again {
			w.conn.m.arm(false, true)
			w.conn.release()
			return
		}
	}
}

// sendAll writes segments until the medium has no more room, and returns the first unfinished.
func (c *Conn) sendAll(batch []segment) (int, error) {
	for i := range batch {
		s := &batch[i]
		for s.size() > 0 {
			n, err := c.m.send(s.head, s.body, s.files, s.identify)
			if err != nil {
				return i, err
			}
			closeAll(s.files)
			s.files, s.identify = nil, false
			s.head, s.body = advance(s, n)
		}
	}
	return len(batch), nil
}

func advance(s *segment, n int) (head, body []byte) {
	if n < len(s.head) {
		s.pooled = false // a shifted slice cannot go back to the pool
		return s.head[n:], s.body
	}
	return s.head[:0], s.body[n-len(s.head):]
}

// settle accounts for a round. It reports whether the rest waits for room.
func (w *outbox) settle(batch []segment, left int, err error) (again bool) {
	w.mu.Lock()
	done := batch[:left]
	rest := batch[left:]
	for i := range done {
		w.written += done[i].frames
		done[i].recycle()
	}
	switch {
	case err == errAgain && !w.dead:
		again = true
		w.segs = append(append(make([]segment, 0, len(rest)+len(w.segs)), rest...), w.segs...)
	case err != nil || w.dead:
		// The reader learns of the end by itself, after what the peer still sent.
		w.dead = true
		dropSegments(rest)
		dropSegments(w.segs)
		w.segs = nil
		w.written = w.appended
	}
	w.queued = 0
	for i := range w.segs {
		w.queued += w.segs[i].size()
	}
	if cap(batch) <= 16 && !again {
		w.spare = batch[:0]
	}
	due := w.due()
	w.mu.Unlock()
	for _, m := range due {
		m.call()
	}
	return again
}

func dropSegments(segs []segment) {
	for i := range segs {
		closeAll(segs[i].files)
		segs[i] = segment{}
	}
}

// due takes the marks that have been reached.
func (w *outbox) due() []mark {
	n := 0
	for n < len(w.marks) && (w.dead || w.marks[n].at <= w.written) {
		n++
	}
	due := w.marks[:n:n]
	w.marks = w.marks[n:]
	if len(w.marks) == 0 {
		w.marks = nil
	}
	return due
}

// writable: the poller found room. writing is still set.
func (w *outbox) writable() {
	w.mu.Lock()
	if !w.writing || w.dead {
		w.mu.Unlock()
		return
	}
	w.conn.retain()
	w.mu.Unlock()
	// Ends when everything is written or the medium is full again.
	go w.write(1 << 30)
}

// end drops what is queued, after one try to write it if the connection is ours to close.
func (w *outbox) end(try bool) {
	w.mu.Lock()
	if w.dead {
		w.mu.Unlock()
		return
	}
	w.dead = true
	var batch []segment
	if !w.writing {
		batch, w.segs = w.segs, nil
	}
	w.mu.Unlock()
	if try && len(batch) > 0 {
		w.conn.sendAll(batch)
	}
	w.mu.Lock()
	dropSegments(batch)
	dropSegments(w.segs)
	w.segs, w.queued, w.written = nil, 0, w.appended
	due := w.due()
	w.mu.Unlock()
	for _, m := range due {
		m.call()
	}
}
