package wire_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/openxpc/openxpc/xpc/wire"
)

// deep is a message of so many levels, the root included.
func deep(levels int) []byte {
	b := wire.AppendString(wire.AppendMapHeader(nil, 1), "k")
	for range levels - 2 {
		b = wire.AppendArrayHeader(b, 1)
	}
	return wire.AppendArrayHeader(b, 0)
}

func TestDepthIsLimited(t *testing.T) {
	if err := wire.Scan(deep(64), 0, wire.Limits{}); err != nil {
		t.Errorf("64 levels are the default limit and must pass: %v", err)
	}
	if err := wire.Scan(deep(65), 0, wire.Limits{}); err == nil || !strings.Contains(err.Error(), "MaxDepth") {
		t.Errorf("level 65 must be refused by the name of the limit, got %v", err)
	}
	if err := wire.Scan(deep(4<<20), 0, wire.Limits{}); err == nil {
		t.Error("4 MiB of nothing but nesting were accepted")
	}
	if err := wire.Scan(deep(100), 0, wire.Limits{Depth: 100}); err != nil {
		t.Errorf("the limit can be raised: %v", err)
	}
}

func TestLeaveGivesTheLevelBack(t *testing.T) {
	b := wire.AppendArrayHeader(wire.AppendString(wire.AppendMapHeader(nil, 1), "k"), 200)
	for range 200 {
		b = wire.AppendArrayHeader(b, 0)
	}
	if err := wire.Scan(b, 0, wire.Limits{Depth: 3}); err != nil {
		t.Errorf("200 containers side by side are 3 deep: %v", err)
	}
}

func TestElementsAreLimited(t *testing.T) {
	body := one(nulls(8)) // root, array, 8 nulls
	if err := wire.Scan(body, 0, wire.Limits{Elements: 10}); err != nil {
		t.Errorf("10 values must pass a limit of 10: %v", err)
	}
	if err := wire.Scan(body, 0, wire.Limits{Elements: 9}); err == nil || !strings.Contains(err.Error(), "MaxElements") {
		t.Errorf("10 values must fail a limit of 9 by its name, got %v", err)
	}
}

// The elements are charged when they are promised, so a nest of containers that
// all promise the whole message cannot add up.
func TestNestedPromisesShareOneBudget(t *testing.T) {
	b := wire.AppendString(wire.AppendMapHeader(nil, 1), "k")
	for range 60 {
		b = wire.AppendArrayHeader(b, 65535)
	}
	b = append(b, bytes.Repeat([]byte{0xc0}, 1<<20)...)
	c := wire.NewCursor(b, 0, wire.Limits{})
	promised := uint64(0)
	for {
		v, err := c.Next()
		if v.Kind == wire.KindMap {
			_, err = c.Key()
		}
		if err != nil {
			break
		}
		if promised += v.Num; promised > wire.DefaultElements {
			t.Fatalf("containers promise %d values, the limit is %d", promised, wire.DefaultElements)
		}
	}
}

// lengths finds every length field in our vectors by its code, so that each can
// be made to lie.
func TestEveryLengthFieldLies(t *testing.T) {
	width := map[byte]int{0xc4: 1, 0xc5: 2, 0xc6: 4, 0xc7: 1, 0xc8: 2, 0xc9: 4, 0xd9: 1, 0xda: 2, 0xdb: 4,
		0xdc: 2, 0xdd: 4, 0xde: 2, 0xdf: 4}
	for code, n := range width {
		for _, lie := range [][]byte{
			{0, 0, 0, 0}, {0, 0, 0, 1}, {0xff, 0xff, 0xff, 0xff}, {0x80, 0, 0, 0}, {0x7f, 0xff, 0xff, 0xff}, {0, 0, 0, 9},
		} {
			value := append([]byte{code}, lie[4-n:]...)
			body := one(value) // nothing follows, so every length but zero is a lie
			err := wire.Scan(body, 0, wire.Limits{})
			empty := !slices.ContainsFunc(lie[4-n:], func(b byte) bool { return b != 0 })
			if isExt := code >= 0xc7 && code <= 0xc9; empty && !isExt {
				if err != nil {
					t.Errorf("%x: an empty value is no lie: %v", body, err)
				}
				continue
			}
			var malformed *wire.Error
			if !errors.As(err, &malformed) || malformed.Offset > len(body) {
				t.Errorf("%x: got %v, want an error with its place", body, err)
			}
		}
	}
}

