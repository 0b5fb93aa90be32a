package xpc

import (
	"bytes"
	"errors"
	"testing"

	"github.com/openxpc/openxpc/transport"
	"github.com/openxpc/openxpc/xpc/wire"
)

// fuzzedFrame is a frame with n descriptors that no kernel knows.
func fuzzedFrame(kind uint8, body []byte, n uint8) *transport.Frame {
	f := &transport.Frame{Kind: kind, Body: bytes.Clone(body)}
	for range n % 4 {
		f.Files = append(f.Files, transport.NewDescriptor(-1))
	}
	return f
}

func addGreetings(f *testing.F) {
	for _, lim := range []Limits{defaultLimits, {MaxMessageSize: 1, MaxDescriptors: 1}} {
		f.Add(helloFrame(&lim).Body, uint8(0))
	}
	f.Add(refusalFrame("no such program").Body, uint8(0))
	f.Add(refusalFrame("").Body, uint8(1))
	f.Add([]byte{}, uint8(0))
	f.Add([]byte{0xc1}, uint8(0))
	f.Add(wire.AppendMapHeader(nil, 1<<16), uint8(0))
	huge := wire.AppendMapHeader(nil, 3)
	huge = wire.AppendUint64(wire.AppendString(huge, "version"), 1<<64-1)
	huge = wire.AppendUint64(wire.AppendString(huge, "max-message"), 1<<64-1)
	huge = wire.AppendInt64(wire.AppendString(huge, "max-descriptors"), -1)
	f.Add(huge, uint8(0))
	file := wire.AppendFD(wire.AppendString(wire.AppendMapHeader(nil, 1), "version"), 0)
	f.Add(file, uint8(1))
}

// FuzzHello: whatever a peer greets with is an error or limits that can be
// computed with, the same each time.
func FuzzHello(f *testing.F) {
	addGreetings(f)
	f.Fuzz(func(t *testing.T, body []byte, files uint8) {
		frame := fuzzedFrame(frameHello, body, files)
		h, err := parseHello(frame)
		again, err2 := parseHello(fuzzedFrame(frameHello, body, files))
		switch {
		case (err == nil) != (err2 == nil) || h != again:
			t.Errorf("the second reading differs: %+v, %v and %+v, %v", h, err, again, err2)
		case err != nil && h != hello{}:
			t.Errorf("limits %+v beside the error %v", h, err)
		case err != nil:
		case h.maxMessage < 1 || h.maxMessage > mostMessageSize || h.maxDescriptors < 1 || h.maxDescriptors > mostMessageSize:
			t.Errorf("limits %+v: want them from 1 to %d", h, mostMessageSize)
		}
		if !bytes.Equal(frame.Body, body) {
			t.Error("the frame's body was changed; it is the connection's")
		}
	})
}

// FuzzRefusal: whatever a refusal says, the result is an error that is ErrLaunchFailed
// and has a text, or says that it could not be read.
func FuzzRefusal(f *testing.F) {
	addGreetings(f)
	f.Fuzz(func(t *testing.T, body []byte, files uint8) {
		err := parseRefusal(fuzzedFrame(frameRefused, body, files))
		if err == nil || err.Error() == "" {
			t.Fatalf("got %v, want an error with a text", err)
		}
		var d Dictionary
		_, unreadable := decodeMessage(&d, bytes.Clone(body), fuzzedFrame(frameRefused, nil, files).Files, &defaultLimits)
		if (unreadable == nil) != errors.Is(err, ErrLaunchFailed) {
			t.Errorf("got %v for a body that reads %v", err, unreadable)
		}
	})
}
