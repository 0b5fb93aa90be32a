package xpc

import (
	"iter"
	"math"
)

// Array is a list of objects (xpc_array_create). It cannot hold nil; the null
// object is [Null] (R29). Values put in are kept, not copied, but for data.
//
// Any number of goroutines may read an array that nobody changes. The zero
// Array is empty and ready for use. On a nil *Array the getters answer as for an
// absent value, Count is 0 and the setters panic.
//
// An index below zero, or not below Count, is misuse and panics (R30), and so
// are a string with NUL and what would make the array contain itself.
type Array struct {
	values  []value
	changes uint32
	kin     kin
}

// NewArray makes an array of the given objects, none of which may be nil.
func NewArray(objects ...Object) *Array {
	a := &Array{values: make([]value, 0, len(objects))}
	for _, o := range objects {
		a.Append(o)
	}
	return a
}

// Type is TypeArray.
func (a *Array) Type() Type { return TypeArray }

// Count is the number of values (xpc_array_get_count).
func (a *Array) Count() int {
	if a == nil {
		return 0
	}
	return len(a.values)
}

// Get is the value at i, nil for a nil array (xpc_array_get_value).
func (a *Array) Get(i int) Object { return a.at(i).hand() }

// All iterates over index and value in order (xpc_array_apply). The array must
// not be changed meanwhile: that panics (R31).
func (a *Array) All() iter.Seq2[int, Object] {
	return func(yield func(int, Object) bool) {
		if a == nil {
			return
		}
		changes := a.changes
		for i := range a.values {
			if !yield(i, a.values[i].hand()) {
				return
			}
			if a.changes != changes {
				misuse("Array mutated during iteration")
			}
		}
	}
}

// Append adds o at the end; nil panics (R29).
func (a *Array) Append(o Object) { a.add(present(o)) }

// Set replaces the value at i; nil panics (xpc_array_set_value).
func (a *Array) Set(i int, o Object) { a.put(i, present(o)) }

// String is Description(a).
func (a *Array) String() string { return Description(a) }

func present(o Object) value {
	v := valueOf(o)
	if v.kind == 0 {
		misuse("an array cannot hold nil; use Null")
	}
	return v
}

func (a *Array) at(i int) *value {
	if a == nil {
		return &absent
	}
	if uint(i) >= uint(len(a.values)) {
		misuse("array index %d out of range, count is %d", i, len(a.values))
	}
	return &a.values[i]
}

func (a *Array) add(v value) {
	if a == nil {
		misuse("Attempt to change a nil array")
	}
	a.kin.adopt(&v)
	a.changes++
	a.values = append(a.values, v)
}

func (a *Array) put(i int, v value) {
	if a == nil {
		misuse("Attempt to change a nil array")
	}
	slot := a.at(i)
	a.kin.adopt(&v)
	a.changes++
	*slot = v
}

func (a *Array) equal(b *Array) bool {
	if len(a.values) != len(b.values) {
		return false
	}
	for i := range a.values {
		if !a.values[i].equal(&b.values[i]) {
			return false
		}
	}
	return true
}

func (a *Array) hash() uint64 {
	h := uint64(len(a.values)) + uint64(TypeArray)<<56
	for i := range a.values {
		h = h*0x9e3779b97f4a7c15 + a.values[i].hash()
	}
	return h
}

func (a *Array) copy() *Array {
	c := &Array{values: make([]value, 0, len(a.values))}
	for i := range a.values {
		c.add(a.values[i].copy())
	}
	return c
}

// SetBool sets the value at i to a bool.
func (a *Array) SetBool(i int, v bool) { a.put(i, boolValue(v)) }

// AppendBool adds a bool at the end.
func (a *Array) AppendBool(v bool) { a.add(boolValue(v)) }

// GetBool is the bool at i; false by default.
func (a *Array) GetBool(i int) bool { return a.at(i).scalar(TypeBool) != 0 }

// SetInt64 sets the value at i to an int64.
func (a *Array) SetInt64(i int, v int64) { a.put(i, value{kind: TypeInt64, num: uint64(v)}) }

// AppendInt64 adds an int64 at the end.
func (a *Array) AppendInt64(v int64) { a.add(value{kind: TypeInt64, num: uint64(v)}) }

// GetInt64 is the int64 at i; 0 by default.
func (a *Array) GetInt64(i int) int64 { return int64(a.at(i).scalar(TypeInt64)) }

// SetUint64 sets the value at i to a uint64.
func (a *Array) SetUint64(i int, v uint64) { a.put(i, value{kind: TypeUint64, num: v}) }

// AppendUint64 adds a uint64 at the end.
func (a *Array) AppendUint64(v uint64) { a.add(value{kind: TypeUint64, num: v}) }

