package xpc

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"weak"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/transport"
	"github.com/openxpc/openxpc/xpc/internal/memory"
	"github.com/openxpc/openxpc/xpc/wire"
)

// bothWays runs f where memory is sealed and mapped, and where it is a file that
// the receiver copies.
func bothWays(t *testing.T, f func(t *testing.T, sealed bool)) {
	before := memory.Seals()
	defer memory.UseFiles(!before)
	if before {
		t.Run("sealed", func(t *testing.T) { f(t, true) })
	}
	t.Run("files", func(t *testing.T) {
		memory.UseFiles(true)
		f(t, false)
	})
}

func pattern(n int) []byte { return bytes.Repeat([]byte("0123456789abcdef"), n/16+1)[:n] }

// exchange sends m to an echo service that has said HELLO, and returns the reply.
func exchange(t *testing.T, c *Connection, m *Dictionary) *Dictionary {
	t.Helper()
	if _, err := c.SendMessageWithReplySync(context.Background(), NewDictionary()); err != nil {
		t.Fatal(err)
	}
	r, err := c.SendMessageWithReplySync(context.Background(), m)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestR022_DataOfEachSizeSurvives(t *testing.T) {
	bothWays(t, func(t *testing.T, sealed bool) {
		c := dialEcho(t)
		for _, n := range []int{0, 1, sharedDataFrom - 1, sharedDataFrom, sharedDataFrom + 1, 3<<20 + 5} {
			m := NewDictionary()
			m.SetData("set", pattern(n))
			m.Set("new", NewData(pattern(n)))
			r := exchange(t, c, m)
			if !Equal(r, m) || Hash(r) != Hash(m) || !bytes.Equal(r.GetData("set"), pattern(n)) {
				t.Errorf("%d bytes did not survive", n)
			}
			if shared := r.Get("set").(*Data).shared != nil; shared != (sealed && n >= sharedDataFrom) {
				t.Errorf("%d bytes: shared is %v", n, shared)
			}
		}
	})
}

func TestSharedDataIsBuiltInPlace(t *testing.T) {
	bothWays(t, func(t *testing.T, sealed bool) {
		const n = 1<<20 + 7
		s, err := NewSharedData(n)
		if err != nil {
			t.Fatal(err)
		}
		copy(s.Bytes(), pattern(n))
		d, err := s.Freeze()
		if err != nil {
			t.Fatal(err)
		}
		again, _ := s.Freeze()
		if d != again || d.Len() != n || &d.Bytes()[0] != &s.Bytes()[0] {
			t.Error("Freeze copied, or gave another object")
		}
		m := NewDictionary()
		m.Set("d", d)
		r := exchange(t, dialEcho(t), m)
		if !Equal(r.Get("d"), NewData(pattern(n))) {
			t.Error("what was built did not arrive")
		}
		if d.CopyBytes(n-3, make([]byte, 10)) != 3 {
			t.Error("CopyBytes gives what there is (R23)")
		}
	})
	for _, n := range []int{0, -1} {
		if _, err := NewSharedData(n); err == nil {
			t.Errorf("shared data of %d bytes was made", n)
		}
	}
}

// An echo, a proxy and a fan-out send the very file that came, and map nothing.
func TestReceivedDataIsSentOnAsItIs(t *testing.T) {
	if !memory.Seals() {
		t.Skip("memory that is not sealed is copied")
	}
	m := NewDictionary()
	m.SetData("d", pattern(1<<20))
	r := exchange(t, dialEcho(t), m)
	sentOn := NewDictionary()
	sentOn.Set("d", r.Get("d"))
	came := r.Get("d").(*Data).shared
	for range 100 {
		_, files, err := encodeMessage(nil, sentOn, &defaultLimits)
		if err != nil || len(files) != 1 || files[0] != came.d {
			t.Fatalf("%v: another file than the one that came", err)
		}
		closeAll(files)
	}
	if came.mem != nil {
		t.Error("it was mapped, although nobody looked at it")
	}
	if !bytes.Equal(r.GetData("d"), pattern(1<<20)) {
		t.Error("it can be read no more after it was sent on")
	}
}

// To look at some bytes of large data (R23) takes neither a mapping nor the page
// tables and the faults of one, and gives what a mapping would.
func TestR023_AReadMapsNothing(t *testing.T) {
	if !memory.Seals() {
		t.Skip("memory that is not sealed is copied")
	}
	const n = 1<<20 + 7
	m := NewDictionary()
	m.SetData("d", pattern(n))
	d := exchange(t, dialEcho(t), m).Get("d").(*Data)
	for _, mapped := range []bool{false, true} {
		for range mostLooks {
			if mapped { // who takes many small pieces has it mapped
				d.CopyBytes(7, make([]byte, 1))
			}
		}
		for _, off := range []int{0, 1, 4095, n - 5, n - 1, n} {
			got := make([]byte, 5)
			if k, want := d.CopyBytes(off, got), pattern(n)[off:min(off+5, n)]; !bytes.Equal(got[:k], want) {
				t.Errorf("at %d: got %q, want %q", off, got[:k], want)
			}
		}
		if (d.shared.mem != nil) != mapped {
			t.Errorf("mapped: %v, want %v", !mapped, mapped)
		}
	}
	d = exchange(t, dialEcho(t), m).Get("d").(*Data)
	if err := iotest.TestReader(io.NewSectionReader(d, 0, n), pattern(n)); err != nil {
		t.Error(err)
	}
}

// What came back, or came before, is the same memory: it takes neither a descriptor
// nor a mapping more.
func TestKnownDataIsRecognised(t *testing.T) {
	if !memory.Seals() {
		t.Skip("memory that is not sealed is copied")
	}
	d := NewData(pattern(1 << 20))
	if !memory.Same(d.shared.d.FD(), d.shared.d.FD()) {
		t.Skip("this kernel cannot tell (Linux 6.10 can)")
	}
	m := NewDictionary()
	m.Set("d", d)
	c := dialEcho(t)
	for range 2 {
		if r := exchange(t, c, m).Get("d").(*Data); r.shared != d.shared {
			t.Error("the memory that was sent was not recognised")
		}
	}
	body, files, err := encodeMessage(nil, m, &defaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := files[0].Dup() // as a socket does
	closeAll(files)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := decode(append(body, 0), []*transport.Descriptor{transport.NewDescriptor(fd)}, Limits{}); err == nil {
		t.Fatal("a byte more than a message was taken")
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
		t.Error("the descriptor of a broken message is open")
	}
	if r := exchange(t, c, m).Get("d").(*Data); r.shared != d.shared || !bytes.Equal(r.Bytes(), pattern(1<<20)) {
		t.Error("a broken message has taken the memory away")
	}
}

// Numbers of files come again: only the kernel says which are the same.
func TestNumberOfAFileProvesNothing(t *testing.T) {
	if !memory.Seals() {
		t.Skip("memory that is not sealed is copied")
	}
	other, d := NewData(bytes.Repeat([]byte("x"), 1<<20)), NewData(pattern(1<<20))
	id, ok := memory.Identify(d.shared.d.FD())
	if !ok {
		t.Fatal("it has no number")
	}
	regions.mu.Lock()
	regions.byFile[id] = weak.Make(other.shared)
	regions.mu.Unlock()
	m := NewDictionary()
	m.Set("d", d)
	if got := exchange(t, dialEcho(t), m); !bytes.Equal(got.GetData("d"), pattern(1<<20)) {
		t.Error("another's memory was taken for it")
	}
	runtime.KeepAlive(other)
}

// Long data that came inline, as before HELLO, is copied once, however often it is
// sent on.
func TestInlineDataIsCopiedOnce(t *testing.T) {
	if !memory.Seals() {
		t.Skip("memory that is not sealed is copied")
	}
	m := NewDictionary()
	m.SetData("d", pattern(1<<20))
	body, _, err := encodeMessage(nil, m, &unsureLimits)
	if err != nil {
		t.Fatal(err)
	}
	came, _, err := decode(body, nil, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	sentOn := NewDictionary()
	sentOn.Set("d", came.Get("d"))
	_, first, err := encodeMessage(nil, sentOn, &defaultLimits)
	if err != nil || len(first) != 1 {
		t.Fatalf("%v, %d descriptors: want it shared", err, len(first))
	}
	_, second, _ := encodeMessage(nil, sentOn, &defaultLimits)
	if len(second) != 1 || first[0] != second[0] {
		t.Error("it was copied again")
	}
	closeAll(append(first, second...))
	if !bytes.Equal(came.GetData("d"), pattern(1<<20)) {
		t.Error("it has changed")
	}
}

func TestR028_SharedMemoryIsShared(t *testing.T) {
	bothWays(t, func(t *testing.T, _ bool) {
		s, err := NewSharedMemory(5000)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if page := os.Getpagesize(); s.Len()%page != 0 || s.Len() < 5000 {
			t.Errorf("%d bytes, want whole pages", s.Len())
		}
		m := NewDictionary()
		m.Set("s", s)
		r := exchange(t, dialEcho(t), m)
		got := r.Get("s").(*SharedMemory)
		here, err := s.Map()
		if err != nil {
			t.Fatal(err)
		}
		a, err := got.Map()
		if err != nil {
			t.Fatal(err)
		}
		b, _ := got.Map()
		here[4999] = 7
		if a[4999] != 7 || b[4999] != 7 || &a[0] == &b[0] || len(a) != s.Len() {
			t.Error("each Map is another mapping of the same memory")
		}
		c := Copy(got).(*SharedMemory)
		got.Close()
		a[0] = 3
		if _, err := got.Map(); err == nil || here[0] != 3 {
			t.Error("Close ends the box, not its mappings")
		}
		if again, err := c.Map(); err != nil || again[0] != 3 {
			t.Errorf("a copy has a descriptor of its own: %v", err)
		}
		c.Close()
		if Equal(s, c) || !Equal(s, s) || !strings.Contains(Description(s), "shmem") {
			t.Error("shared memory equals itself only (R12)")
		}
	})
	if _, err := NewSharedMemory(0); err == nil {
		t.Error("shared memory of no bytes was made")
	}
}

// A message may hold every descriptor that is allowed and long data too: data
// needs none.
func TestDataGivesWayToDescriptors(t *testing.T) {
	d := NewDictionary()
	d.SetData("data", pattern(1<<20))
	list := NewArray()
	for range wire.MaxDescriptors {
		list.Append(box(t))
	}
	d.Set("list", list)
	body, files, err := encodeMessage(nil, d, &defaultLimits)
	if err != nil || len(files) != wire.MaxDescriptors || len(body) < 1<<20 {
		t.Errorf("%v: %d descriptors and %d bytes", err, len(files), len(body))
	}
	closeAll(files)
	list.Append(box(t))
	var over *LimitError
	if _, _, err := encodeMessage(nil, d, &defaultLimits); !errors.As(err, &over) || over.Limit != "MaxDescriptors" {
		t.Errorf("one descriptor too many: got %v, want the limit by name", err)
	}
}

func TestLimitsOfSharing(t *testing.T) {
	d := NewDictionary()
	d.SetData("data", pattern(1<<20))
	shm, err := NewSharedMemory(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	defer shm.Close()
	m := NewDictionary()
	m.Set("memory", shm)
	for _, c := range []struct {
		why   string
		d     *Dictionary
		lim   Limits
		limit string // "" is: it is sent
		files int
	}{
		{"data is shared", d, Limits{}, "", 1},
		{"data may be short of the threshold", d, Limits{SharedDataFrom: 2 << 20}, "", 0},
		{"data that may not be shared goes inline", d, Limits{MaxSharedSize: 1<<20 - 1}, "", 0},
		{"neither way", d, Limits{MaxSharedSize: 1<<20 - 1, MaxMessageSize: 1 << 20}, "MaxSharedSize", 0},
		{"shared memory has no other way", m, Limits{MaxSharedSize: 1<<20 - 1}, "MaxSharedSize", 0},
		{"shared memory within", m, Limits{MaxSharedSize: 1 << 20}, "", 1},
	} {
		lim := c.lim.withDefaults()
		_, files, err := encodeMessage(nil, c.d, &lim)
		var over *LimitError
		switch {
		case c.limit == "" && (err != nil || len(files) != c.files):
			t.Errorf("%s: %v, %d descriptors", c.why, err, len(files))
		case c.limit != "" && (!errors.As(err, &over) || over.Limit != c.limit):
			t.Errorf("%s: got %v", c.why, err)
		}
		closeAll(files)
	}
	_, files, _ := encodeMessage(nil, m, &defaultLimits)
	body, _, _ := encodeMessage(nil, m, &defaultLimits)
	if _, _, err := decode(body, files, Limits{MaxSharedSize: 1<<20 - 1}); err == nil || !strings.Contains(err.Error(), "MaxSharedSize") {
		t.Errorf("a receiver with a lower limit: got %v", err)
	}
}

// Who has not said that it knows shared data gets it inline; what does not fit
// there is refused at the sender, by name.
func TestPeerThatSharesNothing(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		r.open()
		r.c.mu.Lock()
		r.c.link.limits.maxShared = 0
		r.c.agreeLimits()
		r.c.mu.Unlock()
		m := NewDictionary()
		m.SetData("data", pattern(1<<20))
		if o, err := r.c.pack(m); err != nil || len(o.frame.Files) != 0 {
			t.Errorf("%v, %d descriptors: want the data in the body", err, len(o.frame.Files))
		}
		s, err := NewSharedMemory(1)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		m.Set("memory", s)
		if _, err := r.c.pack(m); err == nil || !strings.Contains(err.Error(), "MaxSharedSize") {
			t.Errorf("got %v, want the limit by name", err)
		}
	})
}

// Before the other side has said HELLO, data is shared only if there is no other way.
func TestSharingBeforeHello(t *testing.T) {
	lim := unsureLimits
	d := NewDictionary()
	d.SetData("d", pattern(1<<20))
	if _, files, err := encodeMessage(nil, d, &lim); err != nil || len(files) != 0 {
		t.Errorf("%v, %d descriptors", err, len(files))
	}
}

// TestHostileMemory: whatever a peer sends in place of sealed memory is refused
// with a reason or copied; nothing of it stays open, and nothing is mapped.
func TestHostileMemory(t *testing.T) {
	if !memory.Seals() {
		t.Skip("what follows is about seals")
	}
	const n = sharedDataFrom
	memfd := func(t *testing.T, size int64, seals int) int {
		fd, err := unix.MemfdCreate("hostile", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
		if err != nil {
			t.Fatal(err)
		}
		unix.Fallocate(fd, 0, 0, size)
		unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals)
		return fd
	}
	for _, c := range []struct {
		name  string
		kind  func([]byte, int, uint64) []byte
		file  func(*testing.T) int
		claim uint64
		want  string // "" is: delivered
	}{
		{"without seals", wire.AppendSharedData, func(t *testing.T) int { return memfd(t, n, 0) }, n, ""},
		{"sealed but short", wire.AppendSharedData, func(t *testing.T) int { return memfd(t, n/2, constantSeals) }, n, "shorter"},
		{"without seals and short", wire.AppendSharedData, func(t *testing.T) int { return memfd(t, n/2, 0) }, n, "shorter"},
		{"no memory", wire.AppendSharedData, func(t *testing.T) int { fd, _ := unix.Open("/dev/zero", unix.O_RDONLY|unix.O_CLOEXEC, 0); return fd }, n, "not shared memory"},
		{"more than anybody has", wire.AppendSharedData, func(t *testing.T) int { return memfd(t, n, constantSeals) }, 1 << 62, "MaxSharedSize"},
		{"2^64 - 1", wire.AppendSharedData, func(t *testing.T) int { return memfd(t, n, constantSeals) }, 1<<64 - 1, "MaxSharedSize"},
		{"shared memory that can shrink", wire.AppendSharedMemory, func(t *testing.T) int { return memfd(t, n, 0) }, n, "not sealed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, func(t *testing.T, r *ring) {
				r.open()
				d := transport.NewDescriptor(c.file(t))
				body := c.kind(wire.AppendString(wire.AppendMapHeader(nil, 1), "d"), 0, c.claim)
				r.p().put(&transport.Frame{Kind: frameMessage, ID: r.p().nextID(), Body: body, Files: []*transport.Descriptor{d}})
				settle()
				r.c.mu.Lock()
				cause := r.c.rare.cause
				r.c.mu.Unlock()
				switch {
				case c.want == "" && cause != nil:
					t.Errorf("got %v, want that it is copied", cause)
				case c.want != "" && (cause == nil || !strings.Contains(cause.Error(), c.want)):
					t.Errorf("got %v, want a reason with %q", cause, c.want)
				}
				wantClosed(t, "nothing that came stays open", []*transport.Descriptor{d})
			})
		})
	}
}

