package xpc_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/openxpc/openxpc/xpc"
)

func ExampleDictionary() {
	d := xpc.NewDictionary()
	d.SetString("greeting", "hello")
	d.SetInt64("n", -5)
	d.SetString("greeting", "good day") // replaces

	fmt.Println(d.GetString("greeting"), d.GetInt64("n"))
	fmt.Println(d.GetUint64("n")) // an int64 is no uint64: the default
	for key, value := range d.All() {
		fmt.Println(key, value.Type())
	}
	// Output:
	// good day -5
	// 0
	// greeting string
	// n int64
}

func ExampleArray() {
	a := xpc.NewArray(xpc.String("one"), xpc.Int64(2))
	a.AppendBool(true)
	fmt.Println(a.Count(), a.GetInt64(1))
	fmt.Println(a)
	// Output:
	// 3 2
	// array { string "one", int64 2, bool true }
}

func ExampleObject() {
	for _, o := range []xpc.Object{xpc.Int64(5), xpc.Uint64(5), xpc.NewData([]byte("hi"))} {
		switch o := o.(type) {
		case xpc.Int64:
			fmt.Println("signed", int64(o))
		case *xpc.Data:
			fmt.Println("bytes", o.Len())
		default:
			fmt.Println("something of type", o.Type())
		}
	}
	// Output:
	// signed 5
	// something of type uint64
	// bytes 2
}

func ExampleType() {
	fmt.Println(xpc.TypeDictionary, xpc.Int64(5).Type() == xpc.TypeInt64)
	// Output: dictionary true
}

func ExampleNull() {
	d := xpc.NewDictionary()
	d.Set("k", xpc.Null{}) // a value
	fmt.Println(d.Count(), d.Get("k") == xpc.Null{})
	d.Set("k", nil) // none
	fmt.Println(d.Count())
	// Output:
	// 1 true
	// 0
}

func ExampleBool() {
	d := xpc.NewDictionary()
	d.Set("k", xpc.Bool(true))
	fmt.Println(d.GetBool("k"), d.Get("k") == xpc.Bool(true))
	// Output: true true
}

func ExampleInt64() {
	fmt.Println(xpc.Equal(xpc.Int64(1), xpc.Uint64(1)))
	// Output: false
}

func ExampleUint64() {
	d := xpc.NewDictionary()
	d.Set("k", xpc.Uint64(1<<63))
	fmt.Println(d.GetUint64("k"))
	// Output: 9223372036854775808
}

func ExampleDouble() {
	fmt.Println(xpc.Description(xpc.Double(1.5)), xpc.NewDictionary().GetDouble("absent"))
	// Output: double 1.5 NaN
}

func ExampleDate() {
	d := xpc.NewDictionary()
	d.Set("when", xpc.NewDate(time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)))
	fmt.Println(time.Unix(0, d.GetDate("when")).UTC().Year(), d)
	// Output: 2024 dictionary { when = date 2024-02-29T12:00:00Z }
}

func ExampleString() {
	a := xpc.NewArray(xpc.String("hello"))
	if s, ok := a.Get(0).(xpc.String); ok {
		fmt.Println(len(s), string(s))
	}
	// Output: 5 hello
}

func ExampleUUID() {
	d := xpc.NewDictionary()
	d.SetUUID("id", [16]byte{0x01, 0x23})
	fmt.Println(d.GetUUID("id"), d.GetUUID("absent") == xpc.UUID{})
	// Output: 01230000-0000-0000-0000-000000000000 true
}

func ExampleData() {
	d := xpc.NewData([]byte("hello"))
	tail := make([]byte, 10)
	n := d.CopyBytes(3, tail)
	fmt.Println(d.Len(), string(tail[:n]))
	// Output: 5 lo
}

// Data of any size is read through without being mapped or copied as a whole.
func ExampleData_ReadAt() {
	d := xpc.NewData(bytes.Repeat([]byte("line\n"), 100000))
	lines := bufio.NewScanner(io.NewSectionReader(d, 0, int64(d.Len())))
	n := 0
	for lines.Scan() {
		n++
	}
	fmt.Println(n, "lines")
	// Output: 100000 lines
}

func ExampleFD() {
	r, w, err := os.Pipe()
	if err != nil {
		return
	}
	defer r.Close()
	d := xpc.NewDictionary()
	d.SetFD("out", int(w.Fd())) // duplicated at once
	w.Close()

	box := d.Get("out").(*xpc.FD)
	f, err := box.File() // another duplicate, which is ours
	if err != nil {
		return
	}
	io.WriteString(f, "through the box")
	f.Close()
	box.Close()
	text, _ := io.ReadAll(r)
	fmt.Printf("%s\n", text)
	// Output: through the box
}

func ExampleError() {
	err := fmt.Errorf("cannot add: %w", xpc.ErrConnectionInterrupted)
	fmt.Println(errors.Is(err, xpc.ErrConnectionInterrupted))
	fmt.Println(xpc.ErrConnectionInvalid.GetString(xpc.ErrorKeyDescription))
	// Output:
	// true
	// Connection invalid
}

func ExampleLimits() {
	// The zero value of every field is its default: this allows messages of
	// 1 MiB and leaves the rest as it is.
	limits := xpc.Limits{MaxMessageSize: 1 << 20}
	fmt.Println(limits.MaxMessageSize)
	// Output: 1048576
}

func ExampleLimitError() {
	var err error = &xpc.LimitError{Limit: "MaxDepth", Max: 64}
	var limit *xpc.LimitError
	if errors.As(err, &limit) {
		fmt.Println(limit.Limit)
	}
	// Output: MaxDepth
}

func ExampleCopy() {
	d := xpc.NewDictionary()
	d.SetArray("list", xpc.NewArray(xpc.Int64(1)))
	c := xpc.Copy(d).(*xpc.Dictionary)
	c.GetArray("list").AppendInt64(2)
	fmt.Println(d, xpc.Equal(c, d))
	// Output: dictionary { list = array { int64 1 } } false
}

func ExampleSharedData() {
	s, err := xpc.NewSharedData(1 << 20) // zeros
	if err != nil {
		fmt.Println(err)
		return
	}
	copy(s.Bytes(), "built in place")
	d, err := s.Freeze() // from here on nobody can change it
	if err != nil {
		fmt.Println(err)
		return
	}
	m := xpc.NewDictionary()
	m.Set("image", d) // sending m copies nothing
	fmt.Println(d.Len(), string(m.GetData("image")[:14]))
	// Output: 1048576 built in place
}

func ExampleSharedMemory() {
	s, err := xpc.NewSharedMemory(4096)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	m := xpc.NewDictionary()
	m.Set("ring", s) // who receives m maps the same memory

	mine, _ := s.Map()
	theirs, _ := m.Get("ring").(*xpc.SharedMemory).Map()
	mine[0] = 7
	fmt.Println(theirs[0])
	// Output: 7
}
