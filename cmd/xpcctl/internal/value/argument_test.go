package value

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/xpc"
)

func TestArgument(t *testing.T) {
	uuid := xpc.UUID{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef}
	for _, c := range []struct {
		arg, key string
		want     xpc.Object
	}{
		{"a=hello", "a", xpc.String("hello")},
		{"a=", "a", xpc.String("")},
		{"a=b=c", "a", xpc.String("b=c")},
		{"a=5", "a", xpc.Int64(5)},
		{"a=-5", "a", xpc.Int64(-5)},
		{"a=1.5", "a", xpc.Double(1.5)},
		{"a=1e3", "a", xpc.Double(1000)},
		{"a=true", "a", xpc.Bool(true)},
		{"a=false", "a", xpc.Bool(false)},
		// What only looks like a number stays what was typed.
		{"a=9223372036854775808", "a", xpc.String("9223372036854775808")},
		{"a=inf", "a", xpc.String("inf")},
		{"a=0x1p4", "a", xpc.String("0x1p4")},
		{"a=1_000", "a", xpc.String("1_000")},
		{"a=1.2.3", "a", xpc.String("1.2.3")},
		{"a=True", "a", xpc.String("True")},
		{"a:string=5", "a", xpc.String("5")},
		{"a:null=", "a", xpc.Null{}},
		{"a:bool=true", "a", xpc.Bool(true)},
		{"a:int64=-9223372036854775808", "a", xpc.Int64(math.MinInt64)},
		{"a:int64=0x10", "a", xpc.Int64(16)},
		{"a:uint64=18446744073709551615", "a", xpc.Uint64(math.MaxUint64)},
		{"a:double=5", "a", xpc.Double(5)},
		{"a:double=-inf", "a", xpc.Double(math.Inf(-1))},
		{"a:date=1970-01-01T00:00:01.5Z", "a", xpc.Date(1500000000)},
		{"a:data=AAEC", "a", xpc.NewData([]byte{0, 1, 2})},
		{"a:uuid=01234567-89ab-cdef-0123-456789ABCDEF", "a", uuid},
		// Only the last colon before the = is the type's.
		{"a:b:string=x", "a:b", xpc.String("x")},
		{"$a=x", "$a", xpc.String("x")},
	} {
		key, got, err := Argument(c.arg)
		if err != nil {
			t.Errorf("%s: %v", c.arg, err)
			continue
		}
		if key != c.key || got.Type() != c.want.Type() || !xpc.Equal(got, c.want) {
			t.Errorf("%s = %q %s, want %q %s", c.arg, key, xpc.Description(got), c.key, xpc.Description(c.want))
		}
	}
}

func TestContainerArguments(t *testing.T) {
	_, got, err := Argument(`a:array=[1, "x", {"$uint64": 2}]`)
	if err != nil {
		t.Fatal(err)
	}
	want := xpc.NewArray()
	want.Append(xpc.Int64(1))
	want.Append(xpc.String("x"))
	want.Append(xpc.Uint64(2))
	if !xpc.Equal(got, want) {
		t.Errorf("array = %s, want %s", xpc.Description(got), xpc.Description(want))
	}
	_, got, err = Argument(`a:dictionary={"n": {"$int64": 7}}`)
	if err != nil {
		t.Fatal(err)
	}
	inner := xpc.NewDictionary()
	inner.Set("n", xpc.Int64(7))
	if !xpc.Equal(got, inner) {
		t.Errorf("dictionary = %s, want %s", xpc.Description(got), xpc.Description(inner))
	}
}

