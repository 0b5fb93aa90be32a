package transport

import (
	"strings"
	"sync"
	"unsafe"

	"github.com/openxpc/openxpc/credentials"
)

const (
	// bufferSize holds many small frames; a longer frame gets memory of its own.
	bufferSize = 64 << 10
	// collectFrom is how much of a long frame must have come before it gets memory of its own.
	collectFrom = 16 << 10
	// claimFactor bounds the memory of a long frame to this multiple of what has come.
	claimFactor = 4
)

// readBuffer is what a reader needs; a connection holds one only while it is in use. A
// short frame touches the first page alone.
type readBuffer struct {
	control [controlRoom]byte
	data    [bufferSize]byte
}

var buffers = sync.Pool{New: func() any { return new(readBuffer) }}

// inbox turns bytes into frames. Only the holder of the reading role touches it.
type inbox struct {
	incoming
	buf        *readBuffer // nil while nobody reads
	start, end int
	kept       []byte // an unfinished frame while nobody reads, so that it pins no buffer
	long       []byte // the body of a long frame as far as it came
	longHead   header
	collecting bool
	corked     bool                    // frames wait behind the one that is handed over
	held       bool                    // something may have been appended while corked
	first      credentials.Credentials // who wrote the first byte of the next frame
	follows    bool                    // a frame was taken since the last read
	turn       chan struct{}           // see queueBehind; made when first needed
	taken      int64                   // by the medium, when it was last filled
	frame      Frame                   // what Receive is given, so that it need not be allocated
}

var inboxes = sync.Pool{New: func() any { return new(inbox) }}

func newInbox() *inbox { return inboxes.Get().(*inbox) }

// recycle gives up an inbox of which shrink said that it is empty.
func (in *inbox) recycle() {
	*in = inbox{}
	inboxes.Put(in)
}

// next takes the next whole frame, if there is one.
func (in *inbox) next(f *Frame, o *Options) (bool, error) {
	if in.collecting {
		if len(in.long) < int(in.longHead.length) {
			return false, in.checkUnclaimed(o)
		}
		body := in.long
		in.long, in.collecting = nil, false
		return true, in.compose(f, in.longHead, body, true)
	}
	have := in.end - in.start
	if have < HeaderSize {
		return false, in.checkUnclaimed(o)
	}
	h := parseHeader(in.buf.data[in.start:])
	if err := h.check(o); err != nil {
		return false, err
	}
	size := HeaderSize + int(h.length)
	if size <= have {
		body := in.buf.data[in.start+HeaderSize : in.start+size : in.start+size]
		in.start += size
		return true, in.compose(f, h, body, false)
	}
	if size > bufferSize && have >= collectFrom {
		in.long = append(claim(min(int(h.length), claimFactor*have)), in.buf.data[in.start+HeaderSize:in.end]...)
		in.longHead, in.collecting = h, true
		in.start, in.end = 0, 0
		in.shrink()
	}
	return false, in.checkUnclaimed(o)
}

// claim is room for n bytes, which are not cleared: they are about to be written,
// and until then take no memory of the machine's.
func claim(n int) []byte {
	var b strings.Builder
	b.Grow(n)
	b.WriteByte(0)
	return unsafe.Slice(unsafe.StringData(b.String()), n)[:0]
}

// checkUnclaimed: all whole frames are taken, so what descriptors remain can
// only be those of the unfinished one.
func (in *inbox) checkUnclaimed(o *Options) error {
	switch n := len(in.files); {
	case n == 0:
	case !in.partial():
		return protocolError("%d descriptors that belong to no frame", n)
	case n > o.MaxFiles:
		return protocolError("%d descriptors for one frame, the limit is %d", n, o.MaxFiles)
	}
	return nil
}

// partial says whether something has come that is not delivered.
func (in *inbox) partial() bool { return in.collecting || in.kept != nil || in.start < in.end }

func (in *inbox) compose(f *Frame, h header, body []byte, owned bool) error {
	if int(h.files) > len(in.files) {
		return protocolError("a frame claims %d descriptors, %d came", h.files, len(in.files))
	}
	*f = Frame{Kind: h.kind, Flags: h.flags, ID: h.id, Body: body, Owned: owned,
		Files: in.takeFiles(int(h.files)), Sender: in.first, Follows: in.follows}
	in.first, in.follows = in.sender, true // whatever follows came with the last bytes
	return nil
}

// holdsFrame says whether next would find a frame.
func (in *inbox) holdsFrame() bool {
	if in == nil {
		return false
	}
	if in.collecting {
		return len(in.long) == int(in.longHead.length)
	}
	have := in.end - in.start
	return have >= HeaderSize && have-HeaderSize >= int(parseHeader(in.buf.data[in.start:]).length)
}

// notice is told how many frames were received since it was last filled, and how many
// bytes the medium has taken in all.
func (in *inbox) notice(frames int, taken int64) {
	in.lively = frames > 1 && taken != in.taken
	in.taken = taken
}

// fill reads more; with wait it may block for about a millisecond.
func (in *inbox) fill(m medium, wait bool) error {
	fresh := !in.partial()
	b := in.room()
	in.sender = credentials.Unknown()
	n, err := m.recv(b, &in.incoming, wait)
	if err != nil {
		return err
	}
	in.follows = false
	switch {
	case fresh:
		in.first = in.sender
	case in.sender.PID != in.first.PID:
		in.first = credentials.Unknown() // a frame of two writers is nobody's
	}
	if in.collecting {
		in.long = in.long[:len(in.long)+n]
	} else {
		in.end += n
	}
	return nil
}

func (in *inbox) room() []byte {
	if in.buf == nil {
		in.buf = buffers.Get().(*readBuffer)
		in.end = copy(in.buf.data[:], in.kept)
		in.kept = nil
	}
	in.control = in.buf.control[:]
	if in.collecting {
		if len(in.long) == cap(in.long) {
			in.long = append(claim(min(int(in.longHead.length), claimFactor*len(in.long))), in.long...)
		}
		return in.long[len(in.long):cap(in.long)]
	}
	if in.start > 0 {
		in.end = copy(in.buf.data[:], in.buf.data[in.start:in.end])
		in.start = 0
	}
	return in.buf.data[in.end:]
}

// shrink gives the buffer back, keeps no more than an unfinished frame, and says
// whether there is none. A nil inbox is no inbox at all.
func (in *inbox) shrink() (empty bool) {
	if in == nil {
		return false
	}
	if in.buf != nil {
		if in.start < in.end {
			in.kept = append(make([]byte, 0, in.end-in.start), in.buf.data[in.start:in.end]...)
		}
		buffers.Put(in.buf)
		in.buf, in.control, in.start, in.end = nil, nil, 0, 0
		in.frame = Frame{}
	}
	return !in.partial() && len(in.files) == 0
}

// drop forgets everything and closes what was never claimed.
func (in *inbox) drop() {
	if in == nil {
		return
	}
	closeAll(in.files)
	in.start, in.end = 0, 0
	in.shrink()
	in.files, in.long, in.kept, in.collecting = nil, nil, nil, false
}

// queueBehind is runtime.Gosched for a goroutine that has made many others ready: it
// queues behind them, on their processor. Gosched would put it where an idle thread
// looks first, to go on before most of them have run.
func (in *inbox) queueBehind() {
	if in.turn == nil {
		in.turn = make(chan struct{})
	}
	go in.callUp() // ends at once
	<-in.turn
}

func (in *inbox) callUp() {
	in.turn <- struct{}{} // makes the one that waits the next to run,
	go func() {}()        // and this puts it at the end of the queue
}
