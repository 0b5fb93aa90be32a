package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
)

// Limits bounds what one message can make its reader do. Zero or less means the
// default in each field.
type Limits struct {
	Depth    int // levels of containers, the root being the first; default 64
	Elements int // values, the root and every element counted and keys not; default 262,144
}

// Defaults of Limits.
const (
	DefaultDepth    = 64
	DefaultElements = 1 << 18
)

// Token is one value, or the head of a container. Which field holds the value
// stands with each [Kind]. The zero Token is no value.
type Token struct {
	Kind  Kind
	Num   uint64
	Bytes []byte // aliases the message: never write to it
}

// Int is the value of KindInt64 and KindDate.
func (t Token) Int() int64 { return int64(t.Num) }

// Size is how many bytes there are of KindSharedMemory and KindSharedData; 0 for
// every other kind.
func (t Token) Size() uint64 {
	if t.Kind != KindSharedMemory && t.Kind != KindSharedData {
		return 0
	}
	return binary.BigEndian.Uint64(t.Bytes)
}

// Double is the value of KindDouble.
func (t Token) Double() float64 { return math.Float64frombits(t.Num) }

// Cursor reads one message, value by value, from bytes that nobody vouches for.
//
// Next gives a value. After a KindArray of n come n values by Next; after a
// KindMap of n come n times Key and Next; after the last of them Leave must be
// called, also when n is 0. Done says that all was read. After an error the
// Cursor, and the message, are of no use. A Cursor never allocates but for its
// error, and never asks for more than the bytes that are there: the sum of what
// open containers promise is at no time above what is left. Keys are not
// compared with each other: Scan does that.
//
// The zero Cursor reads an empty message, which is malformed.
type Cursor struct {
	body        []byte
	pos         int
	owed        int // bytes at least that the values promised by open containers will take
	elements    int // values still allowed; a container's are charged when it promises them
	depth       int // levels still allowed
	descriptors int
	used        [4]uint64 // descriptor indexes seen
	lim         Limits
}

// NewCursor begins to read body, which came with so many descriptors. The body
// must not change while the Cursor or anything it returned is in use.
func NewCursor(body []byte, descriptors int, lim Limits) Cursor {
	if lim.Depth <= 0 {
		lim.Depth = DefaultDepth
	}
	if lim.Elements <= 0 {
		lim.Elements = DefaultElements
	}
	return Cursor{body: body, owed: 1, elements: lim.Elements - 1, depth: lim.Depth, descriptors: descriptors, lim: lim}
}

// EntriesHint says from its first byte how many entries a message has, 16 if they
// are more or it is no dictionary. It is for reserving memory; nothing is checked.
func EntriesHint(body []byte) int {
	if len(body) == 0 || body[0]&0xf0 != 0x80 {
		return 16
	}
	return int(body[0] & 0x0f)
}

// Offset is where the next value begins, in bytes from the start of the message.
func (c *Cursor) Offset() int { return c.pos }

// Key reads the key of a dictionary's entry. It aliases the message.
func (c *Cursor) Key() ([]byte, error) {
	start := c.pos
	if start >= len(c.body) {
		return nil, c.fail(start, "the message ends where a key should be")
	}
	c.owed--
	code := c.body[start]
	if code&0xe0 == 0xa0 {
		c.pos++
		return c.text(start, int(code&0x1f))
	}
	if code < 0xd9 || code > 0xdb {
		return nil, c.fail(start, fmt.Sprintf("a dictionary's key must be a string, code %#02x is not", code))
	}
	c.pos++
	n, err := c.length(start, code-0xd9)
	if err != nil {
		return nil, err
	}
	return c.text(start, n)
}

// Next reads a value.
func (c *Cursor) Next() (Token, error) {
	start := c.pos
	if start >= len(c.body) {
		return Token{}, c.fail(start, "the message ends where a value should be")
	}
	c.owed--
	code := c.body[start]
	c.pos++
	switch {
	case code <= 0x7f || code >= 0xe0:
		return Token{Kind: KindInt64, Num: uint64(int64(int8(code)))}, nil
	case code <= 0x8f:
		return c.container(start, KindMap, int(code&0x0f))
	case code <= 0x9f:
		return c.container(start, KindArray, int(code&0x0f))
	case code <= 0xbf:
		b, err := c.text(start, int(code&0x1f))
		return Token{Kind: KindString, Bytes: b}, err
	}
	return c.coded(start, code)
}

