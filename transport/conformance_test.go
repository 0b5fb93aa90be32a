package transport_test

import (
	"io"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/transport"
	"github.com/openxpc/openxpc/transport/transporttest"
)

func TestPipeConforms(t *testing.T) {
	transporttest.Run(t, transporttest.Medium{
		Pair: func(_ testing.TB, a, b transport.Options) (*transport.Conn, *transport.Conn) {
			return transport.Pipe(a, b)
		},
		Raw: func(_ testing.TB, o transport.Options) (*transport.Conn, transporttest.Wire) {
			c, peer := transport.RawPipe(o)
			return c, peer
		},
	})
}

func TestSocketConforms(t *testing.T) {
	transporttest.Run(t, transporttest.Medium{
		Pair: func(t testing.TB, a, b transport.Options) (*transport.Conn, *transport.Conn) {
			x, y := socketPair(t)
			return newSocket(t, x, a), newSocket(t, y, b)
		},
		Raw: func(t testing.TB, o transport.Options) (*transport.Conn, transporttest.Wire) {
			x, y := socketPair(t)
			return newSocket(t, x, o), &rawSocket{fd: y}
		},
	})
}

// TestNarrowSocketConforms: hardly anything fits into the kernel's buffers, so almost every write is short.
func TestNarrowSocketConforms(t *testing.T) {
	narrow := func(t testing.TB) (int, int) {
		x, y := socketPair(t)
		for _, fd := range []int{x, y} {
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 1); err != nil {
				t.Fatal(err)
			}
		}
		return x, y
	}
	x, y := narrow(t)
	a, b := newSocket(t, x, transport.Options{}), newSocket(t, y, transport.Options{})
	defer a.Close()
	defer b.Close()
	got := &keeper{frames: make(chan string, 1000), closed: make(chan error, 1)}
	b.Start(got)
	var want []string
	for i := range 100 {
		body := make([]byte, i*97)
		for k := range body {
			body[k] = byte(i + k)
		}
		want = append(want, string(body))
		a.Append(&transport.Frame{ID: uint64(i), Body: body})
		a.Flush()
	}
	for i := range want {
		if body := <-got.frames; body != want[i] {
			t.Fatalf("frame %d differs: %d bytes, want %d", i, len(body), len(want[i]))
		}
	}
}

type keeper struct {
	frames chan string
	closed chan error
}

func (k *keeper) Receive(f *transport.Frame, _ bool) transport.Outcome {
	k.frames <- string(f.Body)
	return 0
}
func (k *keeper) Work()            {}
func (k *keeper) Closed(err error) { k.closed <- err }

func socketPair(t testing.TB) (int, int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	return fds[0], fds[1]
}

func newSocket(t testing.TB, fd int, o transport.Options) *transport.Conn {
	t.Helper()
	c, err := transport.NewSocket(fd, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// rawSocket is the far end of a socket as bytes.
type rawSocket struct {
	fd     int
	closed bool
}

func (r *rawSocket) Write(b []byte, files ...*transport.Descriptor) error {
	var control []byte
	if len(files) > 0 {
		fds := make([]int, len(files))
		for i, d := range files {
			fds[i] = d.FD()
		}
		control = unix.UnixRights(fds...)
	}
	for len(b) > 0 {
		n, err := unix.SendmsgN(r.fd, b, control, nil, unix.MSG_NOSIGNAL)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		b, control = b[n:], nil
	}
	return nil
}

func (r *rawSocket) Read(b []byte) (int, error) {
	for {
		n, err := unix.Read(r.fd, b)
		switch {
		case err == unix.EINTR:
			continue
		case n == 0 && err == nil:
			return 0, io.EOF
		}
		return max(n, 0), err
	}
}

func (r *rawSocket) Close() {
	if !r.closed {
		r.closed = true
		unix.Close(r.fd)
	}
}
