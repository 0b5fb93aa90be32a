package wire

import (
	"encoding/binary"
	"math"
)

// AppendNull appends a null.
func AppendNull(b []byte) []byte { return append(b, 0xc0) }

// AppendBool appends a bool.
func AppendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 0xc3)
	}
	return append(b, 0xc2)
}

// AppendInt64 appends a signed integer: a fixint, or d0 to d3.
func AppendInt64(b []byte, v int64) []byte {
	switch {
	case v >= -32 && v <= math.MaxInt8:
		return append(b, byte(v))
	case v == int64(int8(v)):
		return append(b, 0xd0, byte(v))
	case v == int64(int16(v)):
		return append(b, 0xd1, byte(v>>8), byte(v))
	case v == int64(int32(v)):
		return binary.BigEndian.AppendUint32(append(b, 0xd2), uint32(v))
	}
	return binary.BigEndian.AppendUint64(append(b, 0xd3), uint64(v))
}

// AppendUint64 appends an unsigned integer, cc to cf also when it is small:
// that is how it stays apart from an int64 (R40).
func AppendUint64(b []byte, v uint64) []byte {
	switch {
	case v <= math.MaxUint8:
		return append(b, 0xcc, byte(v))
	case v <= math.MaxUint16:
		return append(b, 0xcd, byte(v>>8), byte(v))
	case v <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, 0xce), uint32(v))
	}
	return binary.BigEndian.AppendUint64(append(b, 0xcf), v)
}

// AppendDouble appends a double with all its bits, NaN's too.
func AppendDouble(b []byte, v float64) []byte {
	return binary.BigEndian.AppendUint64(append(b, 0xcb), math.Float64bits(v))
}

// AppendDate appends a date in nanoseconds since 1970; negative is before (R19).
func AppendDate(b []byte, ns int64) []byte {
	return binary.BigEndian.AppendUint64(append(b, 0xd7, ExtDate), uint64(ns))
}

// AppendString appends a string or a dictionary's key. It must not contain NUL,
// which no receiver accepts; more than 4 GiB panics.
func AppendString[T string | []byte](b []byte, s T) []byte {
	if n := len(s); n < 32 {
		b = append(b, 0xa0|byte(n))
	} else {
		b = appendLength(b, n, 0xd9, 0xda, 0xdb)
	}
	return append(b, s...)
}

// AppendData appends bytes; more than 4 GiB panics.
func AppendData[T string | []byte](b []byte, data T) []byte {
	return append(AppendDataHeader(b, len(data)), data...)
}

// AppendDataHeader appends what comes before n bytes of data.
func AppendDataHeader(b []byte, n int) []byte { return appendLength(b, n, 0xc4, 0xc5, 0xc6) }

// AppendUUID appends the 16 bytes of a UUID.
func AppendUUID(b []byte, u [16]byte) []byte {
	return append(append(b, 0xd8, ExtUUID), u[:]...)
}

// AppendFD appends a descriptor by its index among those that travel with the
// message. Every index must be used exactly once; only the low 16 bits are kept.
func AppendFD(b []byte, index int) []byte {
	return append(b, 0xd5, ExtFD, byte(index>>8), byte(index))
}

// AppendEndpoint appends an endpoint that travels as a descriptor; see AppendFD.
func AppendEndpoint(b []byte, index int) []byte {
	return append(b, 0xd5, ExtEndpoint, byte(index>>8), byte(index))
}

// AppendEndpointPath appends an endpoint that is a socket's absolute path, of 3
// to MaxPath bytes and without NUL: any other length is refused by the receiver.
func AppendEndpointPath(b []byte, path string) []byte {
	b = appendLength(b, len(path), 0xc7, 0xc8, 0xc9)
	return append(append(b, ExtEndpoint), path...)
}

// sharedSize is an index and a size.
const sharedSize = 2 + 8

// AppendSharedMemory appends memory of so many bytes that travels as a
// descriptor; see AppendFD. A size of 0 is refused by the receiver.
func AppendSharedMemory(b []byte, index int, size uint64) []byte {
	return appendShared(b, ExtSharedMemory, index, size)
}

// AppendSharedData appends data that lies in memory of its own, as AppendSharedMemory.
func AppendSharedData(b []byte, index int, size uint64) []byte {
	return appendShared(b, ExtSharedData, index, size)
}

func appendShared(b []byte, ext byte, index int, size uint64) []byte {
	return binary.BigEndian.AppendUint64(append(b, 0xc7, sharedSize, ext, byte(index>>8), byte(index)), size)
}

// AppendError appends one of the error codes.
func AppendError(b []byte, code byte) []byte { return append(b, 0xd4, ExtError, code) }

// AppendArrayHeader begins an array: the next n values are its elements. n
// below zero or above 32 bits panics.
func AppendArrayHeader(b []byte, n int) []byte {
	if n >= 0 && n < 16 {
		return append(b, 0x90|byte(n))
	}
	return appendCount(b, n, 0xdc, 0xdd)
}

// AppendMapHeader begins a dictionary: n times a key (AppendString) and a value
// follow. n below zero or above 32 bits panics.
func AppendMapHeader(b []byte, n int) []byte {
	if n >= 0 && n < 16 {
		return append(b, 0x80|byte(n))
	}
	return appendCount(b, n, 0xde, 0xdf)
}

func appendLength(b []byte, n int, one, two, four byte) []byte {
	if n <= math.MaxUint8 {
		return append(b, one, byte(n))
	}
	return appendCount(b, n, two, four)
}

func appendCount(b []byte, n int, two, four byte) []byte {
	switch {
	case n >= 0 && n <= math.MaxUint16:
		return append(b, two, byte(n>>8), byte(n))
	case n < 0 || uint64(n) > math.MaxUint32:
		panic("wire: a length must fit in 32 bits")
	}
	return binary.BigEndian.AppendUint32(append(b, four), uint32(n))
}
