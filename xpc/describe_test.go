package xpc

import (
	"math"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

func TestDescription(t *testing.T) {
	closed := box(t)
	closed.Close()
	for want, o := range map[string]Object{
		`<nil>`:                          nil,
		`null`:                           Null{},
		`bool true`:                      Bool(true),
		`int64 -5`:                       Int64(-5),
		`uint64 18446744073709551615`:    Uint64(math.MaxUint64),
		`double NaN`:                     Double(math.NaN()),
		`date 1970-01-01T00:00:00.5Z`:    Date(500_000_000),
		`string "a\nb"`:                  String("a\nb"),
		`string "\x1b[2J\xff"`:           String("\x1b[2J\xff"),
		`data 2 bytes 00ff`:              NewData([]byte{0, 0xff}),
		`data 0 bytes`:                   NewData(nil),
		`fd closed`:                      closed,
		`error "Connection invalid"`:     ErrConnectionInvalid,
		`connection`:                     &Connection{},
		`endpoint`:                       &Endpoint{},
		`array {}`:                       NewArray(),
		`dictionary {}`:                  NewDictionary(),
		`array { null, array { null } }`: NewArray(Null{}, NewArray(Null{})),
		`data 40 bytes ` + zeros:         NewData(make([]byte, 40)),
		`uuid 01000000-0000-` + uuidEnd:  UUID{1},
	} {
		if got := Description(o); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

const (
	zeros   = "0000000000000000000000000000000000000000000000000000000000000000..."
	uuidEnd = "0000-0000-000000000000"
)

// A number alone tells nobody which file it is, and a path is a peer's choice.
func TestDescriptionOfADescriptor(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "a\nb"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d, err := NewFD(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	want := `^fd [0-9]+ ".*/a\\nb"$`
	if _, err := os.Readlink("/proc/self/fd/0"); err != nil {
		want = `^fd [0-9]+$` // a system that does not tell paths
	}
	if got := Description(d); !regexp.MustCompile(want).MatchString(got) {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestDescriptionKeepsOrderAndQuotesKeys(t *testing.T) {
	d := NewDictionary()
	d.SetString("greeting", "hello")
	d.SetInt64(`a "b"`, 1)
	d.SetInt64("", 2)
	d.SetInt64("x, y = int64 1", 3)
	d.SetInt64("\xff", 4)
	d.SetArray("list", NewArray(Bool(false)))
	const want = `dictionary { greeting = string "hello", "a \"b\"" = int64 1, "" = int64 2, "x, y = int64 1" = int64 3, "\xff" = int64 4, list = array { bool false } }`
	if got := d.String(); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}
