package memory

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Who makes one large file after the other finds the memory of the next one fetched:
// it is as good as any, of just the size that is needed, and given up if none comes.
func TestMemoryIsFetchedAhead(t *testing.T) {
	if !Seals() {
		t.Skip("this system cannot seal")
	}
	waitFor := func(d time.Duration) {
		ahead.Lock()
		defer ahead.Unlock()
		aheadFor = d
	}
	defer waitFor(aheadFor)
	waitFor(time.Hour) // however slow the machine
	next := func() *fetched {
		ahead.Lock()
		defer ahead.Unlock()
		return ahead.next
	}
	whole := pattern(aheadFrom + 1<<20)
	for i, n := range []int{len(whole), len(whole), len(whole) - pageSize - 1, aheadFrom} {
		before := next()
		fd, err := CreateFrom(whole[:n])
		must(t, fd, err)
		if (before != nil) != (i > 1) || before != nil && before.fd != fd {
			t.Errorf("file %d: want that its memory was there, from the third one on", i)
		}
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil || st.Size != int64(n) {
			t.Errorf("file %d has %d bytes, want %d: %v", i, st.Size, n, err)
		}
		if _, ok, err := Check(fd, n, ToRead); !ok || err != nil {
			t.Errorf("file %d cannot be mapped: %v", i, err)
		}
		end := make([]byte, 16)
		if _, err := unix.Pread(fd, end, int64(n-len(end))); err != nil || string(end) != string(whole[n-len(end):n]) {
			t.Errorf("file %d ends with %q: %v", i, end, err)
		}
	}
	f := next()
	if f == nil {
		t.Fatal("nothing was fetched")
	}
	waitFor(0)
	for deadline := time.Now().Add(30 * time.Second); next() != nil; runtime.Gosched() {
		runtime.GC()
		if time.Now().After(deadline) {
			t.Fatal("what was fetched in vain is kept")
		}
	}
	f.Lock()
	defer f.Unlock()
	if _, err := unix.FcntlInt(uintptr(f.fd), unix.F_GETFD, 0); err == nil {
		t.Error("its descriptor is open")
	}
}

// Long files lie in huge pages where there are any, and are as long as they should be.
func TestLongFilesLieInHugePages(t *testing.T) {
	if !Seals() {
		t.Skip("this process makes files")
	}
	const n = hugeFrom + hugePage/2
	whole := pattern(n)
	bare, err := newMemory()
	must(t, bare, err)
	fetchHuge(bare, n, unix.PROT_READ, nil)
	made, err := Create(n, ToRead)
	must(t, made, err)
	copied, err := CreateFrom(whole)
	must(t, copied, err)
	for name, fd := range map[string]int{"made": made, "copied": copied} {
		if _, ok, err := Check(fd, n, ToShare); err != nil || ok != (fd == copied) {
			t.Errorf("%s: it can be mapped: %v, %v", name, ok, err)
		}
		if hugeMapped(t, bare) > 0 && hugeMapped(t, fd) == 0 {
			t.Errorf("%s: it has no huge page, although there are some", name)
		}
	}
	if b, err := Read(copied, n); err != nil || !bytes.Equal(b, whole) {
		t.Errorf("what was copied is something else: %v", err)
	}
}

// hugeMapped is how many kB of a file's start are mapped by huge pages.
func hugeMapped(t *testing.T, fd int) (kb int) {
	room, err := unix.MmapPtr(-1, 0, nil, 2*hugePage, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.MunmapPtr(room, 2*hugePage)
	aligned := unsafe.Add(room, -uintptr(room)%hugePage)
	if _, err := unix.MmapPtr(fd, 0, aligned, hugePage, unix.PROT_READ, unix.MAP_SHARED|unix.MAP_FIXED); err != nil {
		t.Fatal(err)
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
