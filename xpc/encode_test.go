package xpc

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/openxpc/openxpc/transport"
	"github.com/openxpc/openxpc/xpc/wire"
)

func encode(d *Dictionary, lim Limits) ([]byte, []*transport.Descriptor, error) {
	lim = lim.withDefaults()
	return encodeMessage([]byte("before"), d, &lim)
}

func TestEncodingAppends(t *testing.T) {
	d := NewDictionary()
	d.SetString("greeting", "hello")
	d.SetInt64("n", -5)
	b, files, err := encode(d, Limits{})
	if err != nil || files != nil {
		t.Fatal(err, files)
	}
	if got, want := string(b[:6])+hex.EncodeToString(b[6:]), "before82a86772656574696e67a568656c6c6fa16efb"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Whatever we send, our own checker of messages accepts.
func TestWhatIsEncodedIsWellFormed(t *testing.T) {
	d := everything(t)
	d.Set("fd", box(t))
	b, files, err := encode(d, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	closeAll(files)
	if err := wire.Scan(b[6:], len(files), wire.Limits{}); err != nil {
		t.Error(err)
	}
}

func closeAll(files []*transport.Descriptor) {
	for _, f := range files {
		f.Close()
	}
}

// T28: what happens to the dictionary afterwards is not in the message.
func TestEncodingIsASnapshot(t *testing.T) {
	d := everything(t)
	b := encodeFrom(t, d)
	before := string(b)
	d.GetArray("array").SetInt64(0, 99)
	d.SetString("string", "other")
	if string(b) != before {
		t.Error("a mutation reached the message (R141)")
	}
}

func TestDescriptorsTravelRetained(t *testing.T) {
	fd := box(t)
	d := NewDictionary()
	d.Set("k", fd)
	_, files, err := encode(d, Limits{})
	if err != nil || len(files) != 1 {
		t.Fatal(err, files)
	}
	fd.Close()
	if !files[0].Retain() {
		t.Fatal("the message holds the descriptor by itself (R159)")
	}
	files[0].Close()
	files[0].Close()
	if files[0].Retain() {
		t.Error("the caller's was the last ownership")
	}
}

func TestLimitsOfEncoding(t *testing.T) {
	nest := func(levels int) *Dictionary {
		d := NewDictionary()
		for range levels - 1 {
			outer := NewDictionary()
			outer.Set("k", d)
			d = outer
		}
		return d
	}
	ten := NewDictionary() // 10 values: itself, the array, 8 numbers
	ten.SetArray("k", NewArray(Int64(1), Int64(2), Int64(3), Int64(4), Int64(5), Int64(6), Int64(7), Int64(8)))
	data := NewDictionary()
	data.SetData("k", make([]byte, 1000)) // 1 + 2 + 3 + 1000 bytes
	long := NewDictionary()
	long.Set(strings.Repeat("k", 1000), Null{})
	fds := NewDictionary()
	fds.SetArray("k", NewArray(box(t), box(t)))

	for _, c := range []struct {
		why   string
		d     *Dictionary
		lim   Limits
		limit string // "" for a message that must pass
	}{
		{"64 levels", nest(64), Limits{}, ""},
		{"65 levels", nest(65), Limits{}, "MaxDepth"},
		{"10 values of 10", ten, Limits{MaxElements: 10}, ""},
		{"10 values of 9", ten, Limits{MaxElements: 9}, "MaxElements"},
		{"1006 bytes of 1006", data, Limits{MaxMessageSize: 1006}, ""},
		{"1006 bytes of 1005", data, Limits{MaxMessageSize: 1005}, "MaxMessageSize"},
		{"a long key", long, Limits{MaxMessageSize: 1000}, "MaxMessageSize"},
		{"2 descriptors of 2", fds, Limits{MaxDescriptors: 2}, ""},
		{"2 descriptors of 1", fds, Limits{MaxDescriptors: 1}, "MaxDescriptors"},
	} {
		b, files, err := encode(c.d, c.lim)
		closeAll(files)
		var limit *LimitError
		switch {
		case c.limit == "" && err != nil:
			t.Errorf("%s must pass: %v", c.why, err)
		case c.limit != "" && (!errors.As(err, &limit) || limit.Limit != c.limit || !strings.HasPrefix(err.Error(), "xpc: ")):
			t.Errorf("%s: got %v, want a LimitError of %s", c.why, err, c.limit)
		case c.limit != "" && (string(b) != "before" || files != nil):
			t.Errorf("%s: a refused message left %q and %d files", c.why, b, len(files))
		}
	}
}

func TestWhatCannotBeSentIsNamed(t *testing.T) {
	closed := box(t)
	closed.Close()
	for _, c := range []struct {
		o    Object
		want string
	}{
		{closed, `xpc: the value at "files"[1] cannot be sent: transport: descriptor is closed`},
		{&Connection{}, `xpc: the value at "files"[1] cannot be sent: a connection cannot be sent: put its endpoint there with SetConnection`},
		{&Endpoint{}, `xpc: the value at "files"[1] cannot be sent: the endpoint leads nowhere, its listener is gone`},
	} {
		d := NewDictionary()
		fd := box(t)
		d.SetArray("files", NewArray(fd, c.o))
		b, files, err := encode(d, Limits{})
		if err == nil || err.Error() != c.want {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
		if string(b) != "before" || files != nil {
			t.Errorf("an error left %q and %d files", b, len(files))
		}
		fd.Close()
		if fd.d.Retain() {
			t.Error("the error kept an ownership of the descriptor before")
		}
	}
}

func TestEncodingIntoRoomAllocatesNothing(t *testing.T) {
	d := everything(t)
	lim := Limits{}.withDefaults()
	b := make([]byte, 0, 4096)
	if allocs := testing.AllocsPerRun(100, func() {
		if _, _, err := encodeMessage(b, d, &lim); err != nil {
			t.Fatal(err)
		}
	}); allocs != 0 {
		t.Errorf("encoding took %v allocations, want none", allocs)
	}
}

// Long data is written from where it lies: the frame has the same bytes, in pieces, and the
// limits count them all.
func TestLongDataIsInlaid(t *testing.T) {
	received := func(data []byte, beside int) *Dictionary {
		d, got := NewDictionary(), &Dictionary{}
		d.SetData("a", data)
		d.SetString("beside", strings.Repeat("x", beside))
		limits := Limits{SharedDataFrom: 1 << 30}.withDefaults()
		body, _, err := encodeMessage(nil, d, &limits)
		if err == nil {
			_, err = decodeMessage(got, body, nil, &limits)
		}
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	long, longer := bytes.Repeat([]byte{1}, inlayFrom), bytes.Repeat([]byte{2}, 3*inlayFrom)
	for _, c := range []struct {
		why   string
		m     func(d *Dictionary)
		inlay int
	}{
		{"none is long", func(d *Dictionary) { d.SetData("a", long[1:]) }, 0},
		{"the last value", func(d *Dictionary) { d.SetString("s", "x"); d.SetData("a", long) }, len(long)},
		{"the first value", func(d *Dictionary) { d.SetData("a", long); d.SetString("s", "x") }, len(long)},
		{"the first of two", func(d *Dictionary) { d.SetData("a", long); d.SetData("b", longer) }, len(long)},
		{"behind too much else", func(d *Dictionary) { d.SetString("s", strings.Repeat("x", transport.MaxInlayAt)); d.SetData("a", long) }, 0},
		{"before more than itself", func(d *Dictionary) { d.SetData("a", long); d.SetString("s", strings.Repeat("x", 100_000)) }, len(long)},
		{"most of what was received", func(d *Dictionary) { d.Set("a", received(long, 100).Get("a")) }, len(long)},
		// It would keep all of what was received in memory, and a limit count its own size.
		{"a part of what was received", func(d *Dictionary) { d.Set("a", received(long, len(long)).Get("a")) }, 0},
		{"a copy of such a container", func(d *Dictionary) { d.Set("in", Copy(received(long, len(long)))) }, 0},
		{"a long part of what was received", func(d *Dictionary) {
			d.Set("a", received(bytes.Repeat(longer, 4), 13*len(long)).Get("a"))
		}, 0},
		{"within others", func(d *Dictionary) {
			d.Set("in", NewArray(Int64(1), NewData(longer), Int64(2)))
			d.SetInt64("i", 3)
		}, len(longer)},
	} {
		d := NewDictionary()
		c.m(d)
		inline := Limits{SharedDataFrom: 1 << 30}.withDefaults()
		whole, _, err := encodeMessage(nil, d, &inline)
		if err != nil {
			t.Fatal(err)
		}
		for _, lim := range []int{len(whole), len(whole) - 1} {
			limits := Limits{MaxMessageSize: lim, SharedDataFrom: 1 << 30}.withDefaults()
			var f transport.Frame
			err := encodeFrame(&f, nil, d, &limits)
			if fits := lim == len(whole); (err == nil) != fits {
				t.Errorf("%s: a limit of %d for %d bytes: %v", c.why, lim, len(whole), err)
			}
			if err != nil {
				continue
			}
			if got := slices.Concat(f.Body[:f.InlayAt], f.Inlay, f.Body[f.InlayAt:]); !bytes.Equal(got, whole) || len(f.Inlay) != c.inlay {
				t.Errorf("%s: an inlay of %d bytes, want %d; the whole is equal: %v", c.why, len(f.Inlay), c.inlay, bytes.Equal(got, whole))
			}
		}
	}
}

// eight is the dictionary of 8 mixed fields that codecs are compared with.
func eight() *Dictionary {
	d := NewDictionary()
	d.SetString("name", "com.example.service")
	d.SetInt64("int", -1234567)
	d.SetUint64("count", math.MaxUint64)
	d.SetDouble("ratio", 0.25)
	d.SetBool("flag", true)
	d.SetData("blob", make([]byte, 64))
	d.SetUUID("id", UUID{1, 2, 3})
	d.SetArray("list", NewArray(String("one"), String("two"), String("three")))
	return d
}

func BenchmarkEncode(b *testing.B) {
	d, lim := eight(), Limits{}.withDefaults()
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		encodeMessage(buf, d, &lim)
	}
}

func BenchmarkEncodeData(b *testing.B) {
	for _, n := range []int{1 << 10, 1 << 20} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			d, lim := NewDictionary(), Limits{}.withDefaults()
			d.SetData("data", make([]byte, n))
			buf := make([]byte, 0, n+4096)
			b.SetBytes(int64(n))
			for b.Loop() {
				encodeMessage(buf, d, &lim)
			}
		})
	}
}
