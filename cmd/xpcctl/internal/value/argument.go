package value

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/xpc"
)

// ErrArgument is wrapped by every error about an argument: a mistake of the
// caller, as opposed to a file that cannot be read.
var ErrArgument = errors.New("bad argument")

// argumentError has the text that users see; Is makes it an ErrArgument.
type argumentError struct{ text string }

func (e *argumentError) Error() string        { return e.text }
func (e *argumentError) Is(target error) bool { return target == ErrArgument }

func bad(format string, a ...any) error { return &argumentError{fmt.Sprintf(format, a...)} }

// Types are the type names that an argument can give, in the order of the help text.
var types = []string{
	"null", "bool", "int64", "uint64", "double", "date", "data", "string", "uuid", "fd", "array", "dictionary",
}

// Dictionary reads arguments of the form of [Argument], or whole dictionaries
// as JSON objects, into one dictionary. The first is number first in the texts
// of errors: `argument 3 "n:int64=abc": not an int64`. A key given twice is an
// error. Descriptors that were opened belong to the dictionary.
func Dictionary(args []string, first int) (*xpc.Dictionary, error) {
	d := xpc.NewDictionary()
	for i, arg := range args {
		if err := add(d, arg); err != nil {
			return nil, fmt.Errorf("argument %d %q: %w", first+i, arg, err)
		}
	}
	return d, nil
}

func add(d *xpc.Dictionary, arg string) error {
	if strings.HasPrefix(arg, "{") {
		o, err := FromJSON([]byte(arg))
		if err != nil {
			return err
		}
		whole, ok := o.(*xpc.Dictionary)
		if !ok {
			return bad("not a dictionary")
		}
		for key, o := range whole.All() {
			if err := addKey(d, key, o); err != nil {
				return err
			}
		}
		return nil
	}
	key, o, err := Argument(arg)
	if err != nil {
		return err
	}
	return addKey(d, key, o)
}

func addKey(d *xpc.Dictionary, key string, o xpc.Object) error {
	if d.Get(key) != nil {
		return bad("key %q is given twice", key)
	}
	d.Set(key, o)
	return nil
}

// Argument reads key:type=value. Without a type an integer is an int64, a
// decimal number a double, true and false a bool, and anything else a string.
//
// Values by type: null (empty), bool (true, false), int64 and uint64 (decimal,
// or 0x...), double, date (RFC 3339, or now), data (base64, or @file for its
// content), string (as it is), uuid, fd (path of a file to open for reading, @
// before it is allowed), array and dictionary (JSON).
func Argument(arg string) (key string, o xpc.Object, err error) {
	left, text, found := strings.Cut(arg, "=")
	if !found {
		return "", nil, bad("no value: write key=value or key:type=value")
	}
	key, typ := left, ""
	if i := strings.LastIndexByte(left, ':'); i >= 0 {
		key, typ = left[:i], left[i+1:]
		if typ == "" {
			return "", nil, bad("no type between : and =")
		}
	}
	if key == "" {
		return "", nil, bad("no key before the value")
	}
	if strings.ContainsRune(arg, 0) {
		return "", nil, bad("NUL cannot be part of a key or a value")
	}
	if typ == "" {
		return key, guess(text), nil
	}
	o, err = parse(typ, text)
	return key, o, err
}