// Leave ends a container after its last element.
func (c *Cursor) Leave() { c.depth++ }

// Done says whether the message was read to its end and every descriptor was named.
func (c *Cursor) Done() error {
	switch {
	case c.owed > 0:
		return c.fail(c.pos, "the message was not read to its end")
	case c.pos < len(c.body):
		return c.fail(c.pos, fmt.Sprintf("%d bytes follow the message", len(c.body)-c.pos))
	}
	for i := range c.descriptors {
		if i > math.MaxUint8 || c.used[i>>6]&(1<<(i&63)) == 0 {
			return c.fail(c.pos, fmt.Sprintf("descriptor %d of %d came along and no value names it", i, c.descriptors))
		}
	}
	return nil
}

// coded reads what follows the codes c0 to df.
func (c *Cursor) coded(start int, code byte) (Token, error) {
	switch code {
	case 0xc0:
		return Token{Kind: KindNull}, nil
	case 0xc2, 0xc3:
		return Token{Kind: KindBool, Num: uint64(code & 1)}, nil
	case 0xc4, 0xc5, 0xc6:
		return c.blob(start, KindData, code-0xc4)
	case 0xd9, 0xda, 0xdb:
		return c.blob(start, KindString, code-0xd9)
	case 0xca:
		n, err := c.number(start, 4)
		return Token{Kind: KindDouble, Num: math.Float64bits(float64(math.Float32frombits(uint32(n))))}, err
	case 0xcb:
		n, err := c.number(start, 8)
		return Token{Kind: KindDouble, Num: n}, err
	case 0xcc, 0xcd, 0xce, 0xcf:
		n, err := c.number(start, 1<<(code-0xcc))
		return Token{Kind: KindUint64, Num: n}, err
	case 0xd0, 0xd1, 0xd2, 0xd3:
		width := 1 << (code - 0xd0)
		n, err := c.number(start, width)
		shift := 64 - 8*width
		return Token{Kind: KindInt64, Num: uint64(int64(n<<shift) >> shift)}, err
	case 0xd4, 0xd5, 0xd6, 0xd7, 0xd8:
		return c.ext(start, 1<<(code-0xd4))
	case 0xc7, 0xc8, 0xc9:
		n, err := c.length(start, code-0xc7)
		if err != nil {
			return Token{}, err
		}
		return c.ext(start, n)
	case 0xdc, 0xdd:
		return c.counted(start, KindArray, code-0xdc)
	case 0xde, 0xdf:
		return c.counted(start, KindMap, code-0xde)
	}
	return Token{}, c.fail(start, fmt.Sprintf("code %#02x is not used by MessagePack", code))
}

func (c *Cursor) counted(start int, k Kind, width byte) (Token, error) {
	n, err := c.length(start, width+1)
	if err != nil {
		return Token{}, err
	}
	return c.container(start, k, n)
}

// container charges the budget: a container may promise no more values than
// there are bytes left for them, those that other containers wait for deducted.
// Charging promises, not arrivals, bounds what a reader allocates in advance.
func (c *Cursor) container(start int, k Kind, n int) (Token, error) {
	if c.depth == 0 {
		return Token{}, c.fail(start, fmt.Sprintf("containers nested more than %d deep, the limit MaxDepth", c.lim.Depth))
	}
	c.depth--
	left := len(c.body) - c.pos - c.owed
	per := 1
	if k == KindMap {
		per = 2
	}
	if left < 0 || n > left/per {
		return Token{}, c.fail(start, fmt.Sprintf("%s of %d, but %d bytes are left for it", k, n, max(left, 0)))
	}
	if n > c.elements {
		return Token{}, c.fail(start, fmt.Sprintf("%s of %d makes more than %d values, the limit MaxElements", k, n, c.lim.Elements))
	}
	c.owed += n * per
	c.elements -= n
	return Token{Kind: k, Num: uint64(n)}, nil
}

func (c *Cursor) blob(start int, k Kind, width byte) (Token, error) {
	n, err := c.length(start, width)
	if err != nil {
		return Token{}, err
	}
	var b []byte
	if k == KindString {
		b, err = c.text(start, n)
	} else {
		b, err = c.take(start, n)
	}
	return Token{Kind: k, Bytes: b}, err
}

