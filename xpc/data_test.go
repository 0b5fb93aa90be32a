package xpc

import (
	"io"
	"math"
	"testing"
	"testing/iotest"
)

func TestNewDataCopies(t *testing.T) {
	b := []byte("abc")
	d := NewData(b)
	b[0] = 'x'
	if string(d.Bytes()) != "abc" {
		t.Error("data must not change with the slice it was made from (R20)")
	}
}

func TestEmptyDataIsNotAbsent(t *testing.T) {
	if b := NewData(nil).Bytes(); b == nil || len(b) != 0 {
		t.Errorf("empty data has empty bytes, got %v", b)
	}
	d := NewDictionary()
	d.SetData("k", nil)
	if d.GetData("k") == nil || d.Count() != 1 {
		t.Error("SetData(nil) stores empty data (R20)")
	}
}

func TestCopyBytes(t *testing.T) {
	d := NewData([]byte("hello"))
	for _, c := range []struct {
		why       string
		off, room int
		want      string
	}{
		{"all", 0, 5, "hello"},
		{"as much as fits", 1, 2, "el"},
		{"as much as there is", 3, 9, "lo"},
		{"at the end nothing (R23)", 5, 9, ""},
		{"beyond the end nothing", 6, 9, ""},
		{"before the start nothing", -1, 9, ""},
	} {
		dst := make([]byte, c.room)
		if n := d.CopyBytes(c.off, dst); string(dst[:n]) != c.want {
			t.Errorf("%s: got %q, want %q", c.why, dst[:n], c.want)
		}
	}
}

func TestDataIsAReaderAt(t *testing.T) {
	var none *Data
	for text, d := range map[string]*Data{"hello": NewData([]byte("hello")), "": none} {
		if err := iotest.TestReader(io.NewSectionReader(d, 0, int64(d.Len())), []byte(text)); err != nil {
			t.Error(err)
		}
		if n, err := d.ReadAt(make([]byte, 9), math.MaxInt64); n != 0 || err != io.EOF {
			t.Errorf("beyond the end: %d, %v", n, err)
		}
		if n, err := d.ReadAt(make([]byte, 1), -1); n != 0 || err == nil || err == io.EOF {
			t.Errorf("before the start: %d, %v", n, err)
		}
	}
}

func TestNilDataHasNothing(t *testing.T) {
	var d *Data
	if d.Len() != 0 || d.Bytes() != nil || d.CopyBytes(0, make([]byte, 1)) != 0 {
		t.Error("a nil *Data has no bytes")
	}
}

func TestBytesHaveNoRoomToAppend(t *testing.T) {
	if b := NewData([]byte("abc")).Bytes(); cap(b) != len(b) {
		t.Error("append to the slice would write into memory that is not its own")
	}
}
