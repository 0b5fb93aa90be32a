package codesign

import (
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A memfd can be written to while it is executed.
func TestFileWithoutName(t *testing.T) {
	fd, err := unix.MemfdCreate("program", 0)
	if err != nil {
		t.Skip("no memfd: ", err)
	}
	f := os.NewFile(uintptr(fd), "/memfd:program")
	defer f.Close()
	w := newWorld(t)
	w.store(w.sign(manifest("content")))
	_, err = f.WriteString("content")
	w.ok(err)
	if _, err := w.verifier().Verify(ctx, f); !errors.Is(err, ErrImage) || !strings.Contains(err.Error(), "memfd") {
		t.Errorf("%v", err)
	}
}

// What runs is verified through the kernel's link to it, not by its name.
func TestRunningImage(t *testing.T) {
	f, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Skip("no /proc: ", err)
	}
	defer f.Close()
	info, err := f.Stat()
	w := newWorld(t)
	w.ok(err)
	m := manifest("")
	m.Files[0].Size = info.Size()
	m.Files[0].Digest, err = Measure(f, info.Size())
	w.ok(err)
	if d, ok := kernelDigest(f); ok && d != m.Files[0].Digest {
		t.Errorf("the kernel has digest %s, measured is %s", d, m.Files[0].Digest)
	}
	w.store(w.sign(m))
	if p, err := w.verifier().Verify(ctx, f); err != nil || p.Digest != m.Files[0].Digest {
		t.Errorf("%+v, %v", p, err)
	}
}
