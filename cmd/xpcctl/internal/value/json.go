package value

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/openxpc/openxpc/xpc"
)

// Version is the version of the JSON form, told by every JSON answer whose
// layout is xpcctl's own. It grows when a reader of the old form would misread
// the new one.
const Version = 1

// maxDepth is the depth of containers that FromJSON reads, the same as that of
// a message (xpc.Limits).
const maxDepth = 64

// FromJSON reads one JSON value: null, true, false and strings are what they
// seem, a number without fraction and exponent is an int64, any other a double,
// arrays and objects are containers. An object with a single key that starts
// with $ is a typed value: $int64, $uint64 and $double (number or string), $data
// (base64), $string (base64, for one that is not UTF-8), $uuid, $date (RFC
// 3339), $fd (path of a file, opened for reading), $dictionary (an object whose
// only key starts with $). A key given twice, or text after the value, is an error.
func FromJSON(b []byte) (xpc.Object, error) {
	if !utf8.Valid(b) {
		return nil, bad("not JSON: it is not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	o, err := readValue(dec, 0)
	if err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, bad("not JSON: something follows the value")
	}
	return o, nil
}

func readValue(dec *json.Decoder, depth int) (xpc.Object, error) {
	t, err := dec.Token()
	if err != nil {
		return nil, notJSON(err)
	}
	return fromToken(dec, t, depth)
}

// fromToken reads the rest of the value that starts with t.
func fromToken(dec *json.Decoder, t json.Token, depth int) (xpc.Object, error) {
	switch t := t.(type) {
	case json.Delim:
		if depth == maxDepth {
			return nil, bad("containers nest deeper than %d", maxDepth)
		}
		if t == '[' {
			return readArray(dec, depth+1)
		}
		return readObject(dec, depth+1)
	case nil:
		return xpc.Null{}, nil
	case bool:
		return xpc.Bool(t), nil
	case json.Number:
		return number(t.String())
	case string:
		return plainString(t)
	}
	return nil, bad("not JSON")
}

func notJSON(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return bad("not JSON: it ends too early")
	}
	return bad("not JSON: %v", err)
}

func number(text string) (xpc.Object, error) {
	if strings.ContainsAny(text, ".eE") {
		return parseDouble(text)
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil, bad(`%s does not fit an int64; a uint64 is written {"$uint64":%s}`, text, text)
	}
	return xpc.Int64(n), nil
}

func plainString(s string) (xpc.Object, error) {
	if strings.ContainsRune(s, 0) {
		return nil, bad("NUL cannot be part of a string")
	}
	return xpc.String(s), nil
}

func readArray(dec *json.Decoder, depth int) (xpc.Object, error) {
	a := xpc.NewArray()
	for dec.More() {
		o, err := readValue(dec, depth)
		if err != nil {
			return nil, err
		}
		a.Append(o)
	}
	return a, closing(dec)
}

func closing(dec *json.Decoder) error {
	if _, err := dec.Token(); err != nil {
		return notJSON(err)
	}
	return nil
}

func readObject(dec *json.Decoder, depth int) (xpc.Object, error) {
	d := xpc.NewDictionary()
	for dec.More() {
		key, err := readKey(dec)
		if err != nil {
			return nil, err
		}
		if d.Count() == 0 && strings.HasPrefix(key, "$") {
			return readTyped(dec, key, depth)
		}
		if err := readEntry(dec, d, key, depth); err != nil {
			return nil, err
		}
	}
	return d, closing(dec)
}

func readKey(dec *json.Decoder) (string, error) {
	t, err := dec.Token()
	if err != nil {
		return "", notJSON(err)
	}
	key, _ := t.(string)
	if strings.ContainsRune(key, 0) {
		return "", bad("NUL cannot be part of a key")
	}
	return key, nil
}

func readEntry(dec *json.Decoder, d *xpc.Dictionary, key string, depth int) error {
	o, err := readValue(dec, depth)
	if err != nil {
		return err
	}
	return addKey(d, key, o)
}

// readTyped reads the rest of an object whose first key starts with $: a typed
// value if that stays the only key, else an ordinary dictionary.
func readTyped(dec *json.Decoder, key string, depth int) (xpc.Object, error) {
	if key == "$dictionary" {
		return readEscaped(dec, depth)
	}
	t, err := dec.Token()
	if err != nil {
		return nil, notJSON(err)
	}
	if text, ok := tokenText(t); ok && !dec.More() {
		if err := closing(dec); err != nil {
			return nil, err
		}
		return typed(key, text)
	}
	o, err := fromToken(dec, t, depth)
	if err != nil {
		return nil, err
	}
	if !dec.More() {
		return nil, bad("%s wants a string or a number", key)
	}
	d := xpc.NewDictionary()
	d.Set(key, o)
	for dec.More() {
		key, err := readKey(dec)
		if err != nil {
			return nil, err
		}
		if err := readEntry(dec, d, key, depth); err != nil {
			return nil, err
		}
	}
	return d, closing(dec)
}

// readEscaped reads {"$dictionary":{...}}, whose inner keys mean themselves.
func readEscaped(dec *json.Decoder, depth int) (xpc.Object, error) {
	t, err := dec.Token()
	if err != nil {
		return nil, notJSON(err)
	}
	if t != json.Delim('{') {
		return nil, bad("$dictionary wants an object")
	}
	d := xpc.NewDictionary()
	for dec.More() {
		key, err := readKey(dec)
		if err != nil {
			return nil, err
		}
		if err := readEntry(dec, d, key, depth); err != nil {
			return nil, err
		}
	}
	if err := closing(dec); err != nil {
		return nil, err
	}
	if dec.More() {
		return nil, bad("$dictionary must be the only key of its object")
	}
	return d, closing(dec)
}

