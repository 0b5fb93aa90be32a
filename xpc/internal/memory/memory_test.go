package memory

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// bothWays runs f with files that are sealed, where that can be, and with others.
func bothWays(t *testing.T, f func(*testing.T)) {
	t.Run("sealed", func(t *testing.T) {
		if !Seals() {
			t.Skip("this system cannot seal")
		}
		f(t)
	})
	t.Run("files", func(t *testing.T) {
		UseFiles(true)
		defer UseFiles(false)
		f(t)
	})
}

func must(t *testing.T, fd int, err error) int {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func pattern(n int) []byte { return bytes.Repeat([]byte("0123456789abcdef"), n/16) }

func TestWhatIsPutInComesOut(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		want := pattern(3 << 20)
		fd, err := CreateFrom(want)
		must(t, fd, err)
		_, mappable, err := Check(fd, len(want), ToRead)
		if err != nil {
			t.Fatal(err)
		}
		if mappable != Seals() {
			t.Errorf("mappable %v: only what nobody can change is mapped", mappable)
		}
		got, err := Read(fd, len(want))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("Read: %v", err)
		}
		if _, err := unix.Pwrite(fd, []byte("x"), 0); err == nil {
			t.Error("who is given the file can change it")
		}
		if err := unix.Ftruncate(fd, 0); err == nil {
			t.Error("who is given the file can cut it")
		}
	})
}

func TestSharedMemoryIsShared(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		fd, err := Create(Pages(5000), ToShare)
		must(t, fd, err)
		if _, ok, err := Check(fd, Pages(5000), ToShare); !ok || err != nil {
			t.Fatal(ok, err)
		}
		a, err := NewRoom(Pages(5000)).Lay(fd, ToShare)
		if err != nil {
			t.Fatal(err)
		}
		b, err := NewRoom(Pages(5000)).Lay(fd, ToShare)
		if err != nil {
			t.Fatal(err)
		}
		a[0], b[5000] = 1, 2
		if b[0] != 1 || a[5000] != 2 || len(a) != Pages(5000) {
			t.Error("the mappings are not of the same memory, or not of whole pages")
		}
		if Seals() {
			if err := unix.Ftruncate(fd, 0); err == nil {
				t.Error("it can be shrunk under those who mapped it")
			}
		}
	})
}

// A mapping lives as long as a part of it can be seen, and its place is the
// collector's again afterwards: whatever is put there must not meet the file.
func TestMappingLivesWithItsSlices(t *testing.T) {
	if !Seals() {
		t.Skip("this system cannot seal")
	}
	want := pattern(256 << 10)
	var kept [][]byte
	for i := range 200 {
		fd, err := CreateFrom(want)
		if err != nil {
			t.Fatal(err)
		}
		b, err := NewRoom(len(want)).Lay(fd, ToRead)
		unix.Close(fd)
		if err != nil {
			t.Fatal(err)
		}
		if i%10 == 0 {
			kept = append(kept, b[len(b)-16:]) // the end alone keeps it
		}
		if i%20 == 0 {
			runtime.GC()
			heap := make([]byte, 300<<10)
			copy(heap, want) // a place that is still mapped to be read would end the process
		}
	}
	runtime.GC()
	for _, b := range kept {
		if string(b) != "0123456789abcdef" {
			t.Fatalf("the kept end of a mapping is %q", b)
		}
	}
}

// The collector sees what a mapping is worth, so it runs before they pile up.
func TestCollectorSeesMappings(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC() // a room that another test left would be used again
	runtime.GC()
	runtime.ReadMemStats(&before)
	r := NewRoom(32 << 20)
	runtime.ReadMemStats(&after)
	// Not HeapAlloc: what other tests left goes meanwhile.
	if got := after.TotalAlloc - before.TotalAlloc; got < 31<<20 {
		t.Errorf("room for 32 MiB counts for %d bytes", got)
	}
	runtime.KeepAlive(r)
}

func TestRefused(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if _, _, err := Check(int(r.Fd()), 1, ToRead); err == nil {
		t.Error("a pipe passed for memory")
	}
	fd, err := CreateFrom(pattern(4096))
	must(t, fd, err)
	if _, _, err := Check(fd, 4097, ToRead); !errors.Is(err, ErrShort) {
		t.Errorf("sealed but short: got %v", err)
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.Write(pattern(4096))
	if _, err := Read(int(f.Fd()), 8192); !errors.Is(err, ErrShort) {
		t.Errorf("what ends while it is read must be told: %v", err)
	}
	if _, err := Create(0, ToRead); err == nil {
		t.Error("memory of no bytes was made")
	}
}

// collectSpares lets the collector come by until so many rooms wait to be used again.
func collectSpares(t *testing.T, size, want int) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; runtime.Gosched() {
		runtime.GC()
		spares.mu.Lock()
		n := len(spares.rooms[size])
		spares.mu.Unlock()
		if n == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d rooms wait to be used again, want %d", n, want)
		}
	}
}

// spareForLong keeps spare rooms for as long as a slow machine may take for a test.
func spareForLong(t *testing.T) {
	set := func(d time.Duration) (was time.Duration) {
		spares.mu.Lock()
		defer spares.mu.Unlock()
		was, spareFor = spareFor, d
		return was
	}
	was := set(time.Hour)
	t.Cleanup(func() { set(was) })
}

// A program that has set the collector a limit would pay for many large ones.
func TestFewLargeRoomsWait(t *testing.T) {
	spareForLong(t)
	const n = 65 << 20
	fd, err := CreateFrom(pattern(4096))
	must(t, fd, err)
	var rooms [fewSpares + 1]*Room
	for i := range rooms {
		rooms[i] = NewRoom(n)
		if _, err := rooms[i].Lay(fd, ToRead); err != nil {
			t.Fatal(err)
		}
	}
	clear(rooms[:])
	collectSpares(t, roomSize(Pages(n)), fewSpares)
	for range 5 {
		runtime.GC()
	}
	collectSpares(t, roomSize(Pages(n)), fewSpares)
}

// A room whose mapping nobody can see is used for the next one of about its size,
// however often the collector has been there, and is given up when none comes.
func TestRoomsAreUsedAgain(t *testing.T) {
	spareForLong(t)
	const n = 40 << 20 // as no other test's
	size := roomSize(Pages(n))
	fd, err := CreateFrom(pattern(4096))
	must(t, fd, err)
	made := func() uintptr {
		b, err := NewRoom(n).Lay(fd, ToRead)
		if err != nil {
			t.Fatal(err)
		}
		return uintptr(unsafe.Pointer(&b[0]))
	}
	first := made()
	collectSpares(t, size, 1)
	for range 5 {
		runtime.GC()
	}
	collectSpares(t, size, 1)
	again := uintptr(0)
	for deadline := time.Now().Add(30 * time.Second); again == 0; runtime.Gosched() { // the collector has it at times
		if p := takeSpare(size); p != nil {
			again = uintptr(unsafe.Pointer(p)) + uintptr(toPage(p))
			keepSpare(p, size)
		} else if time.Now().After(deadline) {
			t.Fatal("no room is to be had")
		}
	}
	if again != first {
		t.Error("it is another room")
	}
	spares.mu.Lock()
	spares.rooms[size][0].since = time.Time{}
	spares.mu.Unlock()
	collectSpares(t, size, 0)
}
