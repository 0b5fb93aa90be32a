package xpc

import (
	"hash/maphash"
	"iter"
	"math"
	"slices"
	"strings"
	"unsafe"
)

// Dictionary maps keys to objects (xpc_dictionary_create), and is what every
// message is (R140). Keys are strings without NUL; they keep the order in which
// they were first set, on the wire too, though no peer promises that (R36).
// Values put in are kept, not copied, but for data.
//
// Getters never fail: for an absent key, a value of another type and a nil
// *Dictionary they give the default that stands with each (R37). Nothing is
// converted: an int64 is absent for GetUint64.
//
// Any number of goroutines may read a dictionary that nobody changes. The zero
// Dictionary is empty and ready for use. Setters of a nil *Dictionary panic, and
// so do a key or string with NUL, and what would make the dictionary contain
// itself (R163).
type Dictionary struct {
	entries []entry
	slots   *[]int32 // index of the entries when there are many; see find
	changes uint32
	kin     kin
	in      *incoming // nil for a dictionary that did not come as a message
}

// entry is a key and its value, in 32 bytes.
type entry struct {
	value
	name unsafe.Pointer // the bytes of the key
}

// set takes the place of whatever the entry was. The key is no longer than maxKey.
func (e *entry) set(key string, v value) {
	e.value, e.name = v, unsafe.Pointer(unsafe.StringData(key))
	e.named = uint32(len(key))
}

func (e *entry) key() string { return unsafe.String((*byte)(e.name), e.named) }

// maxKey is far beyond what any message can carry.
const maxKey = math.MaxInt32

// fewEntries is how many are found faster by looking at each.
const fewEntries = 12

// fewKeys is how many most messages have at most: NewDictionary makes room for
// them in the same allocation.
const fewKeys = 3

// moreKeys is what there is room for when these are not enough.
const moreKeys = 8

// NewDictionary makes an empty dictionary.
func NewDictionary() *Dictionary {
	d := new(struct {
		Dictionary
		room [fewKeys]entry
	})
	d.entries = d.room[:0]
	return &d.Dictionary
}

// Type is TypeDictionary.
func (d *Dictionary) Type() Type { return TypeDictionary }

// Count is the number of keys (xpc_dictionary_get_count).
func (d *Dictionary) Count() int {
	if d == nil {
		return 0
	}
	return len(d.entries)
}

// Get is the value of key, nil if there is none (xpc_dictionary_get_value).
func (d *Dictionary) Get(key string) Object { return d.lookup(key).hand() }

// Set sets key to o, replacing what was there; nil deletes the key, Null{} does
// not (xpc_dictionary_set_value, R35).
func (d *Dictionary) Set(key string, o Object) {
	v := valueOf(o)
	if v.kind == 0 {
		d.Delete(key)
		return
	}
	d.put(key, v)
}

// Delete removes key, if it is there. In a large dictionary it takes time in
// proportion to the number of keys.
func (d *Dictionary) Delete(key string) {
	i := d.find(key)
	if i < 0 {
		return
	}
	d.changes++
	d.entries = slices.Delete(d.entries, i, i+1)
	if d.slots != nil {
		d.reindex(len(d.entries))
	}
}

// All iterates over keys and values in the order in which the keys were first
// set (xpc_dictionary_apply). The dictionary must not be changed meanwhile: that
// panics.
func (d *Dictionary) All() iter.Seq2[string, Object] {
	return func(yield func(string, Object) bool) {
		if d == nil {
			return
		}
		changes := d.changes
		for i := range d.entries {
			if !yield(d.entries[i].key(), d.entries[i].hand()) {
				return
			}
			if d.changes != changes {
				misuse("Dictionary mutated during iteration")
			}
		}
	}
}

// String is Description(d).
func (d *Dictionary) String() string { return Description(d) }

func (d *Dictionary) lookup(key string) *value {
	if i := d.find(key); i >= 0 {
		return &d.entries[i].value
	}
	return &absent
}

