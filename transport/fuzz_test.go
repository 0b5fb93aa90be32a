package transport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"testing"
)

// fuzzBody is the limit under which the fuzzer's connection runs: frames longer
// than the read buffer are allowed, so that both ways of gathering are met.
const fuzzBody = 200_000

// reference reads frames the plain way: all bytes are there, nothing is reused.
func reference(data []byte) (frames []Frame, end error) {
	for len(data) >= HeaderSize {
		length := int64(binary.BigEndian.Uint32(data))
		if length > fuzzBody || binary.BigEndian.Uint16(data[6:]) > MaxDescriptors {
			return frames, &ProtocolError{}
		}
		if int64(len(data)-HeaderSize) < length {
			return frames, io.ErrUnexpectedEOF
		}
		if binary.BigEndian.Uint16(data[6:]) > 0 { // none ever come
			return frames, &ProtocolError{}
		}
		body := data[HeaderSize : HeaderSize+length]
		frames = append(frames, Frame{Kind: data[4], Flags: data[5], ID: binary.BigEndian.Uint64(data[8:]), Body: body})
		data = data[HeaderSize+length:]
	}
	if len(data) > 0 {
		return frames, io.ErrUnexpectedEOF
	}
	return frames, io.EOF
}

type fuzzed struct {
	frames []Frame
	closed chan error
}

func (z *fuzzed) Receive(f *Frame, _ bool) Outcome {
	g := *f
	g.Body = bytes.Clone(f.Body)
	z.frames = append(z.frames, g)
	return 0
}
func (z *fuzzed) Work()            {}
func (z *fuzzed) Closed(err error) { z.closed <- err }

// chunks cuts data as the first bytes of cuts say.
func chunks(data, cuts []byte) (pieces []piece) {
	for i := 0; len(data) > 0; i++ {
		n := len(data)
		if i < len(cuts) {
			n = min(n, 1+int(cuts[i])*int(cuts[i]))
		}
		pieces = append(pieces, piece{bytes: data[:n]})
		data = data[n:]
	}
	return pieces
}

func FuzzFrames(f *testing.F) {
	frame := func(n int) []byte {
		body := bytes.Repeat([]byte{7}, n)
		return append(appendHeader(nil, &Frame{Kind: 1, ID: 9, Body: body}), body...)
	}
	f.Add([]byte{}, []byte{})
	f.Add(frame(5), []byte{0, 1})
	f.Add(append(frame(0), frame(70_000)...), []byte{4, 255, 200})
	f.Add(append(frame(bufferSize-HeaderSize), frame(bufferSize-HeaderSize+1)...), []byte{255, 1, 1})
	f.Add(frame(fuzzBody+1), []byte{})
	f.Add(frame(100_000)[:90_000], []byte{3, 100})
	f.Fuzz(func(t *testing.T, data, cuts []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		c := newConn(Options{MaxBody: fuzzBody})
		c.m = &script{pieces: chunks(data, cuts)}
		z := &fuzzed{closed: make(chan error, 1)}
		c.recv = z // Start would begin with a reader of its own
		c.retain()
		c.readAlone(c.role.take(reader), nil) // on this goroutine, so that coverage repeats
		end := <-z.closed
		runtime.ReadMemStats(&after)
		compare(t, z, end, data)
		// Twice for the copy made here, and growing a long body by doubling.
		if n := after.TotalAlloc - before.TotalAlloc; n > 8*uint64(len(data))+1<<20 {
			t.Errorf("%d bytes allocated for %d", n, len(data))
		}
	})
}

func compare(t *testing.T, z *fuzzed, end error, data []byte) {
	t.Helper()
	want, wantEnd := reference(data)
	var broken, wantBroken *ProtocolError
	if errors.As(end, &broken) != errors.As(wantEnd, &wantBroken) || broken == nil && end != wantEnd {
		t.Errorf("the end is %v, want %v", end, wantEnd)
	}
	if len(z.frames) != len(want) {
		t.Fatalf("%d frames, want %d", len(z.frames), len(want))
	}
	for i, got := range z.frames {
		w := want[i]
		if got.Kind != w.Kind || got.Flags != w.Flags || got.ID != w.ID || !bytes.Equal(got.Body, w.Body) || got.Files != nil {
			t.Errorf("frame %d is %d/%d/%d with %d bytes, want %d/%d/%d with %d", i,
				got.Kind, got.Flags, got.ID, len(got.Body), w.Kind, w.Flags, w.ID, len(w.Body))
		}
	}
}
