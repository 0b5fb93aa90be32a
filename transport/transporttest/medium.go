package transporttest

import (
	"testing"

	"github.com/openxpc/openxpc/integration/leaktest"
	"github.com/openxpc/openxpc/transport"
)

// Medium makes what the tests run over. Both functions are required.
type Medium struct {
	// Pair returns two connected ends, not started; the tests close them.
	Pair func(t testing.TB, a, b transport.Options) (x, y *transport.Conn)
	// Raw returns one end, not started, and the bytes at the other.
	Raw func(t testing.TB, o transport.Options) (*transport.Conn, Wire)
}

// Wire is the far end of a connection as bytes: a peer that need not follow the
// rules. One goroutine at a time may write, one may read.
type Wire interface {
	// Write sends all of b, with the descriptors on its first byte; they stay the caller's.
	Write(b []byte, files ...*transport.Descriptor) error
	// Read waits for bytes and returns io.EOF at the end.
	Read(b []byte) (int, error)
	// Close ends both directions; a second call does nothing.
	Close()
}

// Run tries everything on m, and checks after each test that no descriptor is left open.
func Run(t *testing.T, m Medium) {
	for _, group := range [...][]test{frameTests, hostileTests, closeTests, waitTests, pauseTests} {
		for _, x := range group {
			t.Run(x.name, func(t *testing.T) {
				before := leaktest.Descriptors()
				x.run(t, m)
				Eventually(t, "the descriptors that the test opened are closed", func() bool {
					return leaktest.Descriptors() <= before // an earlier test may still have been closing
				})
			})
		}
	}
}

type test struct {
	name string
	run  func(*testing.T, Medium)
}
