package wire_test

import (
	"math"
	"strings"
	"testing"

	"github.com/openxpc/openxpc/xpc/wire"
)

// The length of what is appended tells that the shortest form was taken; that
// the value is right is what the oracle says.
func TestShortestForm(t *testing.T) {
	size := func(b []byte) int { return len(b) }
	for _, c := range []struct {
		name      string
		got, want int
	}{
		{"int64 127", size(wire.AppendInt64(nil, 127)), 1},
		{"int64 128", size(wire.AppendInt64(nil, 128)), 3},
		{"int64 -32", size(wire.AppendInt64(nil, -32)), 1},
		{"int64 -33", size(wire.AppendInt64(nil, -33)), 2},
		{"int64 2^31", size(wire.AppendInt64(nil, 1<<31)), 9},
		{"uint64 0 never is a fixint", size(wire.AppendUint64(nil, 0)), 2},
		{"uint64 256", size(wire.AppendUint64(nil, 256)), 3},
		{"uint64 2^32", size(wire.AppendUint64(nil, 1<<32)), 9},
		{"string of 31", size(wire.AppendString(nil, strings.Repeat("x", 31))), 32},
		{"string of 32", size(wire.AppendString(nil, strings.Repeat("x", 32))), 34},
		{"string of 65,536", size(wire.AppendString(nil, strings.Repeat("x", 65536))), 65541},
		{"data of 255", size(wire.AppendData(nil, make([]byte, 255))), 257},
		{"array of 15", size(wire.AppendArrayHeader(nil, 15)), 1},
		{"array of 16", size(wire.AppendArrayHeader(nil, 16)), 3},
		{"array of 65,536", size(wire.AppendArrayHeader(nil, 65536)), 5},
		{"dictionary of 16", size(wire.AppendMapHeader(nil, 16)), 3},
		{"date", size(wire.AppendDate(nil, -1)), 10},
		{"fd", size(wire.AppendFD(nil, 252)), 4},
	} {
		if c.got != c.want {
			t.Errorf("%s takes %d bytes, want %d", c.name, c.got, c.want)
		}
	}
}

func TestCountsThatDoNotFitPanic(t *testing.T) {
	for _, n := range []int{-1, math.MinInt} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("a count of %d was written", n)
				}
			}()
			wire.AppendArrayHeader(nil, n)
		}()
	}
}

func TestAppendingIntoRoomAllocatesNothing(t *testing.T) {
	b := make([]byte, 0, 1024)
	allocs := testing.AllocsPerRun(100, func() {
		b = b[:0]
		b = wire.AppendMapHeader(b, 2)
		b = wire.AppendUUID(wire.AppendString(b, "id"), uuid)
		b = wire.AppendDouble(wire.AppendString(b, "d"), 1.5)
	})
	if allocs != 0 {
		t.Errorf("appending took %v allocations, want none", allocs)
	}
}