func (d *Dictionary) put(key string, v value) {
	if d == nil {
		misuse("Attempt to change a nil dictionary")
	}
	if strings.IndexByte(key, 0) >= 0 {
		misuse("key contains NUL: %.40q", key)
	}
	if len(key) > maxKey {
		misuse("key of %d bytes, at most %d are possible", len(key), maxKey)
	}
	d.kin.adopt(&v)
	d.changes++
	if i := d.find(key); i >= 0 {
		d.entries[i].set(d.entries[i].key(), v)
		return
	}
	d.add(key, v)
}

// add appends an entry whose key is known to be new.
func (d *Dictionary) add(key string, v value) {
	switch n := len(d.entries); {
	case d.entries == nil:
		d.entries = make([]entry, 0, fewKeys)
	case n == cap(d.entries) && n < moreKeys:
		d.entries = append(make([]entry, 0, moreKeys), d.entries...)
	}
	d.entries = append(d.entries, entry{})
	d.entries[len(d.entries)-1].set(key, v)
	d.indexLast()
}

// indexLast enters the last entry in the index, if there is one or must be one.
func (d *Dictionary) indexLast() {
	n := len(d.entries)
	switch {
	case d.slots == nil && n <= fewEntries:
	case d.slots == nil || 2*n > len(*d.slots):
		d.reindex(2 * n)
	default:
		(*d.slots)[d.probe(d.entries[n-1].key())] = int32(n)
	}
}

// find gives the place of key among the entries, -1 if it is not there.
func (d *Dictionary) find(key string) int {
	if d == nil {
		return -1
	}
	if d.slots != nil {
		return int((*d.slots)[d.probe(key)]) - 1
	}
	for i := range d.entries {
		if d.entries[i].key() == key {
			return i
		}
	}
	return -1
}

// probe finds the slot of key, or the free slot where it belongs. A slot holds
// an entry's place plus one; zero is free. The seed of the hash is the
// process's own, so no peer can choose keys that collide.
func (d *Dictionary) probe(key string) int {
	slots := *d.slots
	mask := len(slots) - 1
	i := int(maphash.String(hashSeed, key)) & mask
	for slots[i] != 0 && d.entries[slots[i]-1].key() != key {
		i = (i + 1) & mask
	}
	return i
}

// reindex makes slots for n entries, at most half of them full, and fills them;
// for few entries there are none.
func (d *Dictionary) reindex(n int) {
	d.slots = nil
	if n <= fewEntries {
		return
	}
	size := 32
	for size < 2*n {
		size *= 2
	}
	slots := make([]int32, size)
	d.slots = &slots
	for i := range d.entries {
		slots[d.probe(d.entries[i].key())] = int32(i + 1)
	}
}

func (d *Dictionary) equal(o *Dictionary) bool {
	if len(d.entries) != len(o.entries) {
		return false
	}
	for i := range d.entries {
		if !d.entries[i].equal(o.lookup(d.entries[i].key())) {
			return false
		}
	}
	return true
}

// hash adds up, so that the order of keys does not matter.
func (d *Dictionary) hash() uint64 {
	h := uint64(TypeDictionary) << 56
	for i := range d.entries {
		e := &d.entries[i]
		h += (maphash.String(hashSeed, e.key()) ^ e.hash()) * 0x9e3779b97f4a7c15
	}
	return h
}

func (d *Dictionary) copy() *Dictionary {
	c := &Dictionary{entries: make([]entry, len(d.entries))}
	for i := range d.entries {
		v := d.entries[i].copy()
		c.kin.adopt(&v)
		c.entries[i].set(d.entries[i].key(), v)
	}
	c.reindex(len(c.entries))
	return c
}

// SetBool sets key to a bool.
func (d *Dictionary) SetBool(key string, v bool) { d.put(key, boolValue(v)) }

// GetBool is the bool of key; false by default.
func (d *Dictionary) GetBool(key string) bool { return d.lookup(key).scalar(TypeBool) != 0 }

