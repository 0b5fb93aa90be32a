package wire_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"flag"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/openxpc/openxpc/xpc/wire"
)

var update = flag.Bool("update", false, "rewrite testdata/vectors.json; review the difference")

const vectorFile = "testdata/vectors.json"

// vectors is what the file holds; docs/protocol.md explains it.
type vectors struct {
	Messages []message `json:"messages"`
	Frames   []frame   `json:"frames"`
	Refused  []refused `json:"refused"`
}

type message struct {
	Name        string          `json:"name"`
	Hex         string          `json:"hex"`
	Value       json.RawMessage `json:"value"`
	Descriptors int             `json:"descriptors,omitempty"`
	Foreign     bool            `json:"foreign,omitempty"` // accepted, but not how this implementation writes it
}

type frame struct {
	Name        string `json:"name"`
	Hex         string `json:"hex"`
	Kind        byte   `json:"kind"`
	Flags       byte   `json:"flags"`
	Descriptors uint16 `json:"descriptors"`
	ID          uint64 `json:"id"`
	Body        string `json:"body"`
}

type refused struct {
	Name        string `json:"name"`
	Hex         string `json:"hex"`
	Descriptors int    `json:"descriptors,omitempty"`
	Problem     string `json:"problem"`
}

// one is a message of one value under the key "v".
func one(value []byte) []byte {
	return append(wire.AppendString(wire.AppendMapHeader(nil, 1), "v"), value...)
}

var uuid = [16]byte{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0, 1, 2, 3, 4, 5, 6, 7}

// sources are the messages of the file: how they are made here, and their
// descriptors. Bytes given by hand are forms that other implementations may use.
func sources() []message {
	var out []message
	add := func(name string, body []byte, descriptors int) {
		out = append(out, message{Name: name, Hex: hex.EncodeToString(body), Descriptors: descriptors})
	}
	foreign := func(name, value string) {
		body, err := hex.DecodeString(strings.ReplaceAll(value, " ", ""))
		if err != nil {
			panic(name)
		}
		out = append(out, message{Name: name, Hex: hex.EncodeToString(one(body)), Foreign: true})
	}
	add("empty dictionary", wire.AppendMapHeader(nil, 0), 0)
	add("null", one(wire.AppendNull(nil)), 0)
	add("true", one(wire.AppendBool(nil, true)), 0)
	add("false", one(wire.AppendBool(nil, false)), 0)
	for _, v := range []int64{0, 1, 5, 127, 128, 255, 256, 32767, 32768, 1<<31 - 1, 1 << 31, math.MaxInt64,
		-1, -32, -33, -128, -129, -32768, -32769, -1 << 31, -1<<31 - 1, math.MinInt64} {
		add("int64", one(wire.AppendInt64(nil, v)), 0)
	}
	for _, v := range []uint64{0, 5, 255, 256, 65535, 65536, 1<<32 - 1, 1 << 32, 1 << 63, math.MaxUint64} {
		add("uint64", one(wire.AppendUint64(nil, v)), 0)
	}
	for _, v := range []float64{0, math.Copysign(0, -1), 1.5, -math.MaxFloat64, math.Inf(1), math.Inf(-1), math.NaN()} {
		add("double", one(wire.AppendDouble(nil, v)), 0)
	}
	for _, v := range []int64{0, 1_700_000_000_000_000_000, -1, math.MinInt64} {
		add("date", one(wire.AppendDate(nil, v)), 0)
	}
	for _, n := range []int{0, 1, 31, 32, 255, 256} {
		add("string of "+itoa(n), one(wire.AppendString(nil, strings.Repeat("x", n))), 0)
	}
	add("string of UTF-8", one(wire.AppendString(nil, "grüß Gott ☃")), 0)
	for _, n := range []int{0, 1, 255, 256} {
		add("data of "+itoa(n), one(wire.AppendData(nil, make([]byte, n))), 0)
	}
	add("uuid", one(wire.AppendUUID(nil, uuid)), 0)
	add("fd", one(wire.AppendFD(nil, 0)), 1)
	add("shared memory", one(wire.AppendSharedMemory(nil, 0, 8192)), 1)
	add("shared data", one(wire.AppendSharedData(nil, 0, 128<<10)), 1)
	add("endpoint as a descriptor", one(wire.AppendEndpoint(nil, 0)), 1)
	add("endpoint as a path", one(wire.AppendEndpointPath(nil, "/run/xpc/s/1")), 0)
	for code := byte(wire.ErrorInterrupted); code <= wire.ErrorCodeSigning; code++ {
		add("error", one(wire.AppendError(nil, code)), 0)
	}
	add("empty array", one(wire.AppendArrayHeader(nil, 0)), 0)
	add("array of 15", one(nulls(15)), 0)
	add("array of 16", one(nulls(16)), 0)
	add("int64 and uint64 differ", twoIntegers(), 0)
	add("dictionary of 16 keys", sixteenKeys(), 0)
	add("two descriptors in any order", wire.AppendFD(wire.AppendString(wire.AppendEndpoint(wire.AppendString(
		wire.AppendMapHeader(nil, 2), "first"), 1), "second"), 0), 2)
	add("nested", nested(), 0)

	foreign("int64 5 in 64 bits", "d3 0000000000000005")
	foreign("int64 -1 in 16 bits", "d1 ffff")
	foreign("uint64 5 in 32 bits", "ce 00000005")
	foreign("double in 32 bits", "ca 3fc00000")
	foreign("string with a 32-bit length", "db 00000002 6869")
	foreign("data with a 16-bit length", "c5 0002 6869")
	foreign("array with a 32-bit count", "dd 00000001 c0")
	foreign("dictionary with a 16-bit count", "de 0001 a16b c0")
	foreign("date as ext 8", "c7 08 01 ffffffffffffffff")
	return out
}