const constantSeals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE

// rounds is the demanded number under make soak, else the daily one.
func rounds(demanded, daily int) int {
	if os.Getenv("SOAK") != "" {
		return demanded
	}
	return daily
}

// Row 28: a sender that cuts its memory, makes holes in it and fills it again while
// it is copied: the receiver sees all of it or a reason, and lives. What is sealed
// against cutting alone can still get holes, so it is copied as well.
func TestRow28_MemoryThatChangesWhileItIsRead(t *testing.T) {
	if !memory.Seals() {
		t.Skip("what follows is about seals")
	}
	for what, seals := range map[string]int{"without seals": 0, "sealed against cutting": unix.F_SEAL_SHRINK | unix.F_SEAL_GROW} {
		fd, err := unix.MemfdCreate("hostile", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		unix.Fallocate(fd, 0, 0, sharedDataFrom)
		unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals)
		change := func() {
			unix.Ftruncate(fd, 0)
			unix.Fallocate(fd, 0, 0, sharedDataFrom)
			unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, sharedDataFrom/2)
			unix.Fallocate(fd, 0, 0, sharedDataFrom)
		}
		body := wire.AppendSharedData(wire.AppendString(wire.AppendMapHeader(nil, 1), "d"), 0, sharedDataFrom)
		all, delivered := rounds(10_000, 1000), 0
		whileChanging(change, func() {
			for range all {
				d, _ := transport.DupDescriptor(fd)
				m, _, err := decode(bytes.Clone(body), []*transport.Descriptor{d}, Limits{})
				if err != nil {
					continue
				}
				delivered++
				got := m.Get("d").(*Data)
				if got.shared != nil {
					t.Fatalf("%s: it was mapped", what)
				}
				if len(bytes.TrimLeft(got.Bytes(), "\x00")) != 0 || got.Len() != sharedDataFrom {
					t.Fatalf("%s: something that never was there was read", what)
				}
			}
		})
		t.Logf("%s: %d of %d were read whole", what, delivered, all)
	}
}

