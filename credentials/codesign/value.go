package codesign

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Manifests and envelopes are deterministic CBOR (RFC 8949, 4.2.1) of property-list
// values: string, int64, bool, float64, []byte, time.Time of whole seconds, []any and
// map[string]any. There is one encoding of each value: what does not encode back to
// the same bytes is refused.

// maxDepth bounds how deep values nest.
const maxDepth = 32

// The major types of CBOR, and the simple values in use.
const (
	cborUint  = 0
	cborNint  = 1
	cborBytes = 2
	cborText  = 3
	cborArray = 4
	cborMap   = 5
	cborTag   = 6

	cborFalse   = 0xf4
	cborTrue    = 0xf5
	cborFloat64 = 0xfb

	tagEpoch = 1
)

func appendHead(b []byte, major byte, n uint64) []byte {
	major <<= 5
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n <= math.MaxUint8:
		return append(b, major|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, major|27), n)
}

func appendInt(b []byte, n int64) []byte {
	if n < 0 {
		return appendHead(b, cborNint, uint64(^n))
	}
	return appendHead(b, cborUint, uint64(n))
}

func appendText(b []byte, s string) []byte {
	return append(appendHead(b, cborText, uint64(len(s))), s...)
}

// isText: XPC's strings have no NUL character, and facts travel as such.
func isText(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// appendValue encodes v. The error names the path of what cannot be encoded.
func appendValue(b []byte, v any, depth int) ([]byte, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("values nest deeper than %d", maxDepth)
	}
	switch v := v.(type) {
	case string:
		if !isText(v) {
			return nil, fmt.Errorf("string %q is not UTF-8, or has a NUL character", v)
		}
		return appendText(b, v), nil
	case int64:
		return appendInt(b, v), nil
	case bool:
		if v {
			return append(b, cborTrue), nil
		}
		return append(b, cborFalse), nil
	case float64:
		if math.IsNaN(v) {
			return nil, errors.New("a number that is not a number (NaN)")
		}
		return binary.BigEndian.AppendUint64(append(b, cborFloat64), math.Float64bits(v)), nil
	case []byte:
		return append(appendHead(b, cborBytes, uint64(len(v))), v...), nil
	case time.Time:
		if v.Nanosecond() != 0 {
			return nil, fmt.Errorf("date %s is not of whole seconds", v.Format(time.RFC3339Nano))
		}
		return appendInt(appendHead(b, cborTag, tagEpoch), v.Unix()), nil
	case []any:
		return appendArray(b, v, depth)
	case map[string]any:
		return appendMap(b, v, depth)
	}
	return nil, fmt.Errorf("a value of type %T, which property lists do not have", v)
}

func appendArray(b []byte, a []any, depth int) (_ []byte, err error) {
	b = appendHead(b, cborArray, uint64(len(a)))
	for i, v := range a {
		if b, err = appendValue(b, v, depth+1); err != nil {
			return nil, fmt.Errorf("[%d]: %w", i, err)
		}
	}
	return b, nil
}

func appendMap(b []byte, m map[string]any, depth int) (_ []byte, err error) {
	b = appendHead(b, cborMap, uint64(len(m)))
	for _, key := range slices.SortedFunc(maps.Keys(m), compareKeys) {
		if !isText(key) {
			return nil, fmt.Errorf("key %q is not UTF-8, or has a NUL character", key)
		}
		if b, err = appendValue(appendText(b, key), m[key], depth+1); err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
	}
	return b, nil
}

// compareKeys orders as the encodings do: the length stands first in them.
func compareKeys(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

// decodeMap decodes bytes that are one map and nothing else, in the only encoding that it has.
func decodeMap(b []byte) (map[string]any, error) {
	d := decoder{rest: b}
	v, err := d.value(0)
	if err != nil {
		return nil, fmt.Errorf("byte %d: %w", len(b)-len(d.rest), err)
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("not a map")
	}
	again, err := appendValue(nil, m, 0)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, b) {
		return nil, errors.New("not in the canonical encoding")
	}
	return m, nil
}