func itoa(n int) string { b, _ := json.Marshal(n); return string(b) }

func nulls(n int) []byte {
	b := wire.AppendArrayHeader(nil, n)
	for range n {
		b = wire.AppendNull(b)
	}
	return b
}

func twoIntegers() []byte {
	b := wire.AppendInt64(wire.AppendString(wire.AppendMapHeader(nil, 2), "i"), 5)
	return wire.AppendUint64(wire.AppendString(b, "u"), 5)
}

func sixteenKeys() []byte {
	b := wire.AppendMapHeader(nil, 16)
	for i := range 16 {
		b = wire.AppendInt64(wire.AppendString(b, "key "+itoa(i)), int64(i))
	}
	return b
}

func nested() []byte {
	b := wire.AppendArrayHeader(wire.AppendString(wire.AppendMapHeader(nil, 1), "list"), 2)
	b = wire.AppendString(wire.AppendString(wire.AppendMapHeader(b, 1), "name"), "a")
	return wire.AppendArrayHeader(wire.AppendArrayHeader(b, 1), 0)
}

// frameSources are whole frames: the 16 bytes of the header and the body.
func frameSources() []frame {
	hello := wire.AppendUint64(wire.AppendString(wire.AppendMapHeader(nil, 5), "version"), 1)
	hello = wire.AppendUint64(wire.AppendString(hello, "flags"), 0)
	hello = wire.AppendUint64(wire.AppendString(hello, "max-message"), 64<<20)
	hello = wire.AppendUint64(wire.AppendString(hello, "max-descriptors"), 253)
	hello = wire.AppendUint64(wire.AppendString(hello, "max-shared"), 4<<30)
	greeting := wire.AppendString(wire.AppendString(wire.AppendMapHeader(nil, 1), "greeting"), "hello")
	refusal := wire.AppendInt64(wire.AppendString(wire.AppendMapHeader(nil, 2), "code"), 1)
	refusal = wire.AppendString(wire.AppendString(refusal, "reason"), "no such program")
	lookUp := wire.AppendString(wire.AppendString(wire.AppendMapHeader(nil, 2), "op"), "look-up")
	lookUp = wire.AppendString(wire.AppendString(lookUp, "name"), "com.example.echo")
	found := wire.AppendEndpoint(wire.AppendString(wire.AppendMapHeader(nil, 1), "endpoint"), 0)
	list := []frame{
		{Name: "HELLO", Kind: 1, Body: hex.EncodeToString(hello)},
		{Name: "MESSAGE, the first of its direction", Kind: 2, ID: 1, Body: hex.EncodeToString(greeting)},
		{Name: "MESSAGE that expects a reply, the second", Kind: 2, Flags: 1, ID: 2, Body: hex.EncodeToString(greeting)},
		{Name: "MESSAGE with a descriptor", Kind: 2, Descriptors: 1, ID: 3, Body: hex.EncodeToString(one(wire.AppendFD(nil, 0)))},
		{Name: "REPLY to request 2", Kind: 3, ID: 2, Body: hex.EncodeToString(greeting)},
		{Name: "ABANDONED request 2", Kind: 4, ID: 2},
		{Name: "REFUSED", Kind: 5, Body: hex.EncodeToString(refusal)},
		{Name: "MESSAGE to the registry: look-up", Kind: 2, Flags: 1, ID: 1, Body: hex.EncodeToString(lookUp)},
		{Name: "REPLY of the registry: an endpoint", Kind: 3, Descriptors: 1, ID: 1, Body: hex.EncodeToString(found)},
	}
	for i, f := range list {
		b := binary.BigEndian.AppendUint32(nil, uint32(len(f.Body)/2))
		b = append(b, f.Kind, f.Flags)
		b = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint16(b, f.Descriptors), f.ID)
		list[i].Hex = hex.EncodeToString(b) + f.Body
	}
	return list
}

