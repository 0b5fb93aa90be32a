package codesign

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
)

// Digest is a file's fs-verity digest with SHA-256, blocks of 4096 bytes and no salt.
type Digest [sha256.Size]byte

// String is 64 hexadecimal digits, as fsverity digest prints them after "sha256:".
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// ParseDigest reads what String wrote.
func ParseDigest(s string) (d Digest, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(d) {
		return d, fmt.Errorf("%q is not %d hexadecimal digits", s, 2*len(d))
	}
	return Digest(b), nil
}

// MaxImage is how large a program may be, in bytes.
const MaxImage = 512 << 20

const (
	verityBlock = 4096
	// chunk is how much is read at once.
	chunk = 64 * verityBlock
)

// Measure computes the digest of size bytes in user space, with the result that the
// kernel has for a file with fs-verity. It reads from 0, whatever the file's offset is.
func Measure(r io.ReaderAt, size int64) (Digest, error) {
	if size < 0 || size > MaxImage {
		return Digest{}, fmt.Errorf("%d bytes are more than the %d that a program may have", size, MaxImage)
	}
	var t tree
	buf := make([]byte, min(chunk, max(size, 1)))
	for at := int64(0); at < size; {
		n := min(int64(len(buf)), size-at)
		if got, err := r.ReadAt(buf[:n], at); int64(got) < n {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return Digest{}, err
		}
		for b := buf[:n]; len(b) > 0; b = b[min(verityBlock, len(b)):] {
			t.add(0, hashBlock(b[:min(verityBlock, len(b))]))
		}
		at += n
	}
	return descriptor(size, t.root()), nil
}

// tree is the Merkle tree while it grows: each level's last block, which is not full yet.
type tree [][]byte

// add appends a hash to a level; a full block becomes a hash of the level above.
func (t *tree) add(level int, hash Digest) {
	if level == len(*t) {
		*t = append(*t, nil)
	}
	if len((*t)[level]) == verityBlock {
		t.flush(level)
	}
	(*t)[level] = append((*t)[level], hash[:]...)
}

func (t *tree) flush(level int) {
	hash := hashBlock((*t)[level])
	(*t)[level] = (*t)[level][:0]
	t.add(level+1, hash)
}

// root is the one hash at the top; zeros for an empty file.
func (t *tree) root() (root Digest) {
	for level := 0; level < len(*t); level++ {
		if level == len(*t)-1 && len((*t)[level]) == len(root) {
			return Digest((*t)[level])
		}
		t.flush(level)
	}
	return root
}

// hashBlock pads with zeros.
func hashBlock(b []byte) Digest {
	if len(b) < verityBlock {
		b = append(make([]byte, 0, verityBlock), b...)[:verityBlock]
	}
	return sha256.Sum256(b)
}

// descriptor is what the digest is of: struct fsverity_descriptor of the kernel,
// of 256 bytes, with version 1, SHA-256 (1) and blocks of 2^12 bytes.
func descriptor(size int64, root Digest) Digest {
	var d [256]byte
	d[0], d[1], d[2] = 1, 1, 12
	binary.LittleEndian.PutUint64(d[8:], uint64(size))
	copy(d[16:], root[:])
	return sha256.Sum256(d[:])
}
