package codesign

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

func measured(content string) Digest {
	d, err := Measure(strings.NewReader(content), int64(len(content)))
	if err != nil {
		panic(err)
	}
	return d
}

// reference builds the tree level by level, as the kernel's documentation tells it.
func reference(content []byte) Digest {
	if len(content) == 0 {
		return descriptor(0, Digest{})
	}
	level := content
	for {
		var hashes []byte
		for b := level; len(b) > 0; b = b[min(verityBlock, len(b)):] {
			h := hashBlock(b[:min(verityBlock, len(b))])
			hashes = append(hashes, h[:]...)
		}
		if len(hashes) == len(Digest{}) {
			return descriptor(int64(len(content)), Digest(hashes))
		}
		level = hashes
	}
}

func TestMeasure(t *testing.T) {
	// Of fsverity digest, for an empty file.
	if got := measured("").String(); got != "3d248ca542a24fc62d1c43b916eae5016878e2533c88238480b26128a1f1af95" {
		t.Errorf("an empty file has digest %s", got)
	}
	random := rand.NewChaCha8([32]byte{})
	// Around a block, around the 128 hashes that a block of the tree holds, and two levels above it.
	for _, size := range []int{1, 4095, 4096, 4097, 2 * 4096, 127 * 4096, 128 * 4096, 128*4096 + 1, 129 * 4096, 256 * 4096, 257 * 4096, 128*128*4096 + 5} {
		content := make([]byte, size)
		random.Read(content)
		got, err := Measure(bytes.NewReader(content), int64(size))
		if want := reference(content); err != nil || got != want {
			t.Errorf("%d bytes: %v, %v, want %v", size, got, err, want)
		}
	}
}

func TestMeasureEndsWithTheFile(t *testing.T) {
	if _, err := Measure(strings.NewReader("short"), 6); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a file that shrank: %v", err)
	}
	if _, err := Measure(strings.NewReader(""), MaxImage+1); err == nil {
		t.Error("a file beyond the limit is measured")
	}
}

func TestDigestText(t *testing.T) {
	d := measured("x")
	if got, err := ParseDigest(d.String()); err != nil || got != d {
		t.Errorf("%v, %v", got, err)
	}
	for _, s := range []string{"", "00", strings.Repeat("g", 64), d.String() + "00"} {
		if _, err := ParseDigest(s); err == nil {
			t.Errorf("ParseDigest(%q) is accepted", s)
		}
	}
}

func BenchmarkMeasure1MB(b *testing.B) {
	content := make([]byte, 1<<20)
	b.SetBytes(1 << 20)
	for b.Loop() {
		Measure(bytes.NewReader(content), 1<<20)
	}
}
