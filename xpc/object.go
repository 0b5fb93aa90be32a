package xpc

import (
	"fmt"
	"hash/maphash"
	"math"
	"strings"
	"sync/atomic"
)

// Object is any value of XPC: Null, Bool, Int64, Uint64, Double, Date, String
// and UUID by value, and *Data, *FD, *SharedMemory, *Array, *Dictionary, *Endpoint,
// *Connection and *Error by pointer (xpc_object_t). A nil Object is the absence
// of a value and no value itself; the null object is [Null].
//
// No other type can be an XPC object: one that implements Object all the same
// is refused, by a panic, where it is put into a container.
type Object interface {
	// Type is xpc_get_type.
	Type() Type
}

// Type is an object's type (xpc_type_t). Types are compared with ==; the zero
// Type is no type.
type Type uint8

// The types (XPC_TYPE_NULL and so on, R4).
const (
	TypeNull Type = iota + 1
	TypeBool
	TypeInt64
	TypeUint64
	TypeDouble
	TypeDate
	TypeData
	TypeString
	TypeUUID
	TypeFD
	TypeSharedMemory
	TypeArray
	TypeDictionary
	TypeEndpoint
	TypeConnection
	TypeError
)

var typeNames = [...]string{"invalid", "null", "bool", "int64", "uint64", "double", "date", "data", "string",
	"uuid", "fd", "shmem", "array", "dictionary", "endpoint", "connection", "error"}

// String is xpc_type_get_name: Apple's name in lower case (R9).
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return fmt.Sprintf("type(%d)", uint8(t))
}

// misuse stops a program that breaks the rules of the API, in Apple's words (R16).
func misuse(format string, args ...any) {
	text := "XPC API Misuse: " + fmt.Sprintf(format, args...)
	lastMisuse.Store(&text)
	panic(text)
}

// value is an object inside a container, unboxed: reading a scalar allocates
// nothing, and a received string, data or UUID stays where it arrived.
type value struct {
	kind Type   // zero: absent
	num  uint64 // bool, int64, uint64, double (bits), date
	str  string // string, data, UUID
	obj  Object // what has an identity: fd, array, dictionary, endpoint, connection, error; data in memory of its own
}

// absent is what getters read where there is nothing; it is never written.
var absent value

// valueOf unboxes o. A nil pointer is as absent as a nil Object: so the result
// of a getter that found nothing can be handed to a setter.
func valueOf(o Object) value {
	switch o := o.(type) {
	case nil:
		return value{}
	case Null:
		return value{kind: TypeNull}
	case Bool:
		return boolValue(bool(o))
	case Int64:
		return value{kind: TypeInt64, num: uint64(o)}
	case Uint64:
		return value{kind: TypeUint64, num: uint64(o)}
	case Double:
		return value{kind: TypeDouble, num: math.Float64bits(float64(o))}
	case Date:
		return value{kind: TypeDate, num: uint64(o)}
	case String:
		return stringValue(string(o))
	case UUID:
		return value{kind: TypeUUID, str: string(o[:])}
	case *Data:
		switch {
		case o == nil:
			return value{}
		case o.shared != nil || o.Len() >= sharedDataFrom: // it may lie, or come to lie, where others can map it
			return value{kind: TypeData, obj: o}
		}
		return value{kind: TypeData, str: o.bytes}
	}
	return referenceValue(o)
}

func referenceValue(o Object) value {
	var null bool
	switch o := o.(type) {
	case *FD:
		null = o == nil
	case *SharedMemory:
		null = o == nil
	case *Array:
		null = o == nil
	case *Dictionary:
		null = o == nil
	case *Endpoint:
		null = o == nil
	case *Connection:
		null = o == nil
	case *Error:
		null = o == nil
	default:
		misuse("%T is not an XPC object", o)
	}
	if null {
		return value{}
	}
	return value{kind: o.Type(), obj: o}
}

func boolValue(v bool) value {
	if v {
		return value{kind: TypeBool, num: 1}
	}
	return value{kind: TypeBool}
}

func stringValue(s string) value {
	if strings.IndexByte(s, 0) >= 0 {
		misuse("string contains NUL: %.40q; use data", s)
	}
	return value{kind: TypeString, str: s}
}

// object boxes v.
func (v *value) object() Object {
	switch v.kind {
	case 0:
		return nil
	case TypeNull:
		return Null{}
	case TypeBool:
		return Bool(v.num != 0)
	case TypeInt64:
		return Int64(v.num)
	case TypeUint64:
		return Uint64(v.num)
	case TypeDouble:
		return Double(math.Float64frombits(v.num))
	case TypeDate:
		return Date(v.num)
	case TypeString:
		return String(v.str)
	case TypeData:
		if v.obj == nil {
			return &Data{bytes: v.str}
		}
	case TypeUUID:
		return UUID([]byte(v.str))
	}
	return v.obj
}

// hand boxes v for the user, who from then on has a say in when a descriptor closes.
func (v *value) hand() Object {
	switch v.kind {
	case TypeFD:
		v.obj.(*FD).taken.Store(true)
	case TypeSharedMemory:
		v.obj.(*SharedMemory).fd.taken.Store(true)
	}
	return v.object()
}

// kin tells at no cost, in all ordinary cases, that an insertion closes no cycle.
// Both flags are only ever set. inside is atomic because a container that nobody
// changes may be put into others by several goroutines.
type kin struct {
	inside atomic.Bool // has been put into a container
	holds  bool        // has had a container put into it
}

func kinOf(o Object) *kin {
	switch o := o.(type) {
	case *Array:
		return &o.kin
	case *Dictionary:
		return &o.kin
	}
	return nil
}

