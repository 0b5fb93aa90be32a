package value

import (
	"math"
	"regexp"
	"strings"
	"testing"

	"github.com/openxpc/openxpc/xpc"
)

func TestText(t *testing.T) {
	inner := dictionary("with space", xpc.Uint64(math.MaxUint64))
	inner.Set("", xpc.Null{})
	list := xpc.NewArray()
	list.Append(xpc.Int64(-1))
	list.Append(inner)
	d := dictionary("greeting", xpc.String("a\nb = string \"c\""))
	d.Set("ok", xpc.Bool(true))
	d.Set("com.example/x", xpc.Double(0.5))
	d.Set("when", xpc.Date(0))
	d.Set("id", xpc.UUID{})
	d.Set("blob", xpc.NewData([]byte{0, 1, 2}))
	d.Set("list", list)
	want := `greeting = string "a\nb = string \"c\""
ok = bool true
com.example/x = double 0.5
when = date 1970-01-01T00:00:00Z
id = uuid 00000000-0000-0000-0000-000000000000
blob = data 3 bytes 000102
list = array {
	int64 -1
	dictionary {
		"with space" = uint64 18446744073709551615
		"" = null
	}
}
`
	if got := string(AppendText(nil, d)); got != want {
		t.Errorf("text:\n%s\nwant:\n%s", got, want)
	}
	if got := AppendText(nil, xpc.NewDictionary()); len(got) != 0 {
		t.Errorf("text of an empty dictionary = %q, want nothing", got)
	}
}

// What a peer sends must not be able to move the terminal's cursor or to pass
// for a line of the tool's own.
func TestTextIsHarmless(t *testing.T) {
	d := dictionary("a\nb = bool true", xpc.String("\x1b[2J\u202e"))
	want := `"a\nb = bool true" = string "\x1b[2J\u202e"` + "\n"
	if got := string(AppendText(nil, d)); got != want {
		t.Errorf("text = %q, want %q", got, want)
	}
}

// What the tool shows is what a program's log says, but for the line breaks.
func TestTextIsTheDescription(t *testing.T) {
	list := xpc.NewArray(xpc.Null{}, xpc.NewArray(), xpc.NewDictionary(), xpc.NewData(make([]byte, 40)))
	d := dictionary("greeting", xpc.String("a\n\xff"))
	for key, o := range map[string]xpc.Object{
		"double": xpc.Double(5), "d ate": xpc.Date(1), "": xpc.UUID{1}, "{": xpc.Uint64(5),
		"error": xpc.ErrConnectionInvalid, "list": list, "inner": dictionary("=", xpc.Bool(true)),
	} {
		d.Set(key, o)
	}
	text := "dictionary {\n" + string(AppendText(nil, d)) + "}"
	text = regexp.MustCompile(`\{\n\t*`).ReplaceAllString(text, "{ ")
	text = regexp.MustCompile(`\n\t*\}`).ReplaceAllString(text, " }")
	text = regexp.MustCompile(`\n\t*`).ReplaceAllString(strings.TrimSuffix(text, "\n"), ", ")
	if want := xpc.Description(d); text != want {
		t.Errorf("text on one line:\n%s\nDescription:\n%s", text, want)
	}
}
