package xpc

import (
	"math"
	"testing"

	"golang.org/x/sys/unix"
)

func TestSettersAndGettersOfAnArray(t *testing.T) {
	a := NewArray()
	a.AppendBool(true)
	a.AppendInt64(-5)
	a.AppendUint64(1 << 63)
	a.AppendDouble(1.5)
	a.AppendDate(-1)
	a.AppendData([]byte("a\x00b"))
	a.AppendString("hello")
	a.AppendUUID(UUID{1, 2, 3})
	a.AppendArray(NewArray(Null{}))
	a.AppendDictionary(NewDictionary())
	check := func(why string, a *Array) {
		t.Helper()
		if a.Count() != 10 || !a.GetBool(0) || a.GetInt64(1) != -5 || a.GetUint64(2) != 1<<63 || a.GetDouble(3) != 1.5 ||
			a.GetDate(4) != -1 || string(a.GetData(5)) != "a\x00b" || a.GetString(6) != "hello" ||
			a.GetUUID(7) != (UUID{1, 2, 3}) || a.GetArray(8).Count() != 1 || a.GetDictionary(9) == nil {
			t.Errorf("%s: what was put in must come out: %s", why, a)
		}
	}
	check("appended", a)

	b := NewArray(Null{}, Null{}, Null{}, Null{}, Null{}, Null{}, Null{}, Null{}, Null{}, Null{})
	b.SetBool(0, true)
	b.SetInt64(1, -5)
	b.SetUint64(2, 1<<63)
	b.SetDouble(3, 1.5)
	b.SetDate(4, -1)
	b.SetData(5, []byte("a\x00b"))
	b.SetString(6, "hello")
	b.SetUUID(7, UUID{1, 2, 3})
	b.SetArray(8, NewArray(Null{}))
	b.SetDictionary(9, NewDictionary())
	check("set", b)
	if !Equal(a, b) {
		t.Error("both ways must give the same array")
	}
	for i, o := range a.All() {
		b.Set(i, o)
	}
	check("set as objects", b)
}

func TestArrayGettersGiveDefaults(t *testing.T) {
	a := NewArray(Null{})
	var none *Array
	for why, a := range map[string]*Array{"another type": a, "no array (R30)": none} {
		if a.GetBool(0) || a.GetInt64(0) != 0 || a.GetUint64(0) != 0 || !math.IsNaN(a.GetDouble(0)) || a.GetDate(0) != 0 ||
			a.GetData(0) != nil || a.GetString(0) != "" || a.GetUUID(0) != (UUID{}) || a.DupFD(0) != -1 ||
			a.GetArray(0) != nil || a.GetDictionary(0) != nil || a.CreateConnection(0) != nil {
			t.Errorf("%s: a getter gave something else than its default (R37)", why)
		}
	}
	if none.Count() != 0 || none.Get(7) != nil {
		t.Error("a nil array is empty")
	}
	for range none.All() {
		t.Error("a nil array has nothing to iterate over")
	}
}

func TestMisuseOfAnArray(t *testing.T) {
	var none *Array
	a := NewArray(Int64(1))
	mustPanic(t, "an index beyond the end", "array index 1 out of range, count is 1", func() { a.GetInt64(1) })
	mustPanic(t, "an index below zero", "out of range", func() { a.Get(-1) })
	mustPanic(t, "a setter never grows (R29)", "out of range", func() { a.SetInt64(1, 1) })
	mustPanic(t, "an array holds no nil (R29)", "cannot hold nil", func() { a.Append(nil) })
	mustPanic(t, "nor nothing of a type", "cannot hold nil", func() { a.SetDictionary(0, nil) })
	mustPanic(t, "a string is a C string", "contains NUL", func() { a.AppendString("\x00") })
	mustPanic(t, "nothing to append to", "nil array", func() { none.AppendInt64(1) })
	mustPanic(t, "nothing to set in", "nil array", func() { none.SetInt64(0, 1) })
	mustPanic(t, "a change meanwhile (R31)", "Array mutated during iteration", func() {
		for range a.All() {
			a.AppendInt64(2)
		}
	})
}

func TestArrayIterationIsInOrderAndStops(t *testing.T) {
	a, sum := NewArray(Int64(1), Int64(2), Int64(3)), 0
	for i, o := range a.All() {
		if o != Object(Int64(i+1)) {
			t.Errorf("at %d stands %v", i, o)
		}
		if sum++; i == 1 {
			break
		}
	}
	if sum != 2 {
		t.Errorf("visited %d values, want 2", sum)
	}
}

func TestArrayOfDescriptors(t *testing.T) {
	f := openFile(t)
	a := NewArray(Null{})
	a.AppendFD(int(f.Fd()))
	a.SetFD(0, int(f.Fd()))
	for i := range 2 {
		n := a.DupFD(i)
		if n < 0 {
			t.Errorf("no descriptor at %d", i)
		}
		unix.Close(n)
		a.Get(i).(*FD).Close()
	}
	a.SetFD(0, invalidFD)
	a.AppendFD(invalidFD)
	if a.Get(0) != Object(Null{}) || a.Get(2) != Object(Null{}) {
		t.Error("what cannot be duplicated becomes null: an array has no gaps")
	}
}