// SetInt64 sets key to an int64.
func (d *Dictionary) SetInt64(key string, v int64) {
	d.put(key, value{kind: TypeInt64, num: uint64(v)})
}

// GetInt64 is the int64 of key; 0 by default.
func (d *Dictionary) GetInt64(key string) int64 { return int64(d.lookup(key).scalar(TypeInt64)) }

// SetUint64 sets key to a uint64.
func (d *Dictionary) SetUint64(key string, v uint64) { d.put(key, value{kind: TypeUint64, num: v}) }

// GetUint64 is the uint64 of key; 0 by default.
func (d *Dictionary) GetUint64(key string) uint64 { return d.lookup(key).scalar(TypeUint64) }

// SetDouble sets key to a double.
func (d *Dictionary) SetDouble(key string, v float64) {
	d.put(key, value{kind: TypeDouble, num: math.Float64bits(v)})
}

// GetDouble is the double of key; NaN by default.
func (d *Dictionary) GetDouble(key string) float64 { return d.lookup(key).double() }

// SetDate sets key to a date, in nanoseconds since 1970 (R19).
func (d *Dictionary) SetDate(key string, v int64) { d.put(key, value{kind: TypeDate, num: uint64(v)}) }

// GetDate is the date of key in nanoseconds since 1970 (R19); 0 by default.
func (d *Dictionary) GetDate(key string) int64 { return int64(d.lookup(key).scalar(TypeDate)) }

// SetData sets key to data, which is copied; nil is empty data.
func (d *Dictionary) SetData(key string, v []byte) { d.put(key, dataValue(v)) }

// GetData is the data of key, not a copy: it must not be written to (R25); nil by default, and never nil for data that is there.
func (d *Dictionary) GetData(key string) []byte { return d.lookup(key).data() }

// SetString sets key to a string.
func (d *Dictionary) SetString(key string, v string) { d.put(key, stringValue(v)) }

// GetString is the string of key; "" by default.
func (d *Dictionary) GetString(key string) string { return d.lookup(key).string() }

// SetUUID sets key to a UUID.
func (d *Dictionary) SetUUID(key string, v UUID) {
	d.put(key, uuidValue(v))
}

// GetUUID is the UUID of key; the zero UUID by default.
func (d *Dictionary) GetUUID(key string) UUID { return d.lookup(key).uuid() }

// SetDictionary sets key to v, which is kept, not copied; nil deletes the key.
func (d *Dictionary) SetDictionary(key string, v *Dictionary) { d.Set(key, v) }

// GetDictionary is the dictionary of key, not a copy (R39); nil by default.
func (d *Dictionary) GetDictionary(key string) *Dictionary { return d.lookup(key).dictionary() }

// SetArray sets key to v, which is kept, not copied; nil deletes the key.
func (d *Dictionary) SetArray(key string, v *Array) { d.Set(key, v) }

// GetArray is the array of key, not a copy (R39); nil by default.
func (d *Dictionary) GetArray(key string) *Array { return d.lookup(key).array() }

// SetFD sets key to a box with a duplicate of fd, made at once: the caller keeps
// fd and may close it (R26). An fd that cannot be duplicated stores nothing and
// deletes the key; [NewFD] tells why.
func (d *Dictionary) SetFD(key string, fd int) {
	f, err := NewFD(fd)
	if err != nil {
		f = nil
	}
	d.Set(key, f)
}

// DupFD is a new duplicate of the descriptor of key, which the caller must
// close; -1 by default, and where the process has no descriptor left.
func (d *Dictionary) DupFD(key string) int { return d.lookup(key).dupFD() }

// SetConnection sets key to an endpoint of c, which must be a listener of this
// process (R38); see NewEndpoint.
func (d *Dictionary) SetConnection(key string, c *Connection) { d.Set(key, NewEndpoint(c)) }

// CreateConnection makes a new connection from the endpoint of key, a different
// one with each call, which the caller must activate (R38); nil by default.
func (d *Dictionary) CreateConnection(key string) *Connection { return d.lookup(key).connect() }
