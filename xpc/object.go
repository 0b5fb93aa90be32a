package xpc

import (
	"fmt"
	"hash/maphash"
	"math"
	"strings"
	"sync/atomic"
	"unsafe"
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
// nothing, and a received string, data or UUID stays where it arrived. It is small
// because what a message costs is mostly the collector's, by the byte.
type value struct {
	kind  Type           // zero: absent
	apart bool           // data in memory of its own
	lent  bool           // of data, as in Data
	named uint32         // of an entry of a dictionary, the length of its key: there is room for it here
	num   uint64         // bool, int64, uint64, double (bits), date; of string, data and UUID the number of bytes
	ptr   unsafe.Pointer // these bytes, nil for none; or the object that kind says, for data apart a *Data
}

// textValue is a string, data or a UUID that lies in s.
func textValue(k Type, s string) value {
	return value{kind: k, num: uint64(len(s)), ptr: unsafe.Pointer(unsafe.StringData(s))}
}

func uuidValue(u UUID) value { return textValue(TypeUUID, string(u[:])) }

// text is what textValue was given, "" for everything else.
func (v *value) text() string {
	if v.kind == TypeString || v.kind == TypeUUID || v.kind == TypeData && !v.apart {
		return unsafe.String((*byte)(v.ptr), int(v.num))
	}
	return ""
}

// objectValue is an object that is kept as it is, which must not be nil.
func objectValue(o Object) value {
	v := value{kind: o.Type()}
	switch o := o.(type) {
	case *Data:
		v.apart, v.ptr = true, unsafe.Pointer(o)
	case *FD:
		v.ptr = unsafe.Pointer(o)
	case *SharedMemory:
		v.ptr = unsafe.Pointer(o)
	case *Array:
		v.ptr = unsafe.Pointer(o)
	case *Dictionary:
		v.ptr = unsafe.Pointer(o)
	case *Endpoint:
		v.ptr = unsafe.Pointer(o)
	case *Connection:
		v.ptr = unsafe.Pointer(o)
	case *Error:
		v.ptr = unsafe.Pointer(o)
	}
	return v
}

// reference is what objectValue was given, nil for everything else.
func (v *value) reference() Object {
	switch v.kind {
	case TypeData:
		if v.apart {
			return (*Data)(v.ptr)
		}
	case TypeFD:
		return (*FD)(v.ptr)
	case TypeSharedMemory:
		return (*SharedMemory)(v.ptr)
	case TypeArray:
		return (*Array)(v.ptr)
	case TypeDictionary:
		return (*Dictionary)(v.ptr)
	case TypeEndpoint:
		return (*Endpoint)(v.ptr)
	case TypeConnection:
		return (*Connection)(v.ptr)
	case TypeError:
		return (*Error)(v.ptr)
	}
	return nil
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
		return uuidValue(o)
	case *Data:
		switch {
		case o == nil:
			return value{}
		case o.shared != nil || o.Len() >= sharedDataFrom: // it may lie, or come to lie, where others can map it
			return objectValue(o)
		}
		v := textValue(TypeData, o.bytes)
		v.lent = o.lent
		return v
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
	return objectValue(o)
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
	return textValue(TypeString, s)
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
		return String(v.text())
	case TypeData:
		if !v.apart {
			return &Data{bytes: v.text(), lent: v.lent}
		}
	case TypeUUID:
		return v.uuid()
	}
	return v.reference()
}

// hand boxes v for the user, who from then on has a say in when a descriptor closes.
func (v *value) hand() Object {
	switch v.kind {
	case TypeFD:
		(*FD)(v.ptr).taken.Store(true)
	case TypeSharedMemory:
		(*SharedMemory)(v.ptr).fd.taken.Store(true)
	}
	return v.object()
}

// kin tells at no cost, in all ordinary cases, that an insertion closes no cycle.
// Its bits are only ever set, atomically because a container that nobody changes
// may be put into others by several goroutines.
type kin struct{ bits atomic.Uint32 }