// decoder reads leniently; decodeMap compares with the canonical encoding.
type decoder struct{ rest []byte }

var errShort = errors.New("ends too early")

func (d *decoder) take(n uint64) ([]byte, error) {
	if n > uint64(len(d.rest)) {
		return nil, errShort
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b, nil
}

// head reads a major type with its argument; low is the five bits that stood beside it.
func (d *decoder) head() (major, low byte, n uint64, err error) {
	b, err := d.take(1)
	if err != nil {
		return 0, 0, 0, err
	}
	major, low = b[0]>>5, b[0]&31
	if low < 24 {
		return major, low, uint64(low), nil
	}
	if low > 27 {
		return 0, 0, 0, fmt.Errorf("unknown form 0x%02x", b[0])
	}
	if b, err = d.take(1 << (low - 24)); err != nil {
		return 0, 0, 0, err
	}
	for _, x := range b {
		n = n<<8 | uint64(x)
	}
	return major, low, n, nil
}

func (d *decoder) value(depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("values nest deeper than %d", maxDepth)
	}
	major, low, n, err := d.head()
	if err != nil {
		return nil, err
	}
	switch major {
	case cborUint, cborNint:
		return integer(major, n)
	case cborBytes:
		b, err := d.take(n)
		return slices.Clone(b), err
	case cborText:
		b, err := d.take(n)
		return string(b), err
	case cborArray:
		return d.array(n, depth)
	case cborMap:
		return d.mapping(n, depth)
	case cborTag:
		return d.date(n)
	}
	switch byte(7<<5) | low {
	case cborFalse, cborTrue:
		return low == cborTrue&31, nil
	case cborFloat64:
		return math.Float64frombits(n), nil
	}
	return nil, fmt.Errorf("unknown simple value %d", low)
}

func integer(major byte, n uint64) (any, error) {
	if n > math.MaxInt64 {
		return nil, errors.New("an integer of more than 64 bits")
	}
	if major == cborNint {
		return ^int64(n), nil
	}
	return int64(n), nil
}

func (d *decoder) date(tag uint64) (any, error) {
	major, _, n, err := d.head()
	if err != nil {
		return nil, err
	}
	if tag != tagEpoch || major > cborNint {
		return nil, fmt.Errorf("unknown tag %d", tag)
	}
	seconds, err := integer(major, n)
	if err != nil {
		return nil, err
	}
	t := time.Unix(seconds.(int64), 0).UTC()
	if t.Year() < 0 || t.Year() > 9999 {
		return nil, errors.New("a date outside the years 0 to 9999")
	}
	return t, nil
}

// Each element takes a byte at least, so that the input bounds what is allocated.
func (d *decoder) array(n uint64, depth int) (any, error) {
	a := []any{}
	for range n {
		v, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		a = append(a, v)
	}
	return a, nil
}

func (d *decoder) mapping(n uint64, depth int) (any, error) {
	m := map[string]any{}
	for range n {
		key, err := d.value(maxDepth)
		if err != nil {
			return nil, err
		}
		name, ok := key.(string)
		if !ok {
			return nil, errors.New("a key that is no string")
		}
		if m[name], err = d.value(depth + 1); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// fields takes a map apart: each field is taken once, with its type, and done
// refuses what nobody took. The first error stays.
type fields struct {
	m   map[string]any
	err error
}

// field takes the value of key; without one of type T it notes an error.
func field[T any](f *fields, key string) (v T) {
	v, ok := f.m[key].(T)
	if !ok && f.err == nil {
		f.err = fmt.Errorf("%s: %T is not what belongs there", key, f.m[key])
		if f.m[key] == nil {
			f.err = fmt.Errorf("%s is missing", key)
		}
	}
	delete(f.m, key)
	return v
}

func (f *fields) done() error {
	if f.err == nil && len(f.m) > 0 {
		return fmt.Errorf("unknown field %q", slices.Sorted(maps.Keys(f.m))[0])
	}
	return f.err
}
