package value

import (
	"os"
	"strconv"
	"strings"

	"github.com/openxpc/openxpc/xpc"
)

// AppendText appends a dictionary in the readable form, an entry a line:
//
//	greeting = string "hello"
//	n = int64 -5
//	list = array {
//		bool true
//	}
//
// It is xpc.Description with an entry a line, and without the outermost braces.
// A nil or empty dictionary gives nothing.
func AppendText(b []byte, d *xpc.Dictionary) []byte { return appendEntries(b, d, 0) }

func appendEntries(b []byte, d *xpc.Dictionary, indent int) []byte {
	for key, o := range d.All() {
		b = append(appendTabs(b, indent), textKey(key)+" = "...)
		b = appendValue(b, o, indent)
	}
	return b
}

func appendElements(b []byte, a *xpc.Array, indent int) []byte {
	for _, o := range a.All() {
		b = appendValue(appendTabs(b, indent), o, indent)
	}
	return b
}

// appendValue takes the texts of all but containers from package xpc, so that
// tools and programs say the same.
func appendValue(b []byte, o xpc.Object, indent int) []byte {
	switch o := o.(type) {
	case *xpc.Dictionary:
		b = append(b, "dictionary {"...)
		b = appendBody(b, o.Count(), indent, func(b []byte) []byte { return appendEntries(b, o, indent+1) })
	case *xpc.Array:
		b = append(b, "array {"...)
		b = appendBody(b, o.Count(), indent, func(b []byte) []byte { return appendElements(b, o, indent+1) })
	default:
		b = append(b, xpc.Description(o)...)
	}
	return append(b, '\n')
}

// appendBody writes what stands between the braces, and the closing one.
func appendBody(b []byte, count, indent int, inside func([]byte) []byte) []byte {
	if count > 0 {
		b = appendTabs(inside(append(b, '\n')), indent)
	}
	return append(b, '}')
}

func appendTabs(b []byte, n int) []byte {
	for range n {
		b = append(b, '\t')
	}
	return b
}

// textKey is the key as package xpc describes it: bare, or quoted if unusual.
func textKey(key string) string {
	d := xpc.NewDictionary()
	d.Set(key, xpc.Null{})
	text := strings.TrimPrefix(xpc.Description(d), "dictionary { ")
	return strings.TrimSuffix(text, " = null }")
}

// descriptorPath is the path that the system knows for a descriptor, or "" on
// systems that do not tell (they have no /proc).
func descriptorPath(f *xpc.FD) string {
	fd, err := f.File()
	if err != nil {
		return ""
	}
	defer fd.Close()
	path, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(int(fd.Fd())))
	if err != nil {
		return ""
	}
	return path
}
