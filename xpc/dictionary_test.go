package xpc

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// wantDefaults checks that every getter finds nothing under key (T30, R37).
func wantDefaults(t *testing.T, why string, d *Dictionary, key string, but Type) {
	t.Helper()
	got := map[Type]bool{
		TypeBool:       d.GetBool(key) == false,
		TypeInt64:      d.GetInt64(key) == 0,
		TypeUint64:     d.GetUint64(key) == 0,
		TypeDouble:     math.IsNaN(d.GetDouble(key)),
		TypeDate:       d.GetDate(key) == 0,
		TypeData:       d.GetData(key) == nil,
		TypeString:     d.GetString(key) == "",
		TypeUUID:       d.GetUUID(key) == UUID{},
		TypeFD:         but == TypeFD || d.DupFD(key) == -1,
		TypeArray:      d.GetArray(key) == nil,
		TypeDictionary: d.GetDictionary(key) == nil,
		TypeEndpoint:   but == TypeEndpoint || d.CreateConnection(key) == nil,
	}
	for typ, isDefault := range got {
		if typ != but && !isDefault {
			t.Errorf("%s: the %s getter gives something else than its default", why, typ)
		}
	}
}

func TestGettersGiveDefaults(t *testing.T) {
	var none *Dictionary
	wantDefaults(t, "no dictionary", none, "k", 0)
	wantDefaults(t, "an absent key", NewDictionary(), "k", 0)
	d := everything(t)
	d.Set("fd", box(t))
	d.Set("connection", &Connection{})
	d.Set("endpoint", &Endpoint{})
	for key, o := range d.All() {
		wantDefaults(t, "a value of type "+key, d, key, o.Type())
	}
	if none.Count() != 0 || none.Get("k") != nil {
		t.Error("a nil dictionary is empty")
	}
	for range none.All() {
		t.Error("a nil dictionary has nothing to iterate over")
	}
	none.Delete("k")
}

func TestSettersAndGettersOfADictionary(t *testing.T) {
	d := everything(t)
	if d.GetBool("bool") != true || d.GetInt64("int64") != -5 || d.GetUint64("uint64") != 1<<63 ||
		d.GetDouble("double") != 1.5 || d.GetDate("date") != -1 || string(d.GetData("data")) != "a\x00b" ||
		d.GetString("string") != "hello" || d.GetUUID("uuid") != (UUID{1, 2, 3}) ||
		d.GetArray("array").Count() != 3 || d.GetDictionary("dictionary").GetInt64("n") != 1 {
		t.Errorf("what was set must be got: %s", d)
	}
	if d.Count() != 12 {
		t.Errorf("12 keys were set, Count is %d", d.Count())
	}
}

// Every typed setter stores what Set of the named type stores.
func TestTypedAndBoxedValuesAreTheSame(t *testing.T) {
	typed, boxed := everything(t), NewDictionary()
	for key, o := range typed.All() {
		boxed.Set(key, o)
	}
	if !Equal(typed, boxed) {
		t.Errorf("%s\n%s", typed, boxed)
	}
}

func TestSetNilDeletes(t *testing.T) {
	d := NewDictionary()
	for why, deletes := range map[string]func(){
		"a nil Object (R35)":      func() { d.Set("k", nil) },
		"a getter's nothing":      func() { d.Set("k", d.GetDictionary("absent")) },
		"a nil dictionary":        func() { d.SetDictionary("k", nil) },
		"a nil array":             func() { d.SetArray("k", nil) },
		"Delete":                  func() { d.Delete("k") },
		"an fd that is none":      func() { d.SetFD("k", invalidFD) },
		"Delete of an absent key": func() { d.Delete("other"); d.Delete("k") },
	} {
		d.SetInt64("k", 1)
		if deletes(); d.Count() != 0 || d.Get("k") != nil {
			t.Errorf("%s must delete the key", why)
		}
	}
	d.Set("k", Null{})
	if d.Count() != 1 || d.Get("k") != Object(Null{}) {
		t.Error("the null object is a value (R35)")
	}
}

