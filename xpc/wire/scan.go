package wire

import (
	"bytes"
	"fmt"
	"math"
	"slices"
)

// Scan checks a whole message that came with so many descriptors: its root is a
// dictionary, keys are strings that occur once, strings hold no NUL, all that is
// announced is there and nothing follows, and every descriptor is named exactly
// once. The error is an [*Error]. Scan allocates only to compare keys, and then
// a small multiple of the body's size at most.
func Scan(body []byte, descriptors int, lim Limits) error {
	c := NewCursor(body, descriptors, lim)
	if len(body) > math.MaxInt32 {
		return c.fail(0, "a message has at most 2 GiB")
	}
	root, err := c.Next()
	if err != nil {
		return err
	}
	if root.Kind != KindMap {
		return c.fail(0, "a message must be a dictionary, this is a value of type "+root.Kind.String())
	}
	if err := scanContainer(&c, root); err != nil {
		return err
	}
	return c.Done()
}

// span is a key's place in the body: offsets instead of slices keep the heap
// that a hostile message can ask for near its own size.
type span struct{ start, end uint32 }

func scanContainer(c *Cursor, t Token) error {
	var keys []span
	for range t.Num {
		if t.Kind == KindMap {
			k, err := c.Key()
			if err != nil {
				return err
			}
			keys = append(keys, span{uint32(c.pos - len(k)), uint32(c.pos)})
		}
		v, err := c.Next()
		if err != nil {
			return err
		}
		if v.Kind == KindArray || v.Kind == KindMap {
			if err := scanContainer(c, v); err != nil {
				return err
			}
		}
	}
	c.Leave()
	return c.distinct(keys)
}

// distinct sorts: hashing would let the sender choose the time it takes.
func (c *Cursor) distinct(keys []span) error {
	text := func(s span) []byte { return c.body[s.start:s.end] }
	slices.SortStableFunc(keys, func(a, b span) int { return bytes.Compare(text(a), text(b)) })
	for i := 1; i < len(keys); i++ {
		if k := keys[i]; bytes.Equal(text(keys[i-1]), text(k)) {
			return c.fail(int(k.start), fmt.Sprintf("key %q occurs a second time", text(k)))
		}
	}
	return nil
}