// whileChanging runs f while change is run again and again.
func whileChanging(change, f func()) {
	stop, done := make(chan struct{}), make(chan struct{})
	go func() { // ends with stop
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				change()
			}
		}
	}()
	defer func() { close(stop); <-done }()
	f()
}

// Row 28: shared memory stays what both sides write to, so the other side can make
// holes in it. They read as zeros; a reader of the mapping does not die.
func TestRow28_SharedMemoryWithHoles(t *testing.T) {
	if !memory.Seals() {
		t.Skip("holes are Linux's")
	}
	const n = 64 << 10
	s, err := NewSharedMemory(n)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	b, err := s.Map()
	if err != nil {
		t.Fatal(err)
	}
	fd := s.fd.d.FD()
	if err := unix.Ftruncate(fd, 0); err == nil {
		t.Fatal("it could be cut")
	}
	whileChanging(func() {
		unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, n)
	}, func() {
		for i := range rounds(10_000, 1000) {
			for at := 0; at < n; at += 4096 {
				b[at] = byte(i)
				if got := b[at]; got != byte(i) && got != 0 {
					t.Fatalf("read %d, which nobody wrote", got)
				}
			}
		}
	})
}

// Row 29: what is decoded while its sender writes to it is a snapshot, read once.
func TestRow29_DecodedOnce(t *testing.T) {
	if !memory.Seals() {
		t.Skip("what follows is about seals")
	}
	const n = 4096
	fd, err := unix.MemfdCreate("hostile", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	text := bytes.Repeat([]byte{1}, n)
	unix.Pwrite(fd, text, 0)
	body := wire.AppendSharedData(wire.AppendString(wire.AppendMapHeader(nil, 1), "d"), 0, n)
	whileChanging(func() {
		text[0]++
		copy(text[1:], text)
		unix.Pwrite(fd, text, 0)
	}, func() {
		for range rounds(1_000_000, 5000) {
			d, _ := transport.DupDescriptor(fd)
			m, _, err := decode(bytes.Clone(body), []*transport.Descriptor{d}, Limits{})
			if err != nil {
				t.Fatal(err)
			}
			b := m.GetData("d")
			if first := bytes.Clone(b); !bytes.Equal(first, b) || m.Get("d").(*Data).shared != nil {
				t.Fatal("what was received changes")
			}
		}
	})
}

// Row 29: a terabyte of holes is refused for what it is, and costs nothing.
func TestRow29_TerabyteOfHoles(t *testing.T) {
	if !memory.Seals() {
		t.Skip("what follows is about seals")
	}
	const tera = 1 << 40
	for _, seals := range []int{0, constantSeals} {
		fd, err := unix.MemfdCreate("hostile", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		if err := unix.Ftruncate(fd, tera); err != nil {
			t.Fatal(err)
		}
		unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals)
		for _, c := range []struct {
			claim uint64
			lim   Limits
			want  string
		}{
			{tera, Limits{}, "MaxSharedSize"},
			{tera, Limits{MaxSharedSize: math.MaxInt}, "holes"},
			{1 << 30, Limits{}, "holes"},
		} {
			body := wire.AppendSharedData(wire.AppendString(wire.AppendMapHeader(nil, 1), "d"), 0, c.claim)
			d, _ := transport.DupDescriptor(fd)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			_, _, err := decode(body, []*transport.Descriptor{d}, c.lim)
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%d bytes claimed: got %v, want a reason with %q", c.claim, err, c.want)
			}
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
				t.Errorf("%d bytes claimed: %d bytes were allocated", c.claim, grown)
			}
			t.Logf("%d bytes claimed: refused after %v", c.claim, took)
		}
	}
}

// Regions that nobody sees any more go, and take their descriptors along.
func TestRegionsEnd(t *testing.T) {
	if !memory.Seals() {
		t.Skip("without seals there are no regions")
	}
	for range 3000 {
		NewData(pattern(sharedDataFrom))
	}
	for range 1000 {
		if regions.live.Load() < 100 {
			return
		}
		runtime.GC()
	}
	t.Errorf("%d regions are left", regions.live.Load())
}

// What a message shares counts while it is queued, so that a peer that does not
// read cannot make its sender keep all of it.
func TestSharedDataCountsAsQueued(t *testing.T) {
	each(t, func(t *testing.T, r *ring) {
		r.c.SetLimits(Limits{MaxQueuedBytes: 4 << 20})
		r.open()
		r.suspend()
		m := NewDictionary()
		m.SetData("data", pattern(1<<20))
		sent := 0
		for ; sent < 100 && r.c.InvalidationReason() == ""; sent++ {
			r.c.SendMessage(m)
		}
		if sent > 5 || !strings.Contains(r.c.InvalidationReason(), "MaxQueuedBytes") {
			t.Errorf("%d messages of 1 MiB were queued: %q", sent, r.c.InvalidationReason())
		}
	})
}
