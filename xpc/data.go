package xpc

import (
	"errors"
	"io"
	"sync/atomic"
	"unsafe"
)

// Data is a run of bytes (xpc_data_create). It never changes after it was made,
// and any number of goroutines may read it. A nil *Data has no bytes.
//
// Data of 128 KiB and more is laid in memory of its own, which the receiver of a
// message maps (R22): where it lies cannot be told from the outside. Received data
// that is sent on is neither copied nor mapped again.
type Data struct {
	bytes  string  // a string, because data lies in containers unboxed, as strings do
	shared *region // in place of bytes; nil mostly
	lent   bool    // bytes are not to be kept for long: they lie in something larger, or in what can be written to

	copied atomic.Pointer[region] // of bytes, made when they were sent first; nil mostly
}

// region is where the data can be mapped by others, nil if that cannot be had. Data
// that lies elsewhere is copied there once, however many it is sent to.
func (d *Data) region() *region {
	if d.shared != nil {
		return d.shared
	}
	if r := d.copied.Load(); r != nil {
		return r
	}
	if r := regionOf(bytesOf(d.bytes)); r == nil || d.copied.CompareAndSwap(nil, r) {
		return r
	}
	return d.copied.Load()
}

// NewData copies b, which may be nil for empty data (R20). See [NewSharedData] for
// data that need not be copied at all.
func NewData(b []byte) *Data {
	v := dataValue(b)
	return v.object().(*Data)
}

// dataValue copies b, once: to where a message can carry it from.
func dataValue(b []byte) value {
	if len(b) >= sharedDataFrom {
		if r := regionOf(b); r != nil {
			return objectValue(&Data{shared: r})
		}
	}
	return textValue(TypeData, string(b))
}

// Type is TypeData.
func (d *Data) Type() Type { return TypeData }

// Len is the number of bytes (xpc_data_get_length).
func (d *Data) Len() int {
	if d == nil {
		return 0
	}
	if d.shared != nil {
		return d.shared.size
	}
	return len(d.bytes)
}

// Bytes is the data itself, not a copy (xpc_data_get_bytes_ptr): it must not be
// written to (R25), and may be kept for as long as the caller likes. Received
// data shares the memory of its whole message, or lies in memory of its own, which
// is mapped with the first call and stays mapped while somebody holds the Data or a
// part of its bytes. It is nil for a nil *Data only.
func (d *Data) Bytes() []byte {
	if d == nil {
		return nil
	}
	if d.shared != nil {
		return d.shared.bytes()
	}
	return bytesOf(d.bytes)
}

// CopyBytes copies into dst what lies from offset off on, as much as dst holds,
// and returns how much that was (xpc_data_get_bytes, R23). An offset beyond the
// end, or below zero, copies nothing. Large data that is not mapped is read and stays
// unmapped, as that is cheaper for a few pages, unless many short pieces are asked for.
func (d *Data) CopyBytes(off int, dst []byte) int {
	if d == nil || off < 0 || off >= d.Len() {
		return 0
	}
	if dst = dst[:min(len(dst), d.Len()-off)]; d.shared != nil && d.shared.read(off, dst) {
		return len(dst)
	}
	return copy(dst, d.Bytes()[off:])
}

// ReadAt is CopyBytes as [io.ReaderAt] has it, so that [io.NewSectionReader] reads
// through data of any size, in pieces of 4 KiB and more without mapping it. The error is
// io.EOF if there is less than p holds, and another if off is below zero.
func (d *Data) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, errors.New("xpc: data is read from an offset below zero")
	}
	if off < int64(d.Len()) {
		n = d.CopyBytes(int(off), p)
	}
	if n < len(p) {
		err = io.EOF
	}
	return n, err
}

// String is Description(d).
func (d *Data) String() string { return Description(d) }

// bytesOf views a string as bytes that must not be written to. It is never nil:
// nil means that there is no data.
func bytesOf(s string) []byte {
	if s == "" {
		return []byte{}
	}
	return unsafe.Slice(unsafe.StringData(s), len(s))
}

// textOf views bytes that will never change as a string.
func textOf(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	return unsafe.String(unsafe.SliceData(b), len(b))
}
