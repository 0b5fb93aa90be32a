package xpc

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/transport"
	"github.com/openxpc/openxpc/xpc/internal/memory"
	"github.com/openxpc/openxpc/xpc/wire"
)

func decode(body []byte, files []*transport.Descriptor, lim Limits) (*Dictionary, []*FD, error) {
	lim = lim.withDefaults()
	d := NewDictionary()
	fds, err := decodeMessage(d, body, files, &lim)
	return d, fds, err
}

// descriptors gives so many descriptors with one owner each.
func descriptors(t testing.TB, n int) []*transport.Descriptor {
	t.Helper()
	f := openFile(t)
	files := make([]*transport.Descriptor, n)
	for i := range files {
		d, err := transport.DupDescriptor(int(f.Fd()))
		if err != nil {
			t.Fatal(err)
		}
		files[i] = d
	}
	return files
}

// sharedFile is memory that can be shared, of zeros.
func sharedFile(t testing.TB, n int) *transport.Descriptor {
	t.Helper()
	fd, err := memory.Create(n, memory.ToShare)
	if err != nil {
		t.Fatal(err)
	}
	return transport.NewDescriptor(fd)
}

// wantClosed checks that nobody owns the descriptors any more.
func wantClosed(t *testing.T, why string, files []*transport.Descriptor) {
	t.Helper()
	for i, f := range files {
		if f.Retain() {
			t.Errorf("%s: descriptor %d is still open", why, i)
			f.Close()
			f.Close()
		}
	}
}

// R40: every type survives, and int64 and uint64 stay apart.
func TestEveryTypeSurvives(t *testing.T) {
	d := everything(t)
	d.Set("endpoint path", &Endpoint{path: "/run/xpc/s/1"})
	got := NewDictionary()
	decodeInto(t, got, encodeFrom(t, d))
	e := got.Get("endpoint path").(*Endpoint)
	if e.path != "/run/xpc/s/1" {
		t.Errorf("the endpoint leads to %q", e.path)
	}
	got.Delete("endpoint path")
	d.Delete("endpoint path")
	if !Equal(got, d) || got.String() != d.String() {
		t.Errorf("got  %s\nwant %s", got, d)
	}
}

