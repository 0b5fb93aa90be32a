package xpc

import (
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
)

// mustPanic runs f, which breaks the rules of the API, and wants Apple's words
// and the given ones.
func mustPanic(t *testing.T, why, words string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		text := fmt.Sprint(recover())
		if !strings.HasPrefix(text, "XPC API Misuse: ") || !strings.Contains(text, words) {
			t.Errorf("%s: got %q, want a misuse panic that says %q", why, text, words)
		}
	}()
	f()
}

// openFile gives a descriptor that the test closes at its end.
func openFile(t testing.TB) *os.File {
	t.Helper()
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func box(t testing.TB) *FD {
	t.Helper()
	fd, err := NewFD(int(openFile(t).Fd()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { fd.Close() })
	return fd
}

// everything has a value of every type that can be sent without a connection.
func everything(t testing.TB) *Dictionary {
	d := NewDictionary()
	d.Set("null", Null{})
	d.SetBool("bool", true)
	d.SetInt64("int64", -5)
	d.SetUint64("uint64", 1<<63)
	d.SetDouble("double", 1.5)
	d.SetDate("date", -1)
	d.SetData("data", []byte("a\x00b"))
	d.SetString("string", "hello")
	d.SetUUID("uuid", UUID{1, 2, 3})
	d.Set("error", ErrConnectionInvalid)
	d.SetArray("array", NewArray(Int64(1), String("two"), NewDictionary()))
	d.SetDictionary("dictionary", NewDictionary())
	d.GetDictionary("dictionary").SetInt64("n", 1)
	return d
}

func TestTypeNames(t *testing.T) {
	names := "null bool int64 uint64 double date data string uuid fd shmem array dictionary endpoint connection error"
	for i, want := range strings.Fields(names) {
		if got := (TypeNull + Type(i)).String(); got != want {
			t.Errorf("type %d is %q, want Apple's name %q (R9)", i, got, want)
		}
	}
	if Type(0).String() != "invalid" || Type(99).String() != "type(99)" {
		t.Error("what is no type must still print")
	}
}

func TestObjectsKnowTheirType(t *testing.T) {
	for want, o := range map[Type]Object{
		TypeNull: Null{}, TypeBool: Bool(true), TypeInt64: Int64(1), TypeUint64: Uint64(1), TypeDouble: Double(1),
		TypeDate: Date(1), TypeData: NewData(nil), TypeString: String(""), TypeUUID: UUID{}, TypeFD: box(t),
		TypeArray: NewArray(), TypeDictionary: NewDictionary(), TypeEndpoint: &Endpoint{},
		TypeConnection: &Connection{}, TypeError: ErrConnectionInvalid,
	} {
		if o.Type() != want {
			t.Errorf("%T has type %s, want %s", o, o.Type(), want)
		}
		d := NewDictionary()
		d.Set("k", o)
		if got := d.Get("k"); got == nil || got.Type() != want {
			t.Errorf("%T comes out of a dictionary as %v", o, got)
		}
	}
}

type stranger struct{}

func (stranger) Type() Type { return TypeString }

func TestOnlyOurTypesAreObjects(t *testing.T) {
	mustPanic(t, "nobody else's type can be sent", "stranger is not an XPC object", func() {
		NewDictionary().Set("k", stranger{})
	})
}

func TestEqual(t *testing.T) {
	fd := box(t)
	for _, c := range []struct {
		why  string
		a, b Object
		want bool
	}{
		{"the same value", Int64(1), Int64(1), true},
		{"nothing is converted (R11)", Int64(1), Uint64(1), false},
		{"a bool is no number", Bool(true), Int64(1), false},
		{"data is no string", NewData([]byte("a")), String("a"), false},
		{"data by content", NewData([]byte("a")), NewData([]byte("a")), true},
		{"all nulls are one", Null{}, Null{}, true},
		{"NaN, so that a copy equals its original", Double(math.NaN()), Double(-math.NaN()), true},
		{"zeros, as == has it", Double(0), Double(math.Copysign(0, -1)), true},
		{"a box equals itself", fd, fd, true},
		{"two boxes of one descriptor differ (R12)", fd, Copy(fd), false},
		{"arrays in order", NewArray(Int64(1), Int64(2)), NewArray(Int64(2), Int64(1)), false},
		{"arrays deeply", NewArray(NewArray(String("x"))), NewArray(NewArray(String("x"))), true},
		{"an array and its beginning", NewArray(Int64(1)), NewArray(Int64(1), Int64(2)), false},
		{"containers of the same box", NewArray(fd), NewArray(fd), true},
		{"containers of two boxes", NewArray(fd), Copy(NewArray(fd)), false},
		{"nothing and nothing", nil, nil, true},
		{"nothing and null (R35)", nil, Null{}, false},
		{"nothing of a type is nothing", (*Data)(nil), nil, true},
		{"errors are singletons", ErrConnectionInvalid, ErrConnectionInterrupted, false},
	} {
		if got := Equal(c.a, c.b); got != c.want {
			t.Errorf("%s: got %v", c.why, got)
		}
		if c.want && Hash(c.a) != Hash(c.b) {
			t.Errorf("%s: equal objects have different hashes (R11)", c.why)
		}
	}
}

func TestDictionariesAreEqualInAnyOrder(t *testing.T) {
	a, b := NewDictionary(), NewDictionary()
	for i := range 40 {
		a.SetInt64(fmt.Sprint(i), int64(i))
		b.SetInt64(fmt.Sprint(39-i), int64(39-i))
	}
	if !Equal(a, b) || Hash(a) != Hash(b) {
		t.Error("order of insertion must not matter")
	}
	b.SetInt64("0", 1)
	if Equal(a, b) {
		t.Error("one value differs")
	}
	b.Delete("0")
	b.SetInt64("other", 0)
	if Equal(a, b) {
		t.Error("one key differs")
	}
}

// T41: nested containers are copied deeply, equal and of the same hash.
func TestCopyIsDeep(t *testing.T) {
	d := everything(t)
	c := Copy(d).(*Dictionary)
	if !Equal(c, d) || Hash(c) != Hash(d) {
		t.Fatal("a copy must equal its original")
	}
	c.GetArray("array").GetDictionary(2).SetBool("new", true)
	c.GetDictionary("dictionary").SetInt64("n", 2)
	if d.GetArray("array").GetDictionary(2).Count() != 0 || d.GetDictionary("dictionary").GetInt64("n") != 1 {
		t.Error("a change of the copy reached the original (R10)")
	}
}

// T28, the part about copies: what happens to the original later is not in the copy.
func TestCopyIsASnapshot(t *testing.T) {
	d := NewDictionary()
	d.SetString("k", "before")
	c := Copy(d).(*Dictionary)
	d.SetString("k", "after")
	d.SetString("new", "x")
	if c.GetString("k") != "before" || c.Count() != 1 {
		t.Errorf("the copy became %s", c)
	}
}

func TestCopyOfLargeDictionaryFindsItsKeys(t *testing.T) {
	d := NewDictionary()
	for i := range 100 {
		d.SetInt64(fmt.Sprint(i), int64(i))
	}
	c := Copy(d).(*Dictionary)
	c.Delete("7")
	for i := range 100 {
		if got, want := c.GetInt64(fmt.Sprint(i)), int64(i); got != want && i != 7 {
			t.Errorf("key %d has %d", i, got)
		}
	}
}

func TestCopyOfSingleObjects(t *testing.T) {
	fd := box(t)
	c := Copy(fd).(*FD)
	if c == fd {
		t.Error("the copy of a box is another box (R12)")
	}
	fd.Close()
	n := c.Dup()
	if n < 0 {
		t.Error("the copy must not close with the original")
	} else {
		os.NewFile(uintptr(n), "").Close()
	}
	c.Close()
	if Copy(fd).(*FD).Dup() != -1 {
		t.Error("the copy of a closed box is closed")
	}
	if Copy(&Connection{}) != nil {
		t.Error("a connection cannot be copied (R10)")
	}
	if Copy(nil) != nil || Copy((*Array)(nil)) != nil {
		t.Error("the copy of nothing is nothing")
	}
	if Copy(ErrConnectionInvalid) != Object(ErrConnectionInvalid) || Copy(Int64(5)) != Object(Int64(5)) {
		t.Error("immutable objects are their own copies")
	}
	connection := &Connection{}
	if got := Copy(NewArray(connection)).(*Array).Get(0); got != Object(connection) {
		t.Error("a copied container keeps the connection: an array cannot hold nil")
	}
}

// Nothing that came with a message ties its copy to it.
func TestCopyIsNotAReceivedMessage(t *testing.T) {
	d := &Dictionary{in: new(incoming)}
	d.SetInt64("n", 1)
	if c := Copy(d).(*Dictionary); c.in != nil {
		t.Error("a copy cannot be replied to")
	}
}

func TestCyclesAreMisuse(t *testing.T) {
	const words = "into itself"
	d := NewDictionary()
	mustPanic(t, "a dictionary in itself", words, func() { d.Set("self", d) })
	a := NewArray()
	mustPanic(t, "an array in itself", words, func() { a.Append(a) })
	inner, middle := NewDictionary(), NewArray()
	middle.Append(inner)
	d.Set("m", middle)
	mustPanic(t, "a way round over three", words, func() { inner.Set("d", d) })
	mustPanic(t, "a way round over two", words, func() { inner.Set("m", middle) })
	if inner.Count() != 0 {
		t.Error("what was refused must not have been stored")
	}
	received := &Dictionary{}
	decodeInto(t, received, encodeFrom(t, d))
	mustPanic(t, "a way round in what was received", words, func() {
		received.GetArray("m").GetDictionary(0).Set("r", received)
	})
	mustPanic(t, "a way round in a copy", words, func() {
		c := Copy(d).(*Dictionary)
		c.GetArray("m").GetDictionary(0).Set("c", c)
	})
}

// Sharing is no cycle, however often it is done: the search visits each once.
func TestSharedContainersAreNoCycle(t *testing.T) {
	shared := NewDictionary()
	for range 64 {
		next := NewDictionary()
		next.Set("left", shared)
		next.Set("right", shared)
		shared = next
	}
	top := NewArray()
	NewArray(top)
	top.Append(shared)
}

func decodeInto(t testing.TB, d *Dictionary, body []byte) {
	t.Helper()
	lim := Limits{}.withDefaults()
	if _, err := decodeMessage(d, body, nil, &lim); err != nil {
		t.Fatal(err)
	}
}

func encodeFrom(t testing.TB, d *Dictionary) []byte {
	t.Helper()
	lim := Limits{}.withDefaults()
	body, files, err := encodeMessage(nil, d, &lim)
	if err != nil || len(files) != 0 {
		t.Fatal(err, files)
	}
	return body
}