func TestBadArgumentsNameTheArgument(t *testing.T) {
	for _, c := range []struct{ arg, want string }{
		{"n:int64=abc", `argument 3 "n:int64=abc": not an int64`},
		{"n:int64=9223372036854775808", `argument 3 "n:int64=9223372036854775808": not an int64: it lies outside -9223372036854775808 to 9223372036854775807`},
		{"n:uint64=-1", `argument 3 "n:uint64=-1": not a uint64`},
		{"n:double=x", "not a double"},
		{"n:bool=1", "not a bool: write true or false"},
		{"n:null=x", "not null"},
		{"n:date=yesterday", "not a date"},
		{"n:date=3000-01-01T00:00:00Z", "not a date that XPC can hold: it lies outside 1677 to 2262"},
		{"n:data=***", "not base64"},
		{"n:uuid=12", "not a uuid"},
		{"n:array={}", "not JSON of type array"},
		{"n:array=[1", "it ends too early"},
		{"n:dictionary=[]", "not JSON of type dictionary"},
		{"n:float=1", `unknown type "float"; the types are null bool int64`},
		{"n:=1", "no type between : and ="},
		{"=1", "no key before the value"},
		{"n", "no value: write key=value or key:type=value"},
		{"n\x00=1", "NUL"},
		{`{"a":1`, "it ends too early"},
		{"x=again", `key "x" is given twice`},
	} {
		_, err := Dictionary([]string{"x=1", c.arg}, 2)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: error %v, want one with %q", c.arg, err, c.want)
			continue
		}
		if !errors.Is(err, ErrArgument) || !strings.HasPrefix(err.Error(), "argument 3 ") {
			t.Errorf("%q: %v; want ErrArgument and the argument's number", c.arg, err)
		}
	}
}

func TestDictionaryKeepsOrder(t *testing.T) {
	d, err := Dictionary([]string{"z=1", `{"y":2,"x":{"$uint64":3}}`, "a:data="}, 2)
	if err != nil {
		t.Fatal(err)
	}
	got := string(AppendJSON(nil, d))
	if want := `{"z":1,"y":2,"x":{"$uint64":3},"a":{"$data":""}}`; got != want {
		t.Errorf("dictionary = %s, want %s: keys in the order given", got, want)
	}
}

func TestFilesInArguments(t *testing.T) {
	path := filepath.Join(t.TempDir(), "blob")
	if err := os.WriteFile(path, []byte("first line\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, got, err := Argument("a:data=@" + path)
	if err != nil || !xpc.Equal(got, xpc.NewData([]byte("first line\n"))) {
		t.Errorf("data=@file = %v, %v; want the file's content", got, err)
	}
	for _, arg := range []string{"a:fd=" + path, "a:fd=@" + path} {
		_, o, err := Argument(arg)
		if err != nil {
			t.Fatal(err)
		}
		fd := o.(*xpc.FD)
		f, err := fd.File()
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 5)
		if _, err := f.Read(b); err != nil || string(b) != "first" {
			t.Errorf("%s: read %q, %v; want the file's beginning", arg, b, err)
		}
		if got, want := string(AppendJSON(nil, fd)), `{"$fd":"`+path+`"}`; got != want {
			t.Errorf("JSON of %s = %s, want %s", arg, got, want)
		}
		f.Close()
		fd.Close()
	}
	// A missing file is no mistake in writing the argument: another exit code.
	for _, arg := range []string{"a:data=@/nonexistent", "a:fd=/nonexistent"} {
		_, err := Dictionary([]string{arg}, 2)
		if !errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrArgument) {
			t.Errorf("%s: %v; want the system's error", arg, err)
		}
	}
}

// A file without an end must not fill the memory.
func TestDataOfAFileIsBounded(t *testing.T) {
	_, _, err := Argument("d:data=@/dev/zero")
	if err == nil || !strings.Contains(err.Error(), "/dev/zero has more than 67108864 bytes") {
		t.Errorf("error %v, want one that names the file and the limit", err)
	}
}

// A FIFO that nobody writes to yet is a file like any other, and stays blocking
// for whoever gets it.
func TestFDOfAFIFO(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	_, o, err := Argument("f:fd=" + path)
	if err != nil {
		t.Fatal(err)
	}
	box := o.(*xpc.FD)
	defer box.Close()
	fd := box.Dup()
	defer unix.Close(fd)
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK != 0 {
		t.Errorf("flags %#x, %v: want it blocking", flags, err)
	}
}
