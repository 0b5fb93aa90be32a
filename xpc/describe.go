package xpc

import (
	"fmt"
	"strconv"
	"strings"
)

// describedBytes is how much of data a description shows.
const describedBytes = 32

// Description is o in one line for people to read (xpc_copy_description):
//
//	{ "greeting" => <string: "hello">, "n" => <int64: 5>, "list" => [ <null>, <bool: true> ] }
//
// Keys stand in their order, data as its length and first 32 bytes in
// hexadecimal, a nil Object as <nil>. The form is stable within a version and
// meant for logs and debugging, not for programs to parse (R13).
func Description(o Object) string {
	var b strings.Builder
	v := valueOf(o)
	v.describe(&b)
	return b.String()
}

func (v *value) describe(b *strings.Builder) {
	switch v.kind {
	case TypeArray:
		v.obj.(*Array).describe(b)
	case TypeDictionary:
		v.obj.(*Dictionary).describe(b)
	case 0:
		b.WriteString("<nil>")
	default:
		b.WriteString("<" + v.kind.String())
		if s := v.plain(); s != "" {
			b.WriteString(": " + s)
		}
		b.WriteByte('>')
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
		return strconv.Quote(v.str)
	case TypeUUID:
		return v.uuid().String()
	case TypeData:
		return describeData(v.str)
	case TypeFD:
		return v.obj.(*FD).describe()
	case TypeError:
		return strconv.Quote(v.obj.(*Error).text)
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

func (f *FD) describe() string {
	if f.d == nil || f.closed.Load() {
		return "closed"
	}
	return strconv.Itoa(f.d.FD())
}

func (a *Array) describe(b *strings.Builder) {
	b.WriteByte('[')
	for i := range a.values {
		b.WriteString(separator(i))
		a.values[i].describe(b)
	}
	b.WriteString(closing(len(a.values), "]"))
}

func (d *Dictionary) describe(b *strings.Builder) {
	b.WriteByte('{')
	for i := range d.entries {
		b.WriteString(separator(i))
		b.WriteString(strconv.Quote(d.entries[i].key))
		b.WriteString(" => ")
		d.entries[i].describe(b)
	}
	b.WriteString(closing(len(d.entries), "}"))
}

func separator(i int) string {
	if i == 0 {
		return " "
	}
	return ", "
}

func closing(n int, bracket string) string {
	if n == 0 {
		return bracket
	}
	return " " + bracket
}
