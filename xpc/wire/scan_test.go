package wire_test

import (
	"encoding/hex"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/openxpc/openxpc/xpc/wire"
)

func TestErrorNamesThePlace(t *testing.T) {
	body, _ := hex.DecodeString("82a16101a16102") // {"a": 1, "a": 2}
	err := wire.Scan(body, 0, wire.Limits{})
	if err == nil || !strings.HasPrefix(err.Error(), "wire: malformed message at byte 5: ") {
		t.Errorf("got %v, want the offset of the second key's text", err)
	}
}

func TestSameKeyInDifferentDictionaries(t *testing.T) {
	body, _ := hex.DecodeString("82a16181a16101a16281a16102") // {"a": {"a": 1}, "b": {"a": 2}}
	if err := wire.Scan(body, 0, wire.Limits{}); err != nil {
		t.Errorf("keys are distinct within each dictionary: %v", err)
	}
}

// What a hostile message makes its checker allocate is bounded by its own size.
func TestScanHeapIsBounded(t *testing.T) {
	b := wire.AppendMapHeader(nil, 100_000)
	for i := range 100_000 {
		b = wire.AppendNull(wire.AppendString(b, strconv.FormatInt(int64(i), 36)))
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := wire.Scan(b, 0, wire.Limits{}); err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if live := int64(after.HeapAlloc) - int64(before.HeapAlloc); live > int64(4*len(b)+1<<20) {
		t.Errorf("%d bytes of message left %d bytes on the heap", len(b), live)
	}
	if total := after.TotalAlloc - before.TotalAlloc; total > uint64(16*len(b)+1<<20) {
		t.Errorf("%d bytes of message took %d bytes of allocations", len(b), total)
	}
}

func TestKindNames(t *testing.T) {
	for k, want := range map[wire.Kind]string{0: "invalid", wire.KindNull: "null", wire.KindMap: "dictionary",
		wire.KindError: "error", 99: "kind(99)"} {
		if k.String() != want {
			t.Errorf("kind %d is %q, want %q", uint8(k), k, want)
		}
	}
}
