package wire_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/openxpc/openxpc/xpc/wire"
)

// The oracle: another MessagePack library reads what we accept. It is given only
// what Scan has let through, because it cannot face anything else.

func init() {
	register(wire.ExtDate, func(b []byte) any { return date(binary.BigEndian.Uint64(b)) })
	register(wire.ExtUUID, func(b []byte) any { return id(b) })
	register(wire.ExtFD, func(b []byte) any { return fd(binary.BigEndian.Uint16(b)) })
	register(wire.ExtError, func(b []byte) any { return xpcError(b[0]) })
	register(wire.ExtSharedMemory, func(b []byte) any {
		return shared{"shared memory", uint64(binary.BigEndian.Uint16(b)), binary.BigEndian.Uint64(b[2:])}
	})
	register(wire.ExtSharedData, func(b []byte) any {
		return shared{"shared data", uint64(binary.BigEndian.Uint16(b)), binary.BigEndian.Uint64(b[2:])}
	})
	register(wire.ExtEndpoint, func(b []byte) any {
		if len(b) == 2 {
			return endpoint(fmt.Sprintf("#%d", binary.BigEndian.Uint16(b)))
		}
		return endpoint(b)
	})
}

func register(ext int8, read func([]byte) any) {
	typ := reflect.TypeOf(read(make([]byte, 16)))
	msgpack.RegisterExtDecoder(ext, reflect.Zero(typ).Interface(), func(d *msgpack.Decoder, v reflect.Value, n int) error {
		b := make([]byte, n)
		if _, err := io.ReadFull(d.Buffered(), b); err != nil {
			return err
		}
		v.Set(reflect.ValueOf(read(b)))
		return nil
	})
}

func oracle(body []byte) (any, error) {
	v, err := msgpack.NewDecoder(bytes.NewReader(body)).DecodeInterface()
	if err != nil {
		return nil, err
	}
	return plain(v), nil
}

// plain gives the oracle's values the types of our tree; the widths of its
// integers tell signed from unsigned.
func plain(v any) any {
	r := reflect.ValueOf(v)
	switch v := v.(type) {
	case int8, int16, int32, int64:
		return r.Int()
	case uint8, uint16, uint32, uint64:
		return r.Uint()
	case float32, float64:
		return double(math.Float64bits(r.Float()))
	case []byte:
		return data(v)
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
		return v
	case map[string]any:
		d := dictionary{}
		for k, e := range v {
			d = append(d, pair{k, plain(e)})
		}
		return sorted(d)
	}
	return v
}

// sorted puts the pairs of all dictionaries in order: the oracle has none.
func sorted(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = sorted(v[i])
		}
	case dictionary:
		for i := range v {
			v[i].value = sorted(v[i].value)
		}
		slices.SortFunc(v, func(a, b pair) int { return strings.Compare(a.key, b.key) })
	}
	return v
}

func compare(t *testing.T, body []byte, descriptors int) {
	t.Helper()
	ours, err := readTree(body, descriptors)
	if err != nil {
		t.Fatalf("%x: %v", body, err)
	}
	theirs, err := oracle(body)
	if err != nil {
		t.Fatalf("%x: Scan accepts what is not MessagePack: %v", body, err)
	}
	// A diff would take twice as long for each level that values nest.
	if ours = sorted(ours); !reflect.DeepEqual(ours, theirs) {
		t.Fatalf("%x: we read\n%v\nand msgpack\n%v", body, ours, theirs)
	}
}

func TestOracleReadsEveryVector(t *testing.T) {
	for _, m := range current(t).Messages {
		body, _ := hex.DecodeString(m.Hex)
		compare(t, body, m.Descriptors)
	}
}

func FuzzDifferential(f *testing.F) {
	for _, m := range sources() {
		body, _ := hex.DecodeString(m.Hex)
		f.Add(body, m.Descriptors)
	}
	for _, r := range refusedSources() {
		body, _ := hex.DecodeString(r.Hex)
		f.Add(body, r.Descriptors)
	}
	f.Fuzz(func(t *testing.T, body []byte, descriptors int) {
		if wire.Scan(body, descriptors, wire.Limits{}) == nil {
			compare(t, body, descriptors)
		}
	})
}
