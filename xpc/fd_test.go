package xpc

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/transport"
)

// invalidFD is a number that no descriptor of this process has.
const invalidFD = -1

func TestBoxOutlivesWhatWasPutIn(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	fd, err := NewFD(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer fd.Close()
	f.WriteString("hello")
	f.Close()
	got, err := fd.File()
	if err != nil {
		t.Fatalf("the box has a descriptor of its own (R26): %v", err)
	}
	defer got.Close()
	if at, _ := got.Seek(0, io.SeekCurrent); at != 5 {
		t.Errorf("duplicates share their offset, it is %d (R27)", at)
	}
}

func TestEveryDupIsAnother(t *testing.T) {
	fd := box(t)
	a, b := fd.Dup(), fd.Dup()
	if a < 0 || b < 0 || a == b {
		t.Fatalf("got %d and %d, want two descriptors (R26)", a, b)
	}
	for _, n := range []int{a, b} {
		if flags, err := unix.FcntlInt(uintptr(n), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Error("a descriptor must not pass to programs that are started meanwhile")
		}
		unix.Close(n)
	}
}

func TestInvalidDescriptorCannotBeBoxed(t *testing.T) {
	_, err := NewFD(invalidFD)
	if !errors.Is(err, unix.EBADF) || !strings.HasPrefix(err.Error(), "xpc: cannot box descriptor -1") {
		t.Errorf("got %v, want the reason and the number", err)
	}
}

func TestClosedBoxGivesNothing(t *testing.T) {
	fd := box(t)
	var wg sync.WaitGroup
	for range 4 { // further calls take nobody else's ownership away
		wg.Go(func() { fd.Close() })
	}
	wg.Wait()
	if fd.Dup() != -1 {
		t.Error("a closed box gave a descriptor")
	}
	if _, err := fd.File(); !errors.Is(err, transport.ErrDescriptorClosed) {
		t.Errorf("got %v, want the reason", err)
	}
}

func TestClosingABoxTwiceLeavesItsCopyAlone(t *testing.T) {
	fd := box(t)
	c := fd.copy()
	defer c.Close()
	fd.Close()
	fd.Close()
	n := c.Dup()
	if n < 0 {
		t.Fatal("the second Close took the copy's descriptor")
	}
	unix.Close(n)
}

func TestNilAndZeroBoxesAreClosed(t *testing.T) {
	for _, fd := range []*FD{nil, {}} {
		if fd.Dup() != -1 || fd.Close() != nil {
			t.Error("a box with nothing in it behaves as a closed one")
		}
	}
}

// Whoever was handed a box decides when it closes; DupFD hands out no box.
func TestTakenIsWhatWasHandedOut(t *testing.T) {
	fd := box(t)
	d, a := NewDictionary(), NewArray(fd)
	d.Set("k", fd)
	unix.Close(d.DupFD("k"))
	unix.Close(a.DupFD(0))
	_ = Description(d)
	if fd.taken.Load() {
		t.Error("DupFD and Description hand no box out")
	}
	for name, take := range map[string]func(){
		"Dictionary.Get": func() { d.Get("k") },
		"Array.Get":      func() { a.Get(0) },
		"Dictionary.All": func() {
			for range d.All() {
			}
		},
		"Array.All": func() {
			for range a.All() {
			}
		},
	} {
		fd.taken.Store(false)
		if take(); !fd.taken.Load() {
			t.Errorf("%s handed the box out", name)
		}
	}
}