func TestDescriptorsArrive(t *testing.T) {
	d, sent := NewDictionary(), []*FD{box(t), box(t)}
	d.Set("second", sent[0])
	d.SetArray("list", NewArray(sent[1]))
	d.Set("endpoint", &Endpoint{d: descriptors(t, 1)[0]})
	defer d.Get("endpoint").(*Endpoint).d.Close()
	lim := Limits{}.withDefaults()
	body, files, err := encodeMessage(nil, d, &lim)
	if err != nil {
		t.Fatal(err)
	}
	sent[0].Close()
	sent[1].Close()
	got, fds, err := decode(body, files, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if len(fds) != 2 || fds[0].taken.Load() {
		t.Errorf("%d boxes, want the two that were sent, and none is handed out yet", len(fds))
	}
	n := got.GetArray("list").DupFD(0)
	if n < 0 {
		t.Error("the box in the array has no descriptor")
	}
	unix.Close(n)
	if got.Get("second") != Object(fds[0]) || !fds[0].taken.Load() {
		t.Error("Get hands out the very box, and says so")
	}
	for _, fd := range fds {
		fd.Close()
	}
	wantClosed(t, "the boxes were the owners", files[:2])
	if e := got.Get("endpoint").(*Endpoint); e.d != files[2] {
		t.Error("the endpoint must have its descriptor")
	}
	files[2].Close()
}

func TestReceivedValuesShareTheBody(t *testing.T) {
	d := NewDictionary()
	d.SetData("k", make([]byte, sharedDataFrom-1))
	body := encodeFrom(t, d)
	got := NewDictionary()
	decodeInto(t, got, body)
	if b := got.GetData("k"); &b[0] != &body[len(body)-len(b)] {
		t.Error("data was copied")
	}
}

func TestLargeDictionariesFindTheirKeys(t *testing.T) {
	for _, n := range []int{0, 1, 12, 13, 14, 1000} {
		d, got := NewDictionary(), NewDictionary()
		for i := range n {
			d.SetInt64(strconv.Itoa(i), int64(i))
		}
		decodeInto(t, got, encodeFrom(t, d))
		for i := range n {
			if got.GetInt64(strconv.Itoa(i)) != int64(i) {
				t.Fatalf("of %d keys, %d is lost", n, i)
			}
		}
		got.SetInt64("new", 1)
		if got.Count() != n+1 || got.GetInt64("new") != 1 {
			t.Errorf("a received dictionary of %d cannot grow", n)
		}
	}
}

func TestLimitsOfDecoding(t *testing.T) {
	ten := wire.AppendArrayHeader(wire.AppendString(wire.AppendMapHeader(nil, 1), "k"), 8)
	for range 8 {
		ten = wire.AppendNull(ten)
	}
	deep := func(levels int) []byte {
		b := wire.AppendString(wire.AppendMapHeader(nil, 1), "k")
		for range levels - 2 {
			b = wire.AppendArrayHeader(b, 1)
		}
		return wire.AppendArrayHeader(b, 0)
	}
	for _, c := range []struct {
		why   string
		body  []byte
		files int
		lim   Limits
		limit string
	}{
		{"64 levels", deep(64), 0, Limits{}, ""},
		{"65 levels", deep(65), 0, Limits{}, "MaxDepth"},
		{"10 values of 10", ten, 0, Limits{MaxElements: 10}, ""},
		{"10 values of 9", ten, 0, Limits{MaxElements: 9}, "MaxElements"},
		{"all bytes", ten, 0, Limits{MaxMessageSize: len(ten)}, ""},
		{"a byte too many", ten, 0, Limits{MaxMessageSize: len(ten) - 1}, "MaxMessageSize"},
		{"a descriptor too many", ten, 2, Limits{MaxDescriptors: 1}, "MaxDescriptors"},
	} {
		files := descriptors(t, c.files)
		_, _, err := decode(c.body, files, c.lim)
		if c.limit == "" {
			if err != nil {
				t.Errorf("%s must pass: %v", c.why, err)
			}
			continue
		}
		var malformed *wire.Error
		if !errors.As(err, &malformed) || !strings.Contains(err.Error(), c.limit) {
			t.Errorf("%s: got %v, want a *wire.Error that names %s", c.why, err, c.limit)
		}
		wantClosed(t, c.why, files)
	}
}

// vectorFile is what the tests here need of the protocol's golden vectors.
type vectorFile struct {
	Messages []struct {
		Name, Hex   string
		Descriptors int
		Foreign     bool
	}
	Refused []struct {
		Name, Hex, Problem string
		Descriptors        int
	}
}

func readVectors(t testing.TB) (v vectorFile) {
	t.Helper()
	b, err := os.ReadFile("wire/testdata/vectors.json")
	if err == nil {
		err = json.Unmarshal(b, &v)
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Our own form of a message is one: decoding and encoding gives the same bytes.
func TestVectorsRoundTrip(t *testing.T) {
	lim := Limits{}.withDefaults()
	for _, v := range readVectors(t).Messages {
		body := unhex(t, v.Hex)
		files := descriptors(t, v.Descriptors)
		if strings.HasPrefix(v.Name, "shared") {
			closeAll(files)
			files = []*transport.Descriptor{sharedFile(t, 128<<10)}
		}
		d, fds, err := decode(slices.Clone(body), files, Limits{})
		if err != nil {
			t.Errorf("%s: %v", v.Name, err)
			continue
		}
		again, out, err := encodeMessage(nil, d, &lim)
		closeAll(out)
		switch {
		case err != nil:
			t.Errorf("%s: %v", v.Name, err)
		case v.Descriptors < 2 && !v.Foreign && string(again) != string(body):
			t.Errorf("%s: %x became %x", v.Name, body, again)
		}
		for _, fd := range fds {
			fd.Close()
		}
		closeAll(files)
	}
}

// A message that is refused leaves nothing behind: no entries, no descriptor.
func TestRefusedVectorsLeaveNothing(t *testing.T) {
	for _, v := range readVectors(t).Refused {
		files := descriptors(t, v.Descriptors)
		d, fds, err := decode(unhex(t, v.Hex), files, Limits{})
		var malformed *wire.Error
		if !errors.As(err, &malformed) || !strings.Contains(err.Error(), v.Problem) {
			t.Errorf("%s: got %v, want a *wire.Error that says %q", v.Name, err, v.Problem)
		}
		if d.Count() != 0 || fds != nil {
			t.Errorf("%s: %s and %d boxes are left", v.Name, d, len(fds))
		}
		wantClosed(t, v.Name, files)
	}
}

func TestDescriptorsOfAMessageThatFailsLaterAreClosed(t *testing.T) {
	body := wire.AppendFD(wire.AppendString(wire.AppendMapHeader(nil, 2), "file"), 0)
	body = append(wire.AppendString(body, "bad"), 0xc1)
	files := descriptors(t, 1)
	if _, _, err := decode(body, files, Limits{}); err == nil {
		t.Fatal("0xc1 is no value")
	}
	wantClosed(t, "the message was refused after its box was made", files)
}

func TestDecodingTakesOneAllocation(t *testing.T) {
	d := NewDictionary()
	for _, key := range []string{"a", "b", "c", "d"} {
		d.SetInt64(key+"1", 12345)
		d.SetString(key+"2", "hello")
	}
	body, lim := encodeFrom(t, d), Limits{}.withDefaults()
	var got Dictionary
	if allocs := testing.AllocsPerRun(100, func() {
		got.entries = nil
		if _, err := decodeMessage(&got, body, nil, &lim); err != nil {
			t.Fatal(err)
		}
	}); allocs != 1 {
		t.Errorf("decoding 8 fields took %v allocations, want the one for the entries", allocs)
	}
}

// bound is what a message may make its receiver allocate: Limits.MaxElements
// promises 150 bytes a value, and an error and its text take something.
func bound(body []byte) uint64 { return uint64(min(len(body), wire.DefaultElements)*150 + 64<<10) }

func FuzzDecode(f *testing.F) {
	v := readVectors(f)
	for _, m := range v.Messages {
		f.Add(unhex(f, m.Hex), byte(m.Descriptors))
	}
	for _, r := range v.Refused {
		f.Add(unhex(f, r.Hex), byte(r.Descriptors))
	}
	lim := Limits{}.withDefaults()
	f.Fuzz(func(t *testing.T, body []byte, n byte) {
		files := make([]*transport.Descriptor, n%4)
		for i := range files {
			files[i] = stillborn()
		}
		valid := wire.Scan(body, len(files), wire.Limits{})
		d := NewDictionary()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := decodeMessage(d, slices.Clone(body), files, &lim)
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > bound(body)+uint64(len(body)) {
			t.Fatalf("%d bytes of message took %d bytes of memory", len(body), used)
		}
		if err != nil && valid == nil && strings.Contains(err.Error(), ", descriptor ") {
			return // memory is refused for what came along and for its size, which the scanner does not look at
		}
		if (err == nil) != (valid == nil) {
			t.Fatalf("the decoder says %v, the scanner %v", err, valid)
		}
		if err == nil && len(files) == 0 {
			roundTrip(t, d)
		}
	})
}

// stillborn is a Descriptor that owns no kernel descriptor, so that fuzzing opens none.
func stillborn() *transport.Descriptor {
	d := transport.NewDescriptor(invalidFD)
	d.Close()
	return d
}

// roundTrip checks that what was received can be sent on, and arrives the same.
func roundTrip(t *testing.T, d *Dictionary) {
	lim := Limits{}.withDefaults()
	body, _, err := encodeMessage(nil, d, &lim)
	if err != nil {
		t.Fatalf("what was received cannot be sent: %v", err)
	}
	again := NewDictionary()
	if _, err := decodeMessage(again, slices.Clone(body), nil, &lim); err != nil {
		t.Fatalf("what was sent cannot be received: %v", err)
	}
	body2, _, err := encodeMessage(nil, again, &lim)
	if err != nil || string(body2) != string(body) || again.String() != d.String() {
		t.Fatalf("%x became %x, %v", body, body2, err)
	}
}

func BenchmarkDecode(b *testing.B) {
	body, lim := encodeFrom(b, eight()), Limits{}.withDefaults()
	b.ReportAllocs()
	for b.Loop() {
		var d Dictionary
		decodeMessage(&d, body, nil, &lim)
	}
}
