package transporttest

import (
	"io"
	"math"
	"runtime"
	"testing"

	"github.com/openxpc/openxpc/transport"
)

var hostileTests = []test{
	{"Lies", lies},
	{"ClaimWithoutBytes", claimWithoutBytes},
	{"DeathInMidFrame", deathInMidFrame},
}

// lies: what a header claims is checked before anything is believed.
func lies(t *testing.T, m Medium) {
	small := transport.Options{MaxBody: 1000, MaxFiles: 2}
	for _, x := range []struct {
		name  string
		opts  transport.Options
		bytes []byte
		files int
	}{
		{"longer than the default limit", none, encode(0, 0, 1, 0, 64<<20+1, nil), 0},
		{"as long as can be written", none, encode(0, 0, 1, 0, math.MaxUint32, nil), 0},
		{"negative when taken for an int32", none, encode(0, 0, 1, 0, 1<<31, nil), 0},
		{"longer than its own limit", small, encode(0, 0, 1, 0, 1001, nil), 0},
		{"more descriptors than a frame carries", none, encode(0, 0, 1, transport.MaxDescriptors+1, 0, nil), 0},
		{"more descriptors than its own limit", small, encode(0, 0, 1, 3, 0, nil), 3},
		{"descriptors that did not come", none, encode(0, 0, 1, 2, 3, []byte("abc")), 1},
		{"descriptors that no frame claims, before a header", small, []byte{0}, 3},
	} {
		t.Run(x.name, func(t *testing.T) {
			c, peer := m.Raw(t, x.opts)
			defer c.Close()
			defer peer.Close()
			r := record(c)
			files, _ := descriptors(t, x.files)
			defer closeFiles(files)
			write(t, peer, x.bytes, files...)
			r.wantProtocolError(t, x.name)
		})
	}
	t.Run("descriptors that no frame claims", func(t *testing.T) {
		c, peer := m.Raw(t, none)
		defer c.Close()
		defer peer.Close()
		r := record(c)
		files, _ := descriptors(t, 1)
		defer closeFiles(files)
		write(t, peer, frame(1, nil), files...)
		if f := <-r.frames; len(f.Files) != 0 {
			t.Errorf("%d descriptors came with a frame that claims none", len(f.Files))
		}
		r.wantProtocolError(t, "a descriptor remains and no frame is under way")
	})
}

// claimWithoutBytes: a header alone costs no memory, however much it claims.
func claimWithoutBytes(t *testing.T, m Medium) {
	c, peer := m.Raw(t, none)
	defer c.Close()
	defer peer.Close()
	r := record(c)
	write(t, peer, frame(1, nil))
	<-r.frames // buffers and goroutines exist now
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	write(t, peer, encode(0, 0, 2, 0, 64<<20, make([]byte, 20_000)))
	peer.Close()
	r.wantEnd(t, "the frame was not complete", io.ErrUnexpectedEOF)
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Errorf("%d bytes were allocated for 20,016 that came: a claim must not cost memory", n)
	}
}

func deathInMidFrame(t *testing.T, m Medium) {
	whole := encode(0, 0, 7, 1, 100_000, pattern(7, 100_000))
	for _, cut := range []int{1, transport.HeaderSize - 1, transport.HeaderSize, transport.HeaderSize + 1, 64 << 10, len(whole) - 1} {
		c, peer := m.Raw(t, none)
		r := record(c)
		files, _ := descriptors(t, 1)
		write(t, peer, whole[:cut], files...)
		closeFiles(files)
		peer.Close()
		r.wantEnd(t, "the peer died in the middle of a frame", io.ErrUnexpectedEOF)
		r.wantIdle(t, "a frame cut short is not delivered")
		c.Close()
	}
}
