package value

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"unicode"

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
// Strings and unusual keys are quoted as Go quotes them. A nil or empty
// dictionary gives nothing.
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

func appendValue(b []byte, o xpc.Object, indent int) []byte {
	b = append(b, o.Type().String()...)
	switch o := o.(type) {
	case *xpc.Dictionary:
		b = appendEntries(append(b, " {\n"...), o, indent+1)
		b = append(appendTabs(b, indent), '}')
	case *xpc.Array:
		b = appendElements(append(b, " {\n"...), o, indent+1)
		b = append(appendTabs(b, indent), '}')
	default:
		if text := scalar(o); text != "" {
			b = append(append(b, ' '), text...)
		}
	}
	return append(b, '\n')
}

// scalar is the text behind the name of the type.
func scalar(o xpc.Object) string {
	switch o := o.(type) {
	case xpc.Null:
		return ""
	case xpc.Bool:
		return strconv.FormatBool(bool(o))
	case xpc.Int64:
		return strconv.FormatInt(int64(o), 10)
	case xpc.Uint64:
		return strconv.FormatUint(uint64(o), 10)
	case xpc.Double:
		return strconv.FormatFloat(float64(o), 'g', -1, 64)
	case xpc.String:
		return strconv.Quote(string(o))
	case *xpc.Data:
		_, text := special(o)
		return fmt.Sprintf("%d bytes %s", len(o.Bytes()), text)
	case *xpc.Error:
		return strconv.Quote(o.GetString(xpc.ErrorKeyDescription))
	case xpc.Date, xpc.UUID, *xpc.FD:
		_, text := special(o)
		return text
	}
	return xpc.Description(o)
}

func appendTabs(b []byte, n int) []byte {
	for range n {
		b = append(b, '\t')
	}
	return b
}

// textKey leaves ordinary keys bare, and quotes what would be hard to read or
// could pass for another line.
func textKey(key string) string {
	odd := func(r rune) bool {
		return r == '=' || r == '"' || r == '\\' || unicode.IsSpace(r) || !unicode.IsPrint(r)
	}
	if key == "" || strings.ContainsFunc(key, odd) {
		return strconv.Quote(key)
	}
	return key
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
