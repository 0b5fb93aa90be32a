package xpc

import (
	"fmt"
	"time"
)

// Null is the null object (xpc_null_create): a value, unlike an absent one
// (R35). All Nulls are equal with ==.
type Null struct{}

// Type is TypeNull.
func (Null) Type() Type { return TypeNull }

// Bool is a boxed bool (xpc_bool_create). Like the other scalars it is
// immutable, and compared with == (R18).
type Bool bool

// Type is TypeBool.
func (Bool) Type() Type { return TypeBool }

// Int64 is a boxed signed integer (xpc_int64_create).
type Int64 int64

// Type is TypeInt64.
func (Int64) Type() Type { return TypeInt64 }

// Uint64 is a boxed unsigned integer (xpc_uint64_create). It stays apart from
// an Int64 of the same value everywhere, also on the wire (R40).
type Uint64 uint64

// Type is TypeUint64.
func (Uint64) Type() Type { return TypeUint64 }

// Double is a boxed floating point number (xpc_double_create).
type Double float64

// Type is TypeDouble.
func (Double) Type() Type { return TypeDouble }

// Date is a point in time (xpc_date_create): nanoseconds since the start of
// 1970 UTC, negative before it (R19). The zero Date is that start.
type Date int64

// NewDate converts t, which must lie between the years 1678 and 2262: what is
// outside does not fit and gives an undefined Date, as time.Time.UnixNano does.
// NewDate(time.Now()) is xpc_date_create_from_current.
func NewDate(t time.Time) Date { return Date(t.UnixNano()) }

// Type is TypeDate.
func (Date) Type() Type { return TypeDate }

// Time is the date as a time.Time in UTC.
func (d Date) Time() time.Time { return time.Unix(0, int64(d)).UTC() }

// String is the date in the form of RFC 3339, in UTC.
func (d Date) String() string { return d.Time().Format(time.RFC3339Nano) }

// String is a boxed string (xpc_string_create). It is expected to be UTF-8
// (R24), which nothing checks; it must not contain NUL: putting such a string
// into a container is misuse and panics. A received String shares the memory of
// its message; strings.Clone keeps a small part of a large message alone.
type String string

// Type is TypeString.
func (String) Type() Type { return TypeString }

// UUID is a boxed UUID (xpc_uuid_create). The zero UUID is what getters return
// where there is none; Get tells the two apart.
type UUID [16]byte

// Type is TypeUUID.
func (UUID) Type() Type { return TypeUUID }

// String is the usual form with hyphens, in upper case.
func (u UUID) String() string {
	return fmt.Sprintf("%X-%X-%X-%X-%X", u[0:4], u[4:6], u[6:8], u[8:10], u[10:16])
}
