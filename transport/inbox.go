package transport

import (
	"sync"
)

const (
	// bufferSize holds many small frames; a longer frame gets memory of its own.
	bufferSize = 64 << 10
	// firstChunk is what a long frame gets before its bytes have come; it doubles from there.
	firstChunk = 256 << 10
	// maxUnclaimed bounds descriptors that came before the frames they belong to.
	maxUnclaimed = 2 * MaxDescriptors
)

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// inbox turns bytes into frames. Only the holder of the reading role touches it.
type inbox struct {
	incoming
	buf        *[bufferSize]byte // nil while nothing is buffered and nobody reads
	start, end int
	long       []byte // the body of a long frame as far as it came
	longHead   header
	collecting bool
	corked     bool
}

// next takes the next whole frame, if there is one.
func (in *inbox) next(f *Frame, o *Options) (bool, error) {
	if in.collecting {
		if len(in.long) < int(in.longHead.length) {
			return false, nil
		}
		body := in.long
		in.long, in.collecting = nil, false
		return true, in.compose(f, in.longHead, body, true)
	}
	have := in.end - in.start
	if have < HeaderSize {
		return false, nil
	}
	h := parseHeader(in.buf[in.start:])
	if err := h.check(o); err != nil {
		return false, err
	}
	size := HeaderSize + int(h.length)
	if size <= have {
		body := in.buf[in.start+HeaderSize : in.start+size : in.start+size]
		in.start += size
		return true, in.compose(f, h, body, false)
	}
	if size > bufferSize {
		in.long = append(make([]byte, 0, min(int(h.length), firstChunk)), in.buf[in.start+HeaderSize:in.end]...)
		in.longHead, in.collecting = h, true
		in.start, in.end = 0, 0
	}
	return false, nil
}

func (in *inbox) compose(f *Frame, h header, body []byte, owned bool) error {
	if int(h.files) > len(in.files) {
		return protocolError("a frame claims %d descriptors, %d came", h.files, len(in.files))
	}
	*f = Frame{Kind: h.kind, Flags: h.flags, ID: h.id, Body: body, Owned: owned,
		Files: in.takeFiles(int(h.files)), Sender: in.sender}
	return nil
}

// holdsFrame says whether next would find a frame.
func (in *inbox) holdsFrame() bool {
	if in.collecting {
		return len(in.long) == int(in.longHead.length)
	}
	have := in.end - in.start
	return have >= HeaderSize && have-HeaderSize >= int(parseHeader(in.buf[in.start:]).length)
}

// fill reads more; it may block for about a millisecond.
func (in *inbox) fill(m medium) error {
	b := in.room()
	n, err := m.recv(b, &in.incoming, true)
	if err != nil {
		return err
	}
	if in.collecting {
		in.long = in.long[:len(in.long)+n]
	} else {
		in.end += n
	}
	if len(in.files) > maxUnclaimed {
		return protocolError("%d descriptors that belong to no frame", len(in.files))
	}
	return nil
}

func (in *inbox) room() []byte {
	if in.collecting {
		if len(in.long) == cap(in.long) {
			grown := make([]byte, len(in.long), min(int(in.longHead.length), 2*cap(in.long)))
			copy(grown, in.long)
			in.long = grown
		}
		return in.long[len(in.long):cap(in.long)]
	}
	if in.buf == nil {
		in.buf = buffers.Get().(*[bufferSize]byte)
	}
	if in.start > 0 {
		in.end = copy(in.buf[:], in.buf[in.start:in.end])
		in.start = 0
	}
	return in.buf[in.end:]
}

// shrink gives an empty buffer back: an idle connection holds none.
func (in *inbox) shrink() {
	if in.buf != nil && in.start == in.end {
		buffers.Put(in.buf)
		in.buf, in.start, in.end = nil, 0, 0
	}
}

// drop forgets everything and closes what was never claimed.
func (in *inbox) drop() {
	closeAll(in.files)
	in.files, in.long, in.collecting = nil, nil, false
	in.start, in.end = 0, 0
	in.shrink()
}
