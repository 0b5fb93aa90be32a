package xpc

import (
	"testing"
	"time"
)

func TestScalarsCompareWithEquals(t *testing.T) {
	d := NewDictionary()
	d.SetBool("b", true)
	d.SetUUID("u", UUID{1})
	d.Set("n", Null{})
	if d.Get("b") != Object(Bool(true)) || d.Get("u") != Object(UUID{1}) || d.Get("n") != Object(Null{}) {
		t.Error("scalars are compared with == also after they were in a container (R18)")
	}
}

func TestDateIsNanosecondsBeforeAndAfter1970(t *testing.T) {
	at := time.Date(1969, 12, 31, 23, 59, 59, 999_999_999, time.UTC)
	if d := NewDate(at); d != -1 || !d.Time().Equal(at) {
		t.Errorf("a nanosecond before 1970 is %d and %v, want -1 (R19)", int64(d), d.Time())
	}
}

func TestUUIDText(t *testing.T) {
	u := UUID{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x10}
	if got, want := u.String(), "01234567-89AB-CDEF-1000-000000000000"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