func TestSettingReplacesInPlace(t *testing.T) {
	d := NewDictionary()
	d.SetInt64("a", 1)
	d.SetInt64("b", 2)
	d.SetString("a", "new")
	keys := []string{}
	for k := range d.All() {
		keys = append(keys, k)
	}
	if !slices.Equal(keys, []string{"a", "b"}) || d.GetString("a") != "new" || d.GetInt64("a") != 0 {
		t.Errorf("got %s", d)
	}
}

func TestSetFDKeepsItsOwn(t *testing.T) {
	f := openFile(t)
	d := NewDictionary()
	d.SetFD("k", int(f.Fd()))
	defer d.Get("k").(*FD).Close()
	f.Close()
	n := d.DupFD("k")
	if n < 0 {
		t.Fatal("the dictionary's duplicate must outlive the caller's descriptor (R26)")
	}
	unix.Close(n)
}

func TestMisuseOfADictionary(t *testing.T) {
	var none *Dictionary
	d := NewDictionary()
	mustPanic(t, "a key is a C string", "key contains NUL", func() { d.SetInt64("a\x00b", 1) })
	mustPanic(t, "a string is a C string", "string contains NUL", func() { d.SetString("k", "a\x00b") })
	mustPanic(t, "a boxed string too", "string contains NUL", func() { d.Set("k", String("\x00")) })
	mustPanic(t, "nothing to set in", "nil dictionary", func() { none.SetInt64("k", 1) })
	d.SetInt64("k", 1)
	mustPanic(t, "a change meanwhile", "Dictionary mutated during iteration", func() {
		for k := range d.All() {
			d.Delete(k)
		}
	})
}

func TestIterationCanStop(t *testing.T) {
	d, n := everything(t), 0
	for range d.All() {
		if n++; n == 2 {
			d.SetInt64("late", 1) // allowed: the iteration ends here
			break
		}
	}
	if n != 2 {
		t.Errorf("went on to %d", n)
	}
}

// The index of large dictionaries against Go's own map.
func TestDictionaryBehavesAsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, model, order := NewDictionary(), map[string]int64{}, []string{}
		for range rapid.IntRange(0, 120).Draw(t, "operations") {
			key := fmt.Sprint(rapid.IntRange(0, 40).Draw(t, "key"))
			if rapid.IntRange(0, 3).Draw(t, "delete") == 0 {
				d.Delete(key)
				delete(model, key)
				order = slices.DeleteFunc(order, func(k string) bool { return k == key })
				continue
			}
			n := rapid.Int64().Draw(t, "value")
			if _, ok := model[key]; !ok {
				order = append(order, key)
			}
			d.SetInt64(key, n)
			model[key] = n
		}
		if d.Count() != len(model) {
			t.Fatalf("%d keys, want %d", d.Count(), len(model))
		}
		i := 0
		for key, o := range d.All() {
			if key != order[i] || o != Object(Int64(model[key])) || d.GetInt64(key) != model[key] {
				t.Fatalf("at %d: %s is %v, want %s as %d", i, key, o, order[i], model[key])
			}
			i++
		}
		for n := range 41 {
			if key := fmt.Sprint(n); (d.Get(key) != nil) != (model[key] != 0 || slices.Contains(order, key)) {
				t.Fatalf("%s is there or absent, wrongly", key)
			}
		}
	})
}

func TestGettersAllocateNothing(t *testing.T) {
	d := everything(t)
	allocs := testing.AllocsPerRun(100, func() {
		_ = d.GetInt64("int64")
		_ = d.GetString("string")
		_ = d.GetData("data")
		_ = d.GetUUID("uuid")
		_ = d.GetDictionary("dictionary")
		_ = d.GetDouble("absent")
	})
	if allocs != 0 {
		t.Errorf("reading took %v allocations, want none", allocs)
	}
}
