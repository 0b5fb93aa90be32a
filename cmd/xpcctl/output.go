package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/openxpc/openxpc/cmd/xpcctl/internal/value"
	"github.com/openxpc/openxpc/xpc"
)

// printJSON writes one line of JSON.
func (t *tool) printJSON(o xpc.Object) error {
	_, err := t.out.Write(append(value.AppendJSON(nil, o), '\n'))
	return err
}

// versioned starts a JSON answer whose layout is xpcctl's own.
func versioned() *xpc.Dictionary {
	d := xpc.NewDictionary()
	d.SetInt64("version", value.Version)
	return d
}

// printMessage writes a message of a service, types kept.
func (t *tool) printMessage(d *xpc.Dictionary) error {
	if t.json {
		return t.printJSON(d)
	}
	_, err := t.out.Write(value.AppendText(nil, d))
	return err
}

// printBlock writes a dictionary as launchctl print does: name = { key = value }.
func (t *tool) printBlock(name string, d *xpc.Dictionary) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s = {\n", plain(name))
	block(&b, d, "\t")
	b.WriteString("}\n")
	_, err := t.out.Write(b.Bytes())
	return err
}

func block(b *bytes.Buffer, d *xpc.Dictionary, indent string) {
	for key, o := range d.All() {
		switch o := o.(type) {
		case *xpc.Dictionary:
			fmt.Fprintf(b, "%s%s = {\n", indent, blockKey(key))
			block(b, o, indent+"\t")
			fmt.Fprintf(b, "%s}\n", indent)
		case *xpc.Array:
			fmt.Fprintf(b, "%s%s = {\n", indent, blockKey(key))
			for _, o := range o.All() {
				fmt.Fprintf(b, "%s\t%s\n", indent, blockValue(o))
			}
			fmt.Fprintf(b, "%s}\n", indent)
		default:
			fmt.Fprintf(b, "%s%s = %s\n", indent, blockKey(key), blockValue(o))
		}
	}
}

// blockKey quotes names of services, as launchctl does, and leaves its own words bare.
func blockKey(key string) string {
	if strings.ContainsFunc(key, func(r rune) bool { return !unicode.IsLower(r) && r != ' ' && r != '-' }) {
		return strconv.Quote(key)
	}
	return key
}

func blockValue(o xpc.Object) string {
	switch o := o.(type) {
	case xpc.String:
		return plain(string(o))
	case xpc.Int64:
		return strconv.FormatInt(int64(o), 10)
	case xpc.Bool:
		return strconv.FormatBool(bool(o))
	case xpc.Date:
		return time.Unix(0, int64(o)).Format(time.RFC3339)
	}
	return string(value.AppendJSON(nil, o))
}

// plain quotes text only where it could disturb a terminal or pass for another line.
func plain(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}

func quoted(s string) string { return strconv.Quote(s) }
