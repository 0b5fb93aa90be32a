package value

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/openxpc/openxpc/xpc"
)

func dictionary(key string, o xpc.Object) *xpc.Dictionary {
	d := xpc.NewDictionary()
	d.Set(key, o)
	return d
}

// One case per type: what is written is a contract with scripts.
func TestJSON(t *testing.T) {
	two := dictionary("$a", xpc.Int64(1))
	two.Set("b", xpc.Int64(2))
	escaped := dictionary("$dictionary", xpc.Int64(1))
	escaped.Set("b", xpc.Int64(2))
	list := xpc.NewArray()
	list.Append(xpc.Bool(true))
	list.Append(xpc.NewDictionary())
	for _, c := range []struct {
		o    xpc.Object
		want string
	}{
		{xpc.Null{}, `null`},
		{xpc.Bool(false), `false`},
		{xpc.Int64(math.MaxInt64), `9223372036854775807`},
		{xpc.Uint64(5), `{"$uint64":5}`},
		{xpc.Double(5), `5.0`},
		{xpc.Double(1e300), `1e+300`},
		{xpc.Double(math.Inf(1)), `{"$double":"+Inf"}`},
		{xpc.Double(math.Copysign(0, -1)), `-0.0`},
		{xpc.String(`<a & "b">`), `"<a & \"b\">"`},
		{xpc.String("\xff"), `{"$string":"/w=="}`},
		{xpc.Date(1500000000), `{"$date":"1970-01-01T00:00:01.5Z"}`},
		{xpc.Date(math.MinInt64), `{"$date":"1677-09-21T00:12:43.145224192Z"}`},
		{xpc.NewData([]byte{0, 1, 2}), `{"$data":"AAEC"}`},
		{xpc.UUID{0xff, 15: 1}, `{"$uuid":"ff000000-0000-0000-0000-000000000001"}`},
		{list, `[true,{}]`},
		{two, `{"$a":1,"b":2}`},
		// These three would be read as something else if they were not escaped.
		{dictionary("$uint64", xpc.Int64(1)), `{"$dictionary":{"$uint64":1}}`},
		{dictionary("$dictionary", xpc.NewDictionary()), `{"$dictionary":{"$dictionary":{}}}`},
		{escaped, `{"$dictionary":{"$dictionary":1,"b":2}}`},
	} {
		got := string(AppendJSON(nil, c.o))
		if got != c.want {
			t.Errorf("JSON of %s = %s, want %s", xpc.Description(c.o), got, c.want)
		}
		back, err := FromJSON([]byte(got))
		if err != nil || back.Type() != c.o.Type() || !xpc.Equal(back, c.o) {
			t.Errorf("%s read back = %v, %v; want an equal %s", got, back, err, c.o.Type())
		}
	}
	if got := string(AppendJSON(nil, xpc.Double(math.NaN()))); got != `{"$double":"NaN"}` {
		t.Errorf("NaN = %s", got)
	}
	if got, want := string(AppendJSON(nil, xpc.ErrConnectionInterrupted)), `{"$error":"Connection interrupted"}`; got != want {
		t.Errorf("error = %s, want %s", got, want)
	}
}

func TestBadJSON(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{``, "ends too early"},
		{`{`, "ends too early"},
		{`[1,`, "ends too early"},
		{`nul`, "not JSON"},
		{`1 2`, "something follows"},
		{`{} x`, "something follows"},
		{`{"a":1,"a":2}`, `key "a" is given twice`},
		{`{"$a":1,"$a":2}`, `key "$a" is given twice`},
		{`9223372036854775808`, `{"$uint64":9223372036854775808}`},
		{`{"$uint64":-1}`, "not a uint64"},
		{`{"$uint64":[]}`, "$uint64 wants a string or a number"},
		{`{"$nope":1}`, `{"$dictionary":{"$nope":...}}`},
		{`{"$data":"*"}`, "$data is not base64"},
		{`{"$string":"*"}`, "$string is not base64"},
		{`{"$string":"AA=="}`, "NUL"},
		{`{"$dictionary":1}`, "$dictionary wants an object"},
		{`{"$dictionary":{},"a":1}`, "the only key"},
		{`"a\u0000"`, "NUL"},
		{`{"a\u0000":1}`, "NUL"},
		{"\"\xff\"", "not UTF-8"},
		{strings.Repeat("[", 65) + strings.Repeat("]", 65), "deeper than 64"},
	} {
		_, err := FromJSON([]byte(c.in))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.40q: error %v, want one with %q", c.in, err, c.want)
		}
	}
	if _, err := FromJSON([]byte(strings.Repeat("[", 64) + strings.Repeat("]", 64))); err != nil {
		t.Errorf("64 nested arrays: %v, want them read: a message can hold them", err)
	}
}

// FuzzJSON holds the promise of the package: what is read can be written, is
// JSON for everybody else too, and reads back as an equal object.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{
		`null`, `[1,1.5,-0.0,"x",true]`, `{"a":{"$uint64":"18446744073709551615"}}`, `{"$double":"NaN"}`,
		`{"$date":"2006-01-02T15:04:05.999999999+07:00"}`, `{"$data":"AAEC"}`, `{"$dictionary":{"$dictionary":{}}}`,
		`{"$uuid":"01234567-89ab-cdef-0123-456789abcdef"}`, `{"$string":"/w=="}`, `{"$a":1,"b":2}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if strings.Contains(string(in), "fd") {
			return // would open files that the fuzzer names
		}
		o, err := FromJSON(in)
		if err != nil {
			return
		}
		out := AppendJSON(nil, o)
		if !json.Valid(out) {
			t.Fatalf("%q was read and written as %q, which is not JSON", in, out)
		}
		back, err := FromJSON(out)
		if err != nil {
			t.Fatalf("%q was written as %q, which cannot be read: %v", in, out, err)
		}
		if again := string(AppendJSON(nil, back)); again != string(out) {
			t.Fatalf("%q: written as %q, read back and written as %q", in, out, again)
		}
	})
}

// FuzzArgument: any argument is read or refused, and the key is what stood there.
func FuzzArgument(f *testing.F) {
	for _, s := range []string{"a=1", "a:uint64=2", "a:b:string=x", `{"a":1}`, "a:data=AAEC", "=", ":=", "a:array=[]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, arg string) {
		if strings.Contains(arg, "@") || strings.Contains(arg, "fd") {
			return // would open files that the fuzzer names
		}
		key, o, err := Argument(arg)
		if err == nil && (o == nil || key == "" || !strings.HasPrefix(arg, key)) {
			t.Fatalf("%q gave key %q, value %v", arg, key, o)
		}
	})
}
