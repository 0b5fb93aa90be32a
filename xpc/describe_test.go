package xpc

import (
	"math"
	"strings"
	"testing"
)

func TestDescription(t *testing.T) {
	fd := box(t)
	closed := box(t)
	closed.Close()
	open := Description(fd)
	if !strings.HasPrefix(open, "<fd: ") || open == "<fd: closed>" {
		t.Errorf("an open box is %s", open)
	}
	for want, o := range map[string]Object{
		`<nil>`:                           nil,
		`<null>`:                          Null{},
		`<bool: true>`:                    Bool(true),
		`<int64: -5>`:                     Int64(-5),
		`<uint64: 18446744073709551615>`:  Uint64(math.MaxUint64),
		`<double: NaN>`:                   Double(math.NaN()),
		`<date: 1970-01-01T00:00:00.5Z>`:  Date(500_000_000),
		`<string: "a\nb">`:                String("a\nb"),
		`<data: 2 bytes 00ff>`:            NewData([]byte{0, 0xff}),
		`<data: 0 bytes>`:                 NewData(nil),
		`<fd: closed>`:                    closed,
		`<error: "Connection invalid">`:   ErrConnectionInvalid,
		`<connection>`:                    &Connection{},
		`<endpoint>`:                      &Endpoint{},
		`[]`:                              NewArray(),
		`{}`:                              NewDictionary(),
		`[ <null>, [ <null> ] ]`:          NewArray(Null{}, NewArray(Null{})),
		`<data: 40 bytes ` + zeros + `>`:  NewData(make([]byte, 40)),
		`<uuid: 01000000-0000-` + uuidEnd: UUID{1},
	} {
		if got := Description(o); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

const (
	zeros   = "0000000000000000000000000000000000000000000000000000000000000000..."
	uuidEnd = "0000-0000-000000000000>"
)

func TestDescriptionKeepsOrderAndQuotesKeys(t *testing.T) {
	d := NewDictionary()
	d.SetString("greeting", "hello")
	d.SetInt64(`a "b"`, 1)
	d.SetArray("list", NewArray(Bool(false)))
	const want = `{ "greeting" => <string: "hello">, "a \"b\"" => <int64: 1>, "list" => [ <bool: false> ] }`
	if got := d.String(); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}