// adopt is called before o is put into the container that k belongs to (R163).
func (k *kin) adopt(o Object) {
	child := kinOf(o)
	if child == nil {
		return
	}
	if child == k || k.inside.Load() && child.holds && reaches(o, k, map[*kin]bool{}) {
		misuse("Attempt to put a container into itself")
	}
	k.holds = true
	if !child.inside.Load() {
		child.inside.Store(true)
	}
}

// reaches looks for target among o and what o contains.
func reaches(o Object, target *kin, seen map[*kin]bool) bool {
	k := kinOf(o)
	if k == nil || seen[k] {
		return false
	}
	if k == target {
		return true
	}
	seen[k] = true
	found := false
	eachValue(o, func(v *value) bool {
		found = v.obj != nil && reaches(v.obj, target, seen)
		return !found
	})
	return found
}

// eachValue visits the values of a container until visit says false.
func eachValue(o Object, visit func(*value) bool) {
	switch o := o.(type) {
	case *Array:
		for i := range o.values {
			if !visit(&o.values[i]) {
				return
			}
		}
	case *Dictionary:
		for i := range o.entries {
			if !visit(&o.entries[i].value) {
				return
			}
		}
	}
}

// Equal says whether a and b are of the same type and have the same value
// (xpc_equal, R11). Nothing is converted: Int64(1) and Uint64(1) differ. Arrays
// and dictionaries are compared deeply, dictionaries without regard to order.
// Descriptors, shared memory, endpoints and connections equal only themselves (R12), so a
// container of them equals only one with the very same objects. Any NaN equals
// any NaN. Two nils are equal, nil and an object are not.
func Equal(a, b Object) bool {
	va, vb := valueOf(a), valueOf(b)
	return va.equal(&vb)
}

func (v *value) equal(w *value) bool {
	if v.kind != w.kind {
		return false
	}
	switch v.kind {
	case TypeDouble:
		return canonical(v.num) == canonical(w.num)
	case TypeData:
		return v.obj != nil && v.obj == w.obj || v.plainData() == w.plainData()
	case TypeArray:
		return v.obj.(*Array).equal(w.obj.(*Array))
	case TypeDictionary:
		return v.obj.(*Dictionary).equal(w.obj.(*Dictionary))
	}
	return v.num == w.num && v.str == w.str && v.obj == w.obj
}

// canonical gives doubles that are equal the same bits.
func canonical(bits uint64) uint64 {
	switch f := math.Float64frombits(bits); {
	case f == 0:
		return 0
	case f != f:
		return math.Float64bits(math.NaN())
	}
	return bits
}

var hashSeed = maphash.MakeSeed()

// Hash gives equal objects the same number (xpc_hash, R11). It differs from
// process to process (R13). The hash of nil is 0.
func Hash(o Object) uint64 {
	v := valueOf(o)
	return v.hash()
}

func (v *value) hash() uint64 {
	switch v.kind {
	case 0:
		return 0
	case TypeDouble:
		return maphash.Comparable(hashSeed, canonical(v.num))
	case TypeData:
		return maphash.String(hashSeed, v.plainData())
	case TypeArray:
		return v.obj.(*Array).hash()
	case TypeDictionary:
		return v.obj.(*Dictionary).hash()
	}
	return maphash.Comparable(hashSeed, *v)
}

// Copy makes a copy that shares nothing that can change (xpc_copy, R10): arrays
// and dictionaries deeply, descriptors as new boxes of the same open file.
// Immutable objects are their own copies. A connection cannot be copied: the
// copy is nil, and a copied container holds the connection itself. The copy of
// a received message is an ordinary dictionary: it cannot be replied to, and it
// does not end with the message.
func Copy(o Object) Object {
	v := valueOf(o)
	if v.kind == TypeConnection {
		return nil
	}
	v = v.copy()
	return v.object()
}

func (v *value) copy() value {
	c := *v
	switch v.kind {
	case TypeFD:
		c.obj = v.obj.(*FD).copy()
	case TypeSharedMemory:
		c.obj = v.obj.(*SharedMemory).copy()
	case TypeArray:
		c.obj = v.obj.(*Array).copy()
	case TypeDictionary:
		c.obj = v.obj.(*Dictionary).copy()
	}
	return c
}

// Typed reading of a value; each gives its default for any other type (R37).

func (v *value) scalar(t Type) uint64 {
	if v.kind != t {
		return 0
	}
	return v.num
}

func (v *value) double() float64 {
	if v.kind != TypeDouble {
		return math.NaN()
	}
	return math.Float64frombits(v.num)
}

func (v *value) data() []byte {
	if v.kind != TypeData {
		return nil
	}
	return bytesOf(v.plainData())
}

// plainData is data wherever it lies.
func (v *value) plainData() string {
	if d, ok := v.obj.(*Data); ok {
		return textOf(d.Bytes())
	}
	return v.str
}

func (v *value) text() string {
	if v.kind != TypeString {
		return ""
	}
	return v.str
}

func (v *value) uuid() (u UUID) {
	if v.kind == TypeUUID {
		copy(u[:], v.str)
	}
	return u
}

func (v *value) dictionary() *Dictionary {
	d, _ := v.obj.(*Dictionary)
	return d
}

func (v *value) array() *Array {
	a, _ := v.obj.(*Array)
	return a
}

func (v *value) dupFD() int {
	f, _ := v.obj.(*FD)
	return f.Dup()
}

func (v *value) connect() *Connection {
	if e, ok := v.obj.(*Endpoint); ok {
		return NewConnectionFromEndpoint(e)
	}
	return nil
}