func TestShortLengthsInFixedFormsLie(t *testing.T) {
	for code := 0x81; code <= 0xbf; code++ {
		if code == 0x90 || code == 0xa0 {
			continue // empty
		}
		if err := wire.Scan(one([]byte{byte(code)}), 0, wire.Limits{}); err == nil {
			t.Errorf("code %#x promises what is not there and was accepted", code)
		}
	}
}

// Five bytes that announce four billion values cost the reader nothing.
func TestBombsAllocateNothing(t *testing.T) {
	for _, bomb := range []string{"ddffffffff", "dfffffffff", "c6ffffffff", "dbffffffff", "c9ffffffff", "dd01312d00", "df01312d00"} {
		value, _ := hex.DecodeString(bomb)
		body := one(value)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := wire.Scan(body, 0, wire.Limits{})
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Errorf("%s was accepted", bomb)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 64<<10 {
			t.Errorf("%s made the reader allocate %d bytes", bomb, used)
		}
	}
}

// A message cut off anywhere is refused, and never read beyond its end.
func TestEveryPrefixIsRefused(t *testing.T) {
	for _, m := range sources() {
		body, _ := hex.DecodeString(m.Hex)
		for n := range body {
			if err := wire.Scan(slices.Clip(body[:n]), m.Descriptors, wire.Limits{}); err == nil {
				t.Errorf("%s: its first %d bytes of %d were accepted", m.Name, n, len(body))
			}
		}
	}
}

func TestNothingAfterAnError(t *testing.T) {
	c := wire.NewCursor([]byte{0xc1, 0xc0}, 0, wire.Limits{})
	if _, err := c.Next(); err == nil {
		t.Fatal("0xc1 is no value")
	}
	if v, err := c.Next(); err == nil {
		t.Errorf("after an error a Cursor must give nothing more, got %v", v)
	}
	if c.Done() == nil {
		t.Error("after an error a message is not done")
	}
}

func TestZeroCursorIsAnEmptyMessage(t *testing.T) {
	var c wire.Cursor
	if _, err := c.Next(); err == nil {
		t.Error("the zero Cursor has no value to give")
	}
}

func TestBytesCannotGrowIntoTheMessage(t *testing.T) {
	body := one(wire.AppendData(nil, "ab"))
	body = append(body, "after"...)
	c := wire.NewCursor(body, 0, wire.Limits{})
	c.Next()
	c.Key()
	v, err := c.Next()
	if err != nil {
		t.Fatal(err)
	}
	_ = append(v.Bytes, "XXXXX"...)
	if !bytes.HasSuffix(body, []byte("after")) {
		t.Error("appending to a token's bytes wrote into the message")
	}
}

func TestReadingAllocatesNothing(t *testing.T) {
	body := one(append(wire.AppendArrayHeader(nil, 3), 0x01, 0xa1, 'x', 0xc0))
	allocs := testing.AllocsPerRun(100, func() {
		c := wire.NewCursor(body, 0, wire.Limits{})
		c.Next()
		c.Key()
		for range 4 {
			c.Next()
		}
	})
	if allocs != 0 {
		t.Errorf("reading took %v allocations, want none", allocs)
	}
}

func TestManyDescriptorsNeedAllToBeNamed(t *testing.T) {
	b := wire.AppendArrayHeader(wire.AppendString(wire.AppendMapHeader(nil, 1), "k"), wire.MaxDescriptors)
	for i := range wire.MaxDescriptors {
		b = wire.AppendFD(b, wire.MaxDescriptors-1-i)
	}
	if err := wire.Scan(b, wire.MaxDescriptors, wire.Limits{}); err != nil {
		t.Errorf("253 descriptors, each named once: %v", err)
	}
	for _, n := range []int{wire.MaxDescriptors - 1, wire.MaxDescriptors + 1, 100000} {
		if wire.Scan(b, n, wire.Limits{}) == nil {
			t.Errorf("253 are named and %d came along: accepted", n)
		}
	}
}