// GetUint64 is the uint64 at i; 0 by default.
func (a *Array) GetUint64(i int) uint64 { return a.at(i).scalar(TypeUint64) }

// SetDouble sets the value at i to a double.
func (a *Array) SetDouble(i int, v float64) {
	a.put(i, value{kind: TypeDouble, num: math.Float64bits(v)})
}

// AppendDouble adds a double at the end.
func (a *Array) AppendDouble(v float64) { a.add(value{kind: TypeDouble, num: math.Float64bits(v)}) }

// GetDouble is the double at i; NaN by default.
func (a *Array) GetDouble(i int) float64 { return a.at(i).double() }

// SetDate sets the value at i to a date, in nanoseconds since 1970 (R19).
func (a *Array) SetDate(i int, v int64) { a.put(i, value{kind: TypeDate, num: uint64(v)}) }

// AppendDate adds a date at the end, in nanoseconds since 1970 (R19).
func (a *Array) AppendDate(v int64) { a.add(value{kind: TypeDate, num: uint64(v)}) }

// GetDate is the date at i in nanoseconds since 1970 (R19); 0 by default.
func (a *Array) GetDate(i int) int64 { return int64(a.at(i).scalar(TypeDate)) }

// SetData sets the value at i to data, which is copied; nil is empty data.
func (a *Array) SetData(i int, v []byte) { a.put(i, dataValue(v)) }

// AppendData adds data at the end, which is copied; nil is empty data.
func (a *Array) AppendData(v []byte) { a.add(dataValue(v)) }

// GetData is the data at i, not a copy: it must not be written to (R25); nil by default, and never nil for data that is there.
func (a *Array) GetData(i int) []byte { return a.at(i).data() }

// SetString sets the value at i to a string.
func (a *Array) SetString(i int, v string) { a.put(i, stringValue(v)) }

// AppendString adds a string at the end.
func (a *Array) AppendString(v string) { a.add(stringValue(v)) }

// GetString is the string at i; "" by default.
func (a *Array) GetString(i int) string { return a.at(i).string() }

// SetUUID sets the value at i to a UUID.
func (a *Array) SetUUID(i int, v UUID) { a.put(i, uuidValue(v)) }

// AppendUUID adds a UUID at the end.
func (a *Array) AppendUUID(v UUID) { a.add(uuidValue(v)) }

// GetUUID is the UUID at i; the zero UUID by default.
func (a *Array) GetUUID(i int) UUID { return a.at(i).uuid() }

// SetDictionary sets the value at i to v, which is kept, not copied; nil panics.
func (a *Array) SetDictionary(i int, v *Dictionary) { a.Set(i, v) }

// AppendDictionary adds v at the end; it is kept, not copied; nil panics.
func (a *Array) AppendDictionary(v *Dictionary) { a.Append(v) }

// GetDictionary is the dictionary at i, not a copy (R39); nil by default.
func (a *Array) GetDictionary(i int) *Dictionary { return a.at(i).dictionary() }

// SetArray sets the value at i to v, which is kept, not copied; nil panics.
func (a *Array) SetArray(i int, v *Array) { a.Set(i, v) }

// AppendArray adds v at the end; it is kept, not copied; nil panics.
func (a *Array) AppendArray(v *Array) { a.Append(v) }

// GetArray is the array at i, not a copy (R39); nil by default.
func (a *Array) GetArray(i int) *Array { return a.at(i).array() }

// SetFD sets the value at i to a box with a duplicate of fd, made at once: the
// caller keeps fd (R26). If fd cannot be duplicated the value becomes Null;
// [NewFD] tells why.
func (a *Array) SetFD(i int, fd int) { a.Set(i, boxOrNull(fd)) }

// AppendFD adds a box with a duplicate of fd at the end, Null if there is none; see SetFD.
func (a *Array) AppendFD(fd int) { a.Append(boxOrNull(fd)) }

// DupFD is a new duplicate of the descriptor at i, which the caller must close;
// -1 by default, and where the process has no descriptor left.
func (a *Array) DupFD(i int) int { return a.at(i).dupFD() }

// SetConnection sets the value at i to an endpoint of c, which must be a
// listener of this process (R32); see NewEndpoint.
func (a *Array) SetConnection(i int, c *Connection) { a.Set(i, NewEndpoint(c)) }

// AppendConnection adds an endpoint of c at the end; see SetConnection.
func (a *Array) AppendConnection(c *Connection) { a.Append(NewEndpoint(c)) }

// CreateConnection makes a new connection from the endpoint at i, a different
// one with each call, which the caller must activate (R32); nil by default.
func (a *Array) CreateConnection(i int) *Connection { return a.at(i).connect() }

func boxOrNull(fd int) Object {
	f, err := NewFD(fd)
	if err != nil {
		return Null{}
	}
	return f
}