func (c *Cursor) ext(start, n int) (Token, error) {
	if len(c.body)-c.pos < 1 {
		return Token{}, c.fail(start, "the message ends within an extension")
	}
	typ := c.body[c.pos]
	c.pos++
	b, err := c.take(start, n)
	if err != nil {
		return Token{}, err
	}
	switch {
	case typ == ExtDate && n == 8:
		return Token{Kind: KindDate, Num: binary.BigEndian.Uint64(b)}, nil
	case typ == ExtUUID && n == 16:
		return Token{Kind: KindUUID, Bytes: b}, nil
	case typ == ExtFD && n == 2:
		return c.descriptor(start, KindFD, int(binary.BigEndian.Uint16(b)))
	case typ == ExtEndpoint && n == 2:
		return c.descriptor(start, KindEndpoint, int(binary.BigEndian.Uint16(b)))
	case typ == ExtEndpoint && n > 2 && n <= MaxPath && bytes.IndexByte(b, 0) < 0:
		return Token{Kind: KindEndpoint, Bytes: b}, nil
	case typ == ExtSharedMemory && n == sharedSize:
		return c.shared(start, KindSharedMemory, b)
	case typ == ExtSharedData && n == sharedSize:
		return c.shared(start, KindSharedData, b)
	case typ == ExtError && n == 1 && b[0] >= ErrorInterrupted && b[0] <= ErrorCodeSigning:
		return Token{Kind: KindError, Num: uint64(b[0])}, nil
	}
	return Token{}, c.fail(start, fmt.Sprintf("extension %d of %d bytes is not one of protocol 1", int8(typ), n))
}

// shared reads an index and a size.
func (c *Cursor) shared(start int, k Kind, b []byte) (Token, error) {
	t, err := c.descriptor(start, k, int(binary.BigEndian.Uint16(b)))
	if err != nil {
		return t, err
	}
	if t.Bytes = b[2:]; t.Size() == 0 {
		return Token{}, c.fail(start, k.String()+" of 0 bytes")
	}
	return t, nil
}

func (c *Cursor) descriptor(start int, k Kind, i int) (Token, error) {
	if i >= c.descriptors || i > math.MaxUint8 {
		return Token{}, c.fail(start, fmt.Sprintf("%s names descriptor %d, but %d came along", k, i, c.descriptors))
	}
	word, bit := &c.used[i>>6], uint64(1)<<(i&63)
	if *word&bit != 0 {
		return Token{}, c.fail(start, fmt.Sprintf("%s names descriptor %d a second time", k, i))
	}
	*word |= bit
	return Token{Kind: k, Num: uint64(i)}, nil
}

// text takes n bytes that must hold no NUL: XPC's strings are C strings.
func (c *Cursor) text(start, n int) ([]byte, error) {
	b, err := c.take(start, n)
	if err == nil && bytes.IndexByte(b, 0) >= 0 {
		return nil, c.fail(start, "a string contains NUL; send it as data")
	}
	return b, err
}

func (c *Cursor) take(start, n int) ([]byte, error) {
	if n > len(c.body)-c.pos {
		return nil, c.fail(start, fmt.Sprintf("%d bytes announced, %d are left", n, len(c.body)-c.pos))
	}
	b := c.body[c.pos : c.pos+n : c.pos+n]
	c.pos += n
	return b, nil
}

// length reads a length of 1, 2 or 4 bytes (width 0, 1, 2).
func (c *Cursor) length(start int, width byte) (int, error) {
	n, err := c.number(start, 1<<width)
	if err == nil && n > math.MaxInt32 {
		return 0, c.fail(start, fmt.Sprintf("%d bytes or values announced, %d bytes are left", n, len(c.body)-c.pos))
	}
	return int(n), err
}

func (c *Cursor) number(start, width int) (uint64, error) {
	b := c.body[c.pos:]
	if len(b) < width {
		return 0, c.fail(start, "the message ends within a value")
	}
	c.pos += width
	switch width {
	case 1:
		return uint64(b[0]), nil
	case 2:
		return uint64(binary.BigEndian.Uint16(b)), nil
	case 4:
		return uint64(binary.BigEndian.Uint32(b)), nil
	}
	return binary.BigEndian.Uint64(b), nil
}

// fail also ends the reading: whoever goes on in spite of it gets errors only.
func (c *Cursor) fail(offset int, problem string) error {
	c.body = c.body[:min(c.pos, len(c.body))]
	c.owed = math.MaxInt32
	return &Error{Offset: offset, Problem: problem}
}
