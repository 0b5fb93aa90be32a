package wire_test

import (
	"encoding/hex"
	"math"
	"strconv"
	"testing"

	"github.com/openxpc/openxpc/xpc/wire"
)

// tree is a message as plain Go values that can be compared; it is what a Cursor
// gives, and what another MessagePack library must give for the same bytes.
type (
	date     int64
	double   uint64 // the bits, so that NaN equals itself
	data     string
	fd       uint64
	endpoint string // the path, or "#" and an index
	xpcError uint64
	shared   struct {
		Kind        string
		Index, Size uint64
	}
	id   [16]byte
	pair struct {
		key   string
		value any
	}
	dictionary []pair
)

// readTree reads a message by the book: what the documentation of Cursor says.
func readTree(body []byte, descriptors int) (any, error) {
	c := wire.NewCursor(body, descriptors, wire.Limits{})
	v, err := readValue(&c)
	if err != nil {
		return nil, err
	}
	return v, c.Done()
}

func readValue(c *wire.Cursor) (any, error) {
	t, err := c.Next()
	if err != nil {
		return nil, err
	}
	switch t.Kind {
	case wire.KindArray:
		list := []any{}
		for range t.Num {
			v, err := readValue(c)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		c.Leave()
		return list, nil
	case wire.KindMap:
		return readMap(c, t.Num)
	}
	return scalar(t), nil
}

func readMap(c *wire.Cursor, n uint64) (any, error) {
	d := dictionary{}
	for range n {
		key, err := c.Key()
		if err != nil {
			return nil, err
		}
		v, err := readValue(c)
		if err != nil {
			return nil, err
		}
		d = append(d, pair{string(key), v})
	}
	c.Leave()
	return d, nil
}

func scalar(t wire.Token) any {
	switch t.Kind {
	case wire.KindBool:
		return t.Num == 1
	case wire.KindInt64:
		return t.Int()
	case wire.KindUint64:
		return t.Num
	case wire.KindDouble:
		return double(math.Float64bits(t.Double()))
	case wire.KindDate:
		return date(t.Int())
	case wire.KindData:
		return data(t.Bytes)
	case wire.KindString:
		return string(t.Bytes)
	case wire.KindUUID:
		return id(t.Bytes)
	case wire.KindFD:
		return fd(t.Num)
	case wire.KindSharedMemory, wire.KindSharedData:
		return shared{t.Kind.String(), t.Num, t.Size()}
	case wire.KindError:
		return xpcError(t.Num)
	case wire.KindEndpoint:
		if t.Bytes != nil {
			return endpoint(t.Bytes)
		}
		return endpoint("#" + strconv.FormatUint(t.Num, 10))
	}
	return nil
}

// describe gives a message the form it has in the vectors: each value an object
// of one key, its type; 64-bit numbers as text, which every JSON reader keeps.
func describe(t *testing.T, body []byte, descriptors int) any {
	v, err := readTree(body, descriptors)
	if err != nil {
		t.Fatalf("%x: %v", body, err)
	}
	return form(v)
}

func form(v any) any {
	typed := func(name string, v any) any { return map[string]any{name: v} }
	switch v := v.(type) {
	case nil:
		return typed("null", nil)
	case bool:
		return typed("bool", v)
	case int64:
		return typed("int64", strconv.FormatInt(v, 10))
	case uint64:
		return typed("uint64", strconv.FormatUint(v, 10))
	case double:
		return typed("double", strconv.FormatFloat(math.Float64frombits(uint64(v)), 'g', -1, 64))
	case date:
		return typed("date", strconv.FormatInt(int64(v), 10))
	case string:
		return typed("string", v)
	case data:
		return typed("data", hex.EncodeToString([]byte(v)))
	case id:
		return typed("uuid", hex.EncodeToString(v[:]))
	case fd:
		return typed("fd", v)
	case endpoint:
		return typed("endpoint", v)
	case xpcError:
		return typed("error", v)
	case shared:
		return typed(v.Kind, map[string]any{"descriptor": v.Index, "size": strconv.FormatUint(v.Size, 10)})
	case []any:
		list := []any{}
		for _, e := range v {
			list = append(list, form(e))
		}
		return typed("array", list)
	case dictionary:
		list := []any{}
		for _, p := range v {
			list = append(list, []any{p.key, form(p.value)})
		}
		return typed("dictionary", list)
	}
	panic("a value that no token gives")
}