const (
	kinInside uint32 = 1 << iota // has been put into a container
	kinHolds                     // has had a container put into it
)

func (k *kin) is(bit uint32) bool { return k.bits.Load()&bit != 0 }

func (k *kin) note(bit uint32) {
	if !k.is(bit) {
		k.bits.Or(bit)
	}
}

// kin is nil for what is no container.
func (v *value) kin() *kin {
	switch v.kind {
	case TypeArray:
		return &(*Array)(v.ptr).kin
	case TypeDictionary:
		return &(*Dictionary)(v.ptr).kin
	}
	return nil
}

// adopt is called before v is put into the container that k belongs to (R163).
func (k *kin) adopt(v *value) {
	child := v.kin()
	if child == nil {
		return
	}
	if child == k || k.is(kinInside) && child.is(kinHolds) && v.reaches(k, map[*kin]bool{}) {
		misuse("Attempt to put a container into itself")
	}
	k.note(kinHolds)
	child.note(kinInside)
}

// reaches looks for target among v and what v contains.
func (v *value) reaches(target *kin, seen map[*kin]bool) bool {
	k := v.kin()
	if k == nil || seen[k] {
		return false
	}
	if k == target {
		return true
	}
	seen[k] = true
	found := false
	v.each(func(in *value) bool {
		found = in.reaches(target, seen)
		return !found
	})
	return found
}

// each visits the values of a container until visit says false.
func (v *value) each(visit func(*value) bool) {
	switch v.kind {
	case TypeArray:
		a := (*Array)(v.ptr)
		for i := range a.values {
			if !visit(&a.values[i]) {
				return
			}
		}
	case TypeDictionary:
		d := (*Dictionary)(v.ptr)
		for i := range d.entries {
			if !visit(&d.entries[i].value) {
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
		return v.ptr == w.ptr && v.num == w.num && v.apart == w.apart || v.plainData() == w.plainData()
	case TypeString, TypeUUID:
		return v.text() == w.text()
	case TypeArray:
		return v.array().equal(w.array())
	case TypeDictionary:
		return v.dictionary().equal(w.dictionary())
	}
	return v.num == w.num && v.ptr == w.ptr
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
	case TypeString, TypeUUID:
		return maphash.String(hashSeed, v.text()) ^ uint64(v.kind)<<56
	case TypeArray:
		return v.array().hash()
	case TypeDictionary:
		return v.dictionary().hash()
	}
	return maphash.Comparable(hashSeed, value{kind: v.kind, num: v.num, ptr: v.ptr})
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
	switch v.kind {
	case TypeFD:
		return objectValue((*FD)(v.ptr).copy())
	case TypeSharedMemory:
		return objectValue((*SharedMemory)(v.ptr).copy())
	case TypeArray:
		return objectValue(v.array().copy())
	case TypeDictionary:
		return objectValue(v.dictionary().copy())
	}
	return *v
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

// dataObject is the data that lies apart, nil for everything else.
func (v *value) dataObject() *Data {
	if v.kind == TypeData && v.apart {
		return (*Data)(v.ptr)
	}
	return nil
}

// plainData is data wherever it lies.
func (v *value) plainData() string {
	if d := v.dataObject(); d != nil {
		return textOf(d.Bytes())
	}
	return v.text()
}

func (v *value) string() string {
	if v.kind != TypeString {
		return ""
	}
	return v.text()
}

func (v *value) uuid() (u UUID) {
	if v.kind == TypeUUID {
		copy(u[:], v.text())
	}
	return u
}

func (v *value) dictionary() *Dictionary {
	if v.kind != TypeDictionary {
		return nil
	}
	return (*Dictionary)(v.ptr)
}

func (v *value) array() *Array {
	if v.kind != TypeArray {
		return nil
	}
	return (*Array)(v.ptr)
}

func (v *value) dupFD() int {
	f, _ := v.reference().(*FD)
	return f.Dup()
}

func (v *value) connect() *Connection {
	if e, ok := v.reference().(*Endpoint); ok {
		return NewConnectionFromEndpoint(e)
	}
	return nil
}
