package wire_test

import (
	"errors"
	"fmt"

	"github.com/openxpc/openxpc/xpc/wire"
)

func Example() {
	b := wire.AppendMapHeader(nil, 2)
	b = wire.AppendString(wire.AppendString(b, "greeting"), "hello")
	b = wire.AppendInt64(wire.AppendString(b, "n"), -5)
	fmt.Printf("%x\n", b)
	// Output: 82a86772656574696e67a568656c6c6fa16efb
}

func ExampleCursor() {
	b := wire.AppendMapHeader(nil, 2)
	b = wire.AppendString(wire.AppendString(b, "greeting"), "hello")
	b = wire.AppendInt64(wire.AppendString(b, "n"), -5)

	c := wire.NewCursor(b, 0, wire.Limits{})
	root, err := c.Next()
	if err != nil || root.Kind != wire.KindMap {
		return
	}
	for range root.Num {
		key, err := c.Key()
		if err != nil {
			return
		}
		v, err := c.Next()
		if err != nil {
			return
		}
		fmt.Printf("%s is of type %s\n", key, v.Kind)
	}
	c.Leave()
	fmt.Println(c.Done())
	// Output:
	// greeting is of type string
	// n is of type int64
	// <nil>
}

func ExampleToken() {
	c := wire.NewCursor(wire.AppendDouble(nil, 1.5), 0, wire.Limits{})
	v, err := c.Next()
	fmt.Println(v.Kind, v.Double(), err)
	// Output: double 1.5 <nil>
}

func ExampleKind() {
	fmt.Println(wire.KindUint64, wire.KindMap)
	// Output: uint64 dictionary
}

func ExampleLimits() {
	b := wire.AppendArrayHeader(wire.AppendString(wire.AppendMapHeader(nil, 1), "list"), 0)
	fmt.Println(wire.Scan(b, 0, wire.Limits{Depth: 1}))
	// Output: wire: malformed message at byte 6: containers nested more than 1 deep, the limit MaxDepth
}

func ExampleError() {
	err := wire.Scan([]byte{0xdd, 0xff, 0xff, 0xff, 0xff}, 0, wire.Limits{})
	var malformed *wire.Error
	if errors.As(err, &malformed) {
		fmt.Println("byte", malformed.Offset)
	}
	// Output: byte 0
}

func ExampleScan() {
	b := wire.AppendFD(wire.AppendString(wire.AppendMapHeader(nil, 1), "file"), 0)
	fmt.Println(wire.Scan(b, 1, wire.Limits{}))
	fmt.Println(wire.Scan(b, 0, wire.Limits{}))
	// Output:
	// <nil>
	// wire: malformed message at byte 6: fd names descriptor 0, but 0 came along
}
