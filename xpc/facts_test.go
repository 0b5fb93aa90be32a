package xpc

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/openxpc/openxpc/credentials"
	"github.com/openxpc/openxpc/credentials/requirement"
)

func someFacts() *requirement.Facts {
	yes, no, three := true, false, int64(3)
	return &requirement.Facts{
		Credentials: credentials.Credentials{PID: 12, UID: 1000, GID: 100},
		Assurance:   requirement.Granted,
		Code: &requirement.Code{
			CDHash: [20]byte{1, 2, 19: 3}, Identifier: "com.example.tool", Team: "EXAMPLE123", Category: 6,
			Flags: requirement.Hardened, Trusted: true,
			Info:         map[string]any{"CFBundleVersion": "17.4", "when": time.Unix(5, 6)},
			Entitlements: map[string]any{"com.example.see": true, "list": []any{"a", int64(5), 1.5, []byte{1}, map[string]any{"k": false}}},
			Certificates: []requirement.Certificate{{
				SHA1: [20]byte{9}, Subject: map[string][]string{"OU": {"EXAMPLE123", "B"}},
				Extensions: map[string][]byte{"1.2.840": {4, 5}}, Policies: []string{"1.2.3"},
				NotBefore: time.Unix(100, 0), NotAfter: time.Unix(200, 0), Trusted: true,
			}},
		},
		LaunchType: &three, IsInitProc: &no, IsSIPProtected: &yes, OnSystemVolume: &yes, Host: &no,
		Unit: "a.service", Cgroup: "/a", Label: "l", Container: "c",
	}
}

func TestFactsSurviveTheWire(t *testing.T) {
	want := someFacts()
	body, files, err := encodeMessage(nil, EncodeFacts(want), &defaultLimits)
	if err != nil || len(files) != 0 {
		t.Fatal(files, err)
	}
	var d Dictionary
	if _, err := decodeMessage(&d, body, nil, &defaultLimits); err != nil {
		t.Fatal(err)
	}
	got, err := DecodeFacts(&d)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	none := &requirement.Facts{Credentials: credentials.Unknown(), Why: "nobody answers"}
	if got, err := DecodeFacts(EncodeFacts(none)); err != nil || !reflect.DeepEqual(got, none) {
		t.Errorf("what is not known stays unknown: got %+v, %v", got, err)
	}
}

func TestBadFactsAreNone(t *testing.T) {
	change := func(key string, o Object) *Dictionary {
		d := EncodeFacts(someFacts())
		d.Set(key, o)
		return d
	}
	code := func(key string, o Object) *Dictionary {
		d := EncodeFacts(someFacts())
		d.GetDictionary("code").Set(key, o)
		return d
	}
	for want, d := range map[string]*Dictionary{
		"no facts":             nil,
		"assurance of 4":       change("assurance", Int64(4)),
		"assurance of -1":      change("assurance", Int64(-1)),
		"assurance of true":    change("assurance", Bool(true)),
		"assurance of <nil>":   NewDictionary(),
		"not 20 bytes":         code("cdhash", NewData([]byte("short"))),
		"entitlements: x":      code("entitlements", with("x", Null{})),
		"beyond int64":         code("info", with("x", Uint64(1<<63))),
		"certificate 0: no SH": code("certificates", list(with("sha1", String("x")))),
	} {
		if _, err := DecodeFacts(d); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
	f, err := DecodeFacts(change("uid", String("0")))
	if err != nil || f.Credentials.UID != -1 {
		t.Errorf("a user id of a wrong type must not read as root: got %v, %v", f, err)
	}
}

func with(key string, o Object) *Dictionary {
	d := NewDictionary()
	d.Set(key, o)
	return d
}

func list(o Object) *Array {
	a := NewArray()
	a.Append(o)
	return a
}

func TestDatesBeyondWhatADateHoldsAreItsEnds(t *testing.T) {
	f := someFacts()
	f.Code.Certificates[0].NotBefore = time.Time{}
	f.Code.Certificates[0].NotAfter = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	got, err := DecodeFacts(EncodeFacts(f))
	if err != nil {
		t.Fatal(err)
	}
	if c := got.Code.Certificates[0]; c.NotBefore.Year() > 1700 || c.NotAfter.Year() < 2200 {
		t.Errorf("got %v to %v", c.NotBefore, c.NotAfter)
	}
}