// refusedSources are messages that every receiver must refuse.
func refusedSources() []refused {
	return []refused{
		{"nothing", "", 0, "the message ends where a value should be"},
		{"root is an array", "90", 0, "a message must be a dictionary"},
		{"key is an integer", "810501", 0, "a dictionary's key must be a string"},
		{"key twice", "82a16101a16102", 0, `key "a" occurs a second time`},
		{"key with NUL", "81a26100c0", 0, "contains NUL"},
		{"string with NUL", "81a16ba26100", 0, "contains NUL"},
		{"trailing byte", "80c0", 0, "1 bytes follow the message"},
		{"map ends early", "82a16101", 0, "dictionary of 2"},
		{"value missing", "81a161", 0, "the message ends where a value should be"},
		{"string longer than the message", "81a16ba568656c6c", 0, "5 bytes announced, 4 are left"},
		{"array of 4,294,967,295", "81a16bddffffffff", 0, "4294967295 bytes or values announced"},
		{"map of 2,147,483,647", "df7fffffff", 0, "dictionary of 2147483647"},
		{"data of 4,294,967,295", "81a16bc6ffffffff", 0, "4294967295 bytes or values announced"},
		{"extension of 4,294,967,295", "81a16bc9ffffffff01", 0, "4294967295 bytes or values announced"},
		{"unused code", "81a16bc1", 0, "code 0xc1"},
		{"MessagePack's own timestamp", "81a16bd6ff00000000", 0, "extension -1"},
		{"shared memory without a size", "81a16bd506" + "0000", 1, "extension 6"},
		{"shared memory of 0 bytes", "81a16bc70a06" + "0000" + "0000000000000000", 1, "shared memory of 0 bytes"},
		{"shared data without a descriptor", "81a16bc70a07" + "0000" + "0000000000001000", 0, "names descriptor 0, but 0 came along"},
		{"date of 4 bytes", "81a16bd60100000000", 0, "extension 1 of 4 bytes"},
		{"uuid of 8 bytes", "81a16bd7020000000000000000", 0, "extension 2 of 8 bytes"},
		{"unknown error code", "81a16bd40509", 0, "extension 5"},
		{"fd without a descriptor", "81a16bd5030000", 0, "names descriptor 0, but 0 came along"},
		{"fd out of range", "81a16bd5030001", 1, "names descriptor 1, but 1 came along"},
		{"descriptor used twice", "82a161d5030000a162d5040000", 1, "a second time"},
		{"descriptor nobody names", "80", 1, "no value names it"},
		{"endpoint path with NUL", "81a16bc70404612f0062", 0, "extension 4"},
	}
}

func current(t *testing.T) vectors {
	v := vectors{Messages: sources(), Frames: frameSources(), Refused: refusedSources()}
	for i := range v.Messages {
		m := &v.Messages[i]
		body, err := hex.DecodeString(m.Hex)
		if err != nil {
			t.Fatal(err)
		}
		described, err := json.Marshal(describe(t, body, m.Descriptors))
		if err != nil {
			t.Fatal(err)
		}
		m.Value = described
	}
	return v
}

func TestVectors(t *testing.T) {
	want := marshal(t, current(t))
	if *update {
		if err := os.WriteFile(vectorFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("the file is the protocol: a difference is a new protocol, or needs -update and a review:\n%s", diff)
	}
}

// marshal writes one vector a line, so that a difference is one.
func marshal(t *testing.T, v vectors) []byte {
	var b bytes.Buffer
	section := func(name string, items ...any) {
		if b.Len() > 0 {
			b.WriteString(",\n")
		}
		b.WriteString("\"" + name + "\": [\n")
		for i, item := range items {
			line, err := json.Marshal(item)
			if err != nil {
				t.Fatal(err)
			}
			b.Write(line)
			if i < len(items)-1 {
				b.WriteByte(',')
			}
			b.WriteByte('\n')
		}
		b.WriteByte(']')
	}
	section("messages", anys(v.Messages)...)
	section("frames", anys(v.Frames)...)
	section("refused", anys(v.Refused)...)
	return []byte("{" + b.String() + "}\n")
}

func anys[T any](list []T) []any {
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = v
	}
	return out
}

// The page is what others implement from: the call it spells out is in the file.
func TestProtocolPageSpellsOutTheFrames(t *testing.T) {
	page, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(page), "## 9.")
	digits := ""
	for _, line := range strings.Split(example, "\n") {
		for _, word := range strings.Fields(strings.TrimLeft(line, "<-> ")) {
			if strings.Trim(word, "0123456789abcdef") != "" {
				break // the explanation begins
			}
			digits += word
		}
	}
	for _, f := range frameSources() {
		spelt := f.Name == "HELLO" || strings.Contains(f.Name, "registry")
		if spelt && !strings.Contains(digits, f.Hex) {
			t.Errorf("section 9 does not have %s: %s", f.Name, f.Hex)
		}
	}
}

func TestVectorsAreAccepted(t *testing.T) {
	for _, m := range current(t).Messages {
		body, _ := hex.DecodeString(m.Hex)
		if err := wire.Scan(body, m.Descriptors, wire.Limits{}); err != nil {
			t.Errorf("%s: %v", m.Name, err)
		}
	}
}

func TestRefusedVectorsAreRefused(t *testing.T) {
	for _, r := range refusedSources() {
		body, err := hex.DecodeString(r.Hex)
		if err != nil {
			t.Fatalf("%s: %v", r.Name, err)
		}
		err = wire.Scan(body, r.Descriptors, wire.Limits{})
		if err == nil || !strings.Contains(err.Error(), r.Problem) {
			t.Errorf("%s: got %v, want an error that says %q", r.Name, err, r.Problem)
		}
	}
}
