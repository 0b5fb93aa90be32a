package memory

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What is made in two threads is whole, wherever huge pages end and small ones begin.
func TestLongFiles(t *testing.T) {
	if !Seals() {
		t.Skip("this process makes files")
	}
	defer func(c func([]byte) error) { collapse = c; hugeAgain.Store(0) }(collapse)
	whole := make([]byte, hugeFrom+5*hugePage/2+8)
	for i := 0; i < len(whole); i += 8 { // each place is known by what is there
		binary.NativeEndian.PutUint64(whole[i:], uint64(i)*0x9e3779b97f4a7c15)
	}
	real := collapse
	for name, end := range map[string]struct {
		huge int64
		err  error
	}{"as many as there are": {math.MaxInt64, nil}, "none": {0, unix.ENOMEM}, "an old kernel": {0, unix.EINVAL}, "two": {2, unix.EAGAIN}} {
		for _, n := range []int{len(whole), hugeFrom, hugeFrom + 1, hugeFrom - 1} {
			var asked atomic.Int64
			collapse = func(b []byte) error {
				if asked.Add(1) > end.huge {
					return end.err
				}
				return real(b)
			}
			hugeAgain.Store(0)
			copied, err := CreateFrom(whole[:n])
			must(t, copied, err)
			if again := hugeAgain.Load(); end.err != nil && n >= hugeFrom && (again == math.MaxInt64) != (end.err == unix.EINVAL) {
				t.Errorf("%s: they are asked for again after %v", name, time.Duration(again))
			}
			if _, ok, err := Check(copied, n, ToRead); !ok || err != nil {
				t.Errorf("%s: %d bytes cannot be mapped: %v", name, n, err)
			}
			if b, err := Read(copied, n); err != nil || !bytes.Equal(b, whole[:n]) {
				t.Errorf("%s: what was copied of %d bytes is something else: %v", name, n, err)
			}
			hugeAgain.Store(0)
			asked.Store(0)
			made, err := Create(n, ToRead)
			must(t, made, err)
			var st unix.Stat_t
			if err := unix.Fstat(made, &st); err != nil || st.Size != int64(n) || st.Blocks*512 < int64(n) {
				t.Errorf("%s: %d bytes with memory for %d were made, want %d: %v", name, st.Size, st.Blocks*512, n, err)
			}
		}
	}
}

// Long files lie in huge pages where there are any.
func TestLongFilesLieInHugePages(t *testing.T) {
	if !Seals() {
		t.Skip("this process makes files")
	}
	const n = hugeFrom + hugePage/2
	bare, err := newMemory()
	must(t, bare, err)
	if err := unix.Ftruncate(bare, n); err != nil {
		t.Fatal(err)
	}
	if err := fallocate(bare, 0, 1); err != nil {
		t.Fatal(err)
	}
	made, err := Create(n, ToRead)
	must(t, made, err)
	copied, err := CreateFrom(pattern(n))
	must(t, copied, err)
	for name, fd := range map[string]int{"made": made, "copied": copied} {
		if _, ok, err := Check(fd, n, ToShare); err != nil || ok != (fd == copied) {
			t.Errorf("%s: it can be mapped: %v, %v", name, ok, err)
		}
		if hugeMapped(t, bare, true) > 0 && hugeMapped(t, fd, false) == 0 {
			t.Errorf("%s: it has no huge page, although there are some", name)
		}
	}
}

// Two threads do the work once, and have the processors afterwards that they had before:
// also where the other one cannot come to it.
func TestByTwo(t *testing.T) {
	for _, most := range []int{1, 2} {
		t.Run(fmt.Sprint(most), func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(most))
			before := affinities(t)
			for range 200 {
				var next atomic.Int64
				var done [50]atomic.Int64
				byTwo(func(pause func()) {
					for n := next.Add(1) - 1; n < int64(len(done)); n = next.Add(1) - 1 {
						done[n].Add(1)
						pause()
					}
				})
				for n := range done {
					if got := done[n].Load(); got != 1 {
						t.Fatalf("part %d was done %d times", n, got)
					}
				}
			}
			for allowed := range affinities(t) {
				if !before[allowed] {
					t.Errorf("a thread may use the processors %s, want %v", allowed, before)
				}
			}
		})
	}
}