func typed(key, text string) (xpc.Object, error) {
	switch key {
	case "$int64":
		return parseInt64(text)
	case "$uint64":
		return parseUint64(text)
	case "$double":
		return parseDouble(text)
	case "$date":
		return parseDate(text)
	case "$data":
		return base64Data(text)
	case "$string":
		return base64String(text)
	case "$uuid":
		return parseUUID(text)
	case "$fd":
		return openFD(text)
	}
	return nil, bad(`unknown type %s; a dictionary with that single key is written {"$dictionary":{%q:...}}`, key, key)
}

// tokenText is the text of a string or a number, all digits kept.
func tokenText(t json.Token) (string, bool) {
	switch t := t.(type) {
	case string:
		return t, true
	case json.Number:
		return t.String(), true
	}
	return "", false
}

func base64Data(text string) (xpc.Object, error) {
	b, err := decodeBase64(text)
	if err != nil {
		return nil, bad("$data is not base64")
	}
	return xpc.NewData(b), nil
}

func base64String(text string) (xpc.Object, error) {
	b, err := decodeBase64(text)
	if err != nil {
		return nil, bad("$string is not base64")
	}
	return plainString(string(b))
}

func decodeBase64(text string) ([]byte, error) { return base64.StdEncoding.DecodeString(text) }

// AppendJSON appends o as JSON on one line. Keys keep their order.
func AppendJSON(b []byte, o xpc.Object) []byte {
	switch o := o.(type) {
	case nil, xpc.Null:
		return append(b, "null"...)
	case xpc.Bool:
		return strconv.AppendBool(b, bool(o))
	case xpc.Int64:
		return strconv.AppendInt(b, int64(o), 10)
	case xpc.Uint64:
		return append(strconv.AppendUint(append(b, `{"$uint64":`...), uint64(o), 10), '}')
	case xpc.Double:
		return appendDouble(b, float64(o))
	case xpc.String:
		return appendString(b, string(o))
	case *xpc.Array:
		return appendArray(b, o)
	case *xpc.Dictionary:
		return appendDictionary(b, o)
	}
	name, text := special(o)
	b = append(append(append(b, `{"$`...), name...), `":`...)
	return append(AppendQuoted(b, text), '}')
}

// special gives the $ name and the text of what JSON has no type for.
func special(o xpc.Object) (name, text string) {
	switch o := o.(type) {
	case xpc.Date:
		return "date", dateText(o)
	case xpc.UUID:
		return "uuid", uuidText(o)
	case *xpc.Data:
		return "data", base64.StdEncoding.EncodeToString(o.Bytes())
	case *xpc.FD:
		return "fd", descriptorPath(o)
	case *xpc.Error:
		return "error", o.GetString(xpc.ErrorKeyDescription)
	}
	return o.Type().String(), xpc.Description(o)
}

func dateText(d xpc.Date) string { return time.Unix(0, int64(d)).UTC().Format(time.RFC3339Nano) }

func uuidText(u xpc.UUID) string {
	h := hex.EncodeToString(u[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

func scanUUID(text string) (u xpc.UUID, ok bool) {
	if len(text) != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return u, false
	}
	n, err := hex.Decode(u[:], []byte(strings.ReplaceAll(text, "-", "")))
	return u, err == nil && n == len(u)
}

// appendDouble always leaves a mark by which the reader knows a double: a point,
// an exponent, or the $ form for what JSON cannot write.
func appendDouble(b []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		b = strconv.AppendFloat(append(b, `{"$double":"`...), f, 'g', -1, 64)
		return append(b, `"}`...)
	}
	start := len(b)
	b = strconv.AppendFloat(b, f, 'g', -1, 64)
	if !bytes.ContainsAny(b[start:], ".e") {
		b = append(b, ".0"...)
	}
	return b
}

func appendString(b []byte, s string) []byte {
	if utf8.ValidString(s) {
		return AppendQuoted(b, s)
	}
	b = AppendQuoted(append(b, `{"$string":`...), base64.StdEncoding.EncodeToString([]byte(s)))
	return append(b, '}')
}

func appendArray(b []byte, a *xpc.Array) []byte {
	b = append(b, '[')
	for i, o := range a.All() {
		if i > 0 {
			b = append(b, ',')
		}
		b = AppendJSON(b, o)
	}
	return append(b, ']')
}

func appendDictionary(b []byte, d *xpc.Dictionary) []byte {
	start := len(b)
	b = append(b, '{')
	first := ""
	for key, o := range d.All() {
		if len(b) > start+1 {
			b = append(b, ',')
		} else {
			first = key
		}
		b = append(AppendQuoted(b, key), ':')
		b = AppendJSON(b, o)
	}
	b = append(b, '}')
	if mustEscape(d.Count(), first) {
		inner := string(b[start:])
		b = append(append(append(b[:start], `{"$dictionary":`...), inner...), '}')
	}
	return b
}

// mustEscape: a lone $ key would read as a typed value, a leading $dictionary as
// the escape itself.
func mustEscape(count int, first string) bool {
	return first == "$dictionary" || count == 1 && strings.HasPrefix(first, "$")
}

// AppendQuoted appends s as a JSON string; bytes that are not UTF-8 become U+FFFD.
func AppendQuoted(b []byte, s string) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return append(b, `""`...)
	}
	return append(b, bytes.TrimSuffix(buf.Bytes(), []byte("\n"))...)
}