func guess(text string) xpc.Object {
	switch text {
	case "true":
		return xpc.Bool(true)
	case "false":
		return xpc.Bool(false)
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return xpc.Int64(n)
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil && isDecimal(text) {
		return xpc.Double(f)
	}
	return xpc.String(text)
}

// isDecimal keeps words like inf, nan and 0x1p4 strings, and integers that do
// not fit an int64 from losing digits without a word.
func isDecimal(text string) bool {
	return strings.ContainsAny(text, ".eE") && !strings.ContainsAny(text, "xXpPnNiI_")
}

func parse(typ, text string) (xpc.Object, error) {
	switch typ {
	case "null":
		return parseNull(text)
	case "bool":
		return parseBool(text)
	case "int64":
		return parseInt64(text)
	case "uint64":
		return parseUint64(text)
	case "double":
		return parseDouble(text)
	case "date":
		return parseDate(text)
	case "data":
		return parseData(text)
	case "string":
		return xpc.String(text), nil
	case "uuid":
		return parseUUID(text)
	case "fd":
		return openFD(strings.TrimPrefix(text, "@"))
	case "array", "dictionary":
		return parseContainer(typ, text)
	}
	return nil, bad("unknown type %q; the types are %s", typ, strings.Join(types, " "))
}

func parseNull(text string) (xpc.Object, error) {
	if text != "" && text != "null" {
		return nil, bad("not null: leave the value empty")
	}
	return xpc.Null{}, nil
}

func parseBool(text string) (xpc.Object, error) {
	switch text {
	case "true":
		return xpc.Bool(true), nil
	case "false":
		return xpc.Bool(false), nil
	}
	return nil, bad("not a bool: write true or false")
}

func parseInt64(text string) (xpc.Object, error) {
	n, err := strconv.ParseInt(text, 0, 64)
	if errors.Is(err, strconv.ErrRange) {
		return nil, bad("not an int64: it lies outside %d to %d", int64(math.MinInt64), int64(math.MaxInt64))
	}
	if err != nil {
		return nil, bad("not an int64")
	}
	return xpc.Int64(n), nil
}

func parseUint64(text string) (xpc.Object, error) {
	n, err := strconv.ParseUint(text, 0, 64)
	if errors.Is(err, strconv.ErrRange) {
		return nil, bad("not a uint64: it lies outside 0 to %d", uint64(math.MaxUint64))
	}
	if err != nil {
		return nil, bad("not a uint64")
	}
	return xpc.Uint64(n), nil
}

func parseDouble(text string) (xpc.Object, error) {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, bad("not a double")
	}
	return xpc.Double(f), nil
}

// The first and the last moment that nanoseconds in an int64 can tell.
var (
	firstDate = time.Unix(0, math.MinInt64)
	lastDate  = time.Unix(0, math.MaxInt64)
)

func parseDate(text string) (xpc.Object, error) {
	if text == "now" {
		return xpc.Date(time.Now().UnixNano()), nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return nil, bad("not a date: write it like 2006-01-02T15:04:05Z, or now")
	}
	if t.Before(firstDate) || t.After(lastDate) {
		return nil, bad("not a date that XPC can hold: it lies outside %d to %d", firstDate.UTC().Year(), lastDate.UTC().Year())
	}
	return xpc.Date(t.UnixNano()), nil
}

func parseData(text string) (xpc.Object, error) {
	if path, isFile := strings.CutPrefix(text, "@"); isFile {
		return readData(path)
	}
	b, err := decodeBase64(text)
	if err != nil {
		return nil, bad("not base64 (for the content of a file write @path)")
	}
	return xpc.NewData(b), nil
}

// MaxFile is how much of a file becomes data: the size of a whole message.
const MaxFile = 64 << 20

// readData stops at the limit: some files have no end.
func readData(path string) (xpc.Object, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return nil, err
	}
	if len(b) > MaxFile {
		return nil, fmt.Errorf("%s has more than %d bytes, the limit of a message: pass a descriptor, key:fd=%s", path, MaxFile, path)
	}
	return xpc.NewData(b), nil
}

func parseUUID(text string) (xpc.Object, error) {
	u, ok := scanUUID(text)
	if !ok {
		return nil, bad("not a uuid: write it like 01234567-89ab-cdef-0123-456789abcdef")
	}
	return u, nil
}

// openFD does not wait for the other end of a FIFO; who receives the descriptor
// may.
func openFD(path string) (xpc.Object, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := unix.SetNonblock(int(f.Fd()), false); err != nil {
		return nil, err
	}
	return xpc.NewFD(int(f.Fd()))
}

func parseContainer(typ, text string) (xpc.Object, error) {
	o, err := FromJSON(bytes.TrimSpace([]byte(text)))
	if err != nil {
		return nil, err
	}
	if o.Type().String() != typ {
		return nil, bad("not JSON of type %s", typ)
	}
	return o, nil
}