// affinities are the processors that this process's threads may use.
func affinities(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil || len(files) == 0 {
		t.Skip("there is no /proc")
	}
	all := map[string]bool{}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		_, allowed, _ := strings.Cut(string(text), "Cpus_allowed_list:")
		allowed, _, _ = strings.Cut(allowed, "\n")
		all[strings.TrimSpace(allowed)] = true
	}
	return all
}

// hugeMapped is how many kB of a file's start are mapped by huge pages, which are asked
// for first or not.
func hugeMapped(t *testing.T, fd int, ask bool) (kb int) {
	room, err := unix.MmapPtr(-1, 0, nil, 2*hugePage, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.MunmapPtr(room, 2*hugePage)
	aligned := unsafe.Add(room, -uintptr(room)%hugePage)
	if _, err := unix.MmapPtr(fd, 0, aligned, hugePage, unix.PROT_READ, unix.MAP_SHARED|unix.MAP_FIXED); err != nil {
		t.Fatal(err)
	}
	if ask {
		collapse(unsafe.Slice((*byte)(aligned), hugePage)) // where there are none it says so, and the figure too
	}
	runtime.KeepAlive(*(*byte)(aligned))
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Skip(err)
	}
	_, mine, _ := strings.Cut(string(maps), fmt.Sprintf("\n%x-", uintptr(aligned)))
	_, mine, _ = strings.Cut(mine, "ShmemPmdMapped:")
	fmt.Sscan(mine, &kb)
	return kb
}

// TestWhatASenderMayTry: each file of a hostile sender is refused or copied.
func TestWhatASenderMayTry(t *testing.T) {
	const n = 64 << 10
	memfd := func(flags int) int {
		fd, err := unix.MemfdCreate("hostile", unix.MFD_CLOEXEC|flags)
		if err != nil {
			t.Skipf("memfd_create: %v", err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		return fd
	}
	filled := func(seals int) int {
		fd := memfd(unix.MFD_ALLOW_SEALING)
		if err := writeAll(fd, make([]byte, n), 0); err != nil {
			t.Fatal(err)
		}
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
			t.Fatal(err)
		}
		return fd
	}
	for name, does := range map[string]struct {
		file    func() int
		refused string // "" is: copied
	}{
		"no seals":                     {func() int { return filled(0) }, ""},
		"not sealed against shrinking": {func() int { return filled(unix.F_SEAL_GROW | unix.F_SEAL_WRITE) }, ""},
		"not sealed against writing":   {func() int { return filled(unix.F_SEAL_GROW | unix.F_SEAL_SHRINK) }, ""},
		"sealed against later mappings only": {func() int {
			return filled(unix.F_SEAL_GROW | unix.F_SEAL_SHRINK | unix.F_SEAL_FUTURE_WRITE)
		}, ""},
		"holes, sealed": {func() int {
			fd := memfd(unix.MFD_ALLOW_SEALING)
			unix.Ftruncate(fd, 1<<40)
			Seal(fd)
			return fd
		}, "holes"},
		"on a disk": {func() int {
			f, err := os.Create(filepath.Join(t.TempDir(), "f"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { f.Close() })
			f.Write(make([]byte, n))
			return int(f.Fd())
		}, "not shared memory"},
		"a device": {func() int {
			f, err := os.Open("/dev/zero")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { f.Close() })
			return int(f.Fd())
		}, "not shared memory"},
	} {
		t.Run(name, func(t *testing.T) {
			_, mappable, err := Check(does.file(), n, ToRead)
			switch {
			case mappable:
				t.Error("it would be mapped, and could be changed or taken away")
			case does.refused == "" && err != nil:
				t.Errorf("got %v, want that it is copied", err)
			case does.refused != "" && (err == nil || !strings.Contains(err.Error(), does.refused)):
				t.Errorf("got %v, want an error with %q", err, does.refused)
			}
		})
	}
	t.Run("huge pages", func(t *testing.T) {
		fd := memfd(unix.MFD_ALLOW_SEALING | unix.MFD_HUGETLB)
		unix.Ftruncate(fd, 2<<20)
		Seal(fd)
		if _, _, err := Check(fd, n, ToRead); err == nil || !strings.Contains(err.Error(), "huge pages") {
			t.Errorf("got %v: huge pages can be sealed and still end their reader", err)
		}
	})
	t.Run("shared and not sealed", func(t *testing.T) {
		if _, ok, err := Check(filled(0), n, ToShare); ok || err != nil {
			t.Errorf("got %v %v: it can be shrunk under its reader", ok, err)
		}
	})
}
