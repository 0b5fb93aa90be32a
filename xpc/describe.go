package xpc

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/sys/unix"
)

// describedBytes is how much of data a description shows.
const describedBytes = 32

// Description is o in one line for people to read (xpc_copy_description), always
// with the type in front of the value:
//
//	dictionary { greeting = string "hello", n = int64 5, list = array { null, bool true } }
//
// Keys stand in their order, and are quoted if they are unusual; strings are
// quoted as Go quotes them, so a description never has a line break or a control
// character. Data is shown as its length and first 32 bytes in hexadecimal, a
// descriptor as its number and the path that the system tells for it, a nil
// Object as <nil>. Tools write the same with an entry a line. The form is for
// logs and debugging, not for programs to parse (R13).
func Description(o Object) string {
	var b strings.Builder
	v := valueOf(o)
	v.describe(&b)
	return b.String()
}

func (v *value) describe(b *strings.Builder) {
	if v.kind == 0 {
		b.WriteString("<nil>")
		return
	}
	b.WriteString(v.kind.String())
	switch v.kind {
	case TypeArray:
		v.array().describe(b)
	case TypeDictionary:
		v.dictionary().describe(b)
	default:
		if s := v.plain(); s != "" {
			b.WriteString(" " + s)
		}
	}
}

// plain is what a description says of a value beside its type.
func (v *value) plain() string {
	switch v.kind {
	case TypeBool:
		return strconv.FormatBool(v.num != 0)
	case TypeInt64:
		return strconv.FormatInt(int64(v.num), 10)
	case TypeUint64:
		return strconv.FormatUint(v.num, 10)
	case TypeDouble:
		return strconv.FormatFloat(v.double(), 'g', -1, 64)
	case TypeDate:
		return Date(v.num).String()
	case TypeString:
		return strconv.Quote(v.text())
	case TypeUUID:
		return v.uuid().String()
	case TypeData:
		return describeData(v.plainData())
	case TypeSharedMemory:
		return strconv.Itoa((*SharedMemory)(v.ptr).size) + " bytes"
	case TypeFD:
		return (*FD)(v.ptr).describe()
	case TypeError:
		return strconv.Quote((*Error)(v.ptr).text)
	}
	return ""
}

func describeData(s string) string {
	more := ""
	if len(s) > describedBytes {
		more = "..."
	}
	return strings.TrimSpace(fmt.Sprintf("%d bytes %x%s", len(s), s[:min(len(s), describedBytes)], more))
}

// describe asks a duplicate for the path: the descriptor itself may be closed
// meanwhile, and its number belong to another file.
func (f *FD) describe() string {
	n, err := f.dup()
	if err != nil {
		return "closed"
	}
	defer unix.Close(n)
	number := strconv.Itoa(f.d.FD())
	path, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(n))
	if err != nil {
		return number // a system without such a folder
	}
	return number + " " + strconv.Quote(path)
}

func (a *Array) describe(b *strings.Builder) {
	b.WriteString(" {")
	for i := range a.values {
		b.WriteString(separator(i))
		a.values[i].describe(b)
	}
	b.WriteString(closing(len(a.values)))
}

func (d *Dictionary) describe(b *strings.Builder) {
	b.WriteString(" {")
	for i := range d.entries {
		b.WriteString(separator(i) + describeKey(d.entries[i].key()) + " = ")
		d.entries[i].describe(b)
	}
	b.WriteString(closing(len(d.entries)))
}

// describeKey leaves ordinary keys bare, and quotes what would be hard to read
// or could pass for something else.
func describeKey(key string) string {
	odd := func(r rune) bool {
		return strings.ContainsRune(`=,{}"\`, r) || r == unicode.ReplacementChar || unicode.IsSpace(r) || !unicode.IsPrint(r)
	}
	if key == "" || strings.ContainsFunc(key, odd) {
		return strconv.Quote(key)
	}
	return key
}

func separator(i int) string {
	if i == 0 {
		return " "
	}
	return ", "
}

func closing(n int) string {
	if n == 0 {
		return "}"
	}
	return " }"
}
