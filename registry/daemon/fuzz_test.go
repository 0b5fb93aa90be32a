package daemon

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/xpc/bootstrap"
	"github.com/openxpc/openxpc/xpc/wire"
)

// The frames that the fuzz targets speak (docs/protocol.md).
const (
	frameHello   = 1
	frameMessage = 2
	frameReply   = 3
	headerSize   = 16
)

func frame(kind, flags byte, descriptors uint16, id uint64, body []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	b = append(b, kind, flags)
	b = binary.BigEndian.AppendUint16(b, descriptors)
	return append(binary.BigEndian.AppendUint64(b, id), body...)
}

func pingBody() []byte {
	b := wire.AppendMapHeader(nil, 1)
	b = wire.AppendString(b, bootstrap.KeyOp)
	return wire.AppendString(b, bootstrap.OpPing)
}

// target is a daemon under fuzzing. It executes nothing and believes everybody to be
// who may manage it.
type target struct {
	*daemon
	serving context.CancelFunc
	served  chan error
}

func newTarget(f *testing.F) *target {
	f.Helper()
	dir, err := os.MkdirTemp("", "xpc")
	must(f, err)
	ctx, cancel := context.WithCancel(context.Background())
	x := &target{serving: cancel, served: make(chan error, 1)}
	o := Options{Path: filepath.Join(dir, "r.sock"), noPrograms: true}
	ready := make(chan struct{})
	o.Ready = func() { close(ready) }
	o.started = func(d *daemon) { x.daemon = d }
	go func() { x.served <- Serve(ctx, o) }()
	select {
	case <-ready:
	case err := <-x.served:
		f.Fatal(err)
	}
	f.Cleanup(func() {
		cancel()
		must(f, <-x.served)
		must(f, os.RemoveAll(dir))
	})
	return x
}

// talk is a conversation: HELLO, then raw, then a ping. It reports how often the
// first request was answered, and whether the ping was.
func (x *target) talk(t *testing.T, raw []byte, file *os.File) (answers int, alive bool) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	must(t, err)
	must(t, unix.Connect(fd, &unix.SockaddrUnix{Name: x.home.path}))
	sock := os.NewFile(uintptr(fd), "client")
	defer sock.Close()
	limit := unix.NsecToTimeval(patience.Nanoseconds())
	must(t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit))
	var rights []byte
	if file != nil {
		rights = unix.UnixRights(int(file.Fd()))
	}
	hello := wire.AppendUint64(wire.AppendString(wire.AppendMapHeader(nil, 1), "version"), 1)
	text := append(frame(frameHello, 0, 0, 0, hello), raw...)
	text = append(text, frame(frameMessage, 1, 0, 2, pingBody())...)
	if err := unix.Sendmsg(fd, text, rights, nil, 0); errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) {
		return 0, false
	} else {
		must(t, err)
	}
	for {
		kind, id, err := readFrame(sock)
		if errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, io.ErrUnexpectedEOF) {
			return answers, false
		}
		if err != nil {
			t.Fatalf("neither an answer nor the end of the connection: %v", err)
		}
		if kind != frameReply {
			continue
		}
		if id == 2 {
			return answers, true
		}
		answers++
	}
}

func readFrame(r io.Reader) (kind byte, id uint64, err error) {
	var h [headerSize]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return 0, 0, err
	}
	_, err = io.CopyN(io.Discard, r, int64(binary.BigEndian.Uint32(h[:])))
	return h[4], binary.BigEndian.Uint64(h[8:]), err
}

// consistent unloads what was loaded and waits until the tables are as if nobody had come.
func (x *target) consistent(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		var problem error
		x.do(func() error {
			for _, j := range x.jobs {
				x.unload(j, "the test goes on")
			}
			problem = x.disorder()
			return nil
		})
		if problem == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(problem)
		}
	}
}

// disorder names what is left in a table.
func (d *daemon) disorder() error {
	for name := range d.sockets {
		if _, ok := d.names.Get(name); !ok {
			return fmt.Errorf("a socket of %q, which is no name", name)
		}
	}
	for what, n := range map[string]int{
		"clients": len(d.clients), "jobs": len(d.jobs), "names": d.names.Len(),
		"sockets": len(d.sockets), "users with connections": len(d.perUID),
	} {
		if n != 0 {
			return fmt.Errorf("%d %s are left", n, what)
		}
	}
	return nil
}

// bodies are the golden vectors of docs/protocol.md, good and bad.
func bodies(tb testing.TB) (out [][]byte) {
	tb.Helper()
	text, err := os.ReadFile("../../xpc/wire/testdata/vectors.json")
	must(tb, err)
	var v struct{ Messages, Refused []struct{ Hex string } }
	must(tb, json.Unmarshal(text, &v))
	for _, m := range append(v.Messages, v.Refused...) {
		b, err := hex.DecodeString(m.Hex)
		must(tb, err)
		out = append(out, b)
	}
	return out
}

// FuzzRequestBytes sends a body that may be none. The daemon answers it or ends
// the connection, goes on serving, and keeps nothing.
func FuzzRequestBytes(f *testing.F) {
	for _, b := range bodies(f) {
		f.Add(b, false)
	}
	f.Add(pingBody(), false)
	f.Add(wire.AppendFD(append(wire.AppendMapHeader(nil, 1), 0xa2, 'o', 'p'), 0), true)
	x := newTarget(f)
	null, err := os.Open(os.DevNull)
	must(f, err)
	f.Cleanup(func() { null.Close() })
	f.Fuzz(func(t *testing.T, body []byte, file bool) {
		descriptors, sent := uint16(0), (*os.File)(nil)
		if file {
			descriptors, sent = 1, null
		}
		answers, alive := x.talk(t, frame(frameMessage, 1, descriptors, 1, body), sent)
		if alive && answers != 1 {
			t.Errorf("%d answers and the connection goes on, want one answer or the end", answers)
		}
		x.consistent(t)
	})
}

// FuzzRequest sends requests of the right form with anything in them. Each has an answer.
func FuzzRequest(f *testing.F) {
	ops := []string{
		bootstrap.OpLookUp, bootstrap.OpCheckIn, bootstrap.OpCheckOut, bootstrap.OpLoad, bootstrap.OpUnload,
		bootstrap.OpList, bootstrap.OpPrint, bootstrap.OpStatus, bootstrap.OpPing, bootstrap.OpGone, "", "op",
	}
	job := []byte(`{"Label":"l","Program":"/p","RunAtLoad":true,"MachServices":{"n":true,"m":{"LookUp":{"Users":[0]}}}}`)
	for i := range ops {
		f.Add(byte(i), byte(i+1), "n", "l", "/none", job)
		f.Add(byte(3), byte(i), "n", "l", "", job)
		f.Add(byte(1), byte(i), "n\x7f", "", "relative", []byte("{"))
	}
	x := newTarget(f)
	f.Fuzz(func(t *testing.T, first, second byte, name, label, path string, document []byte) {
		var text []byte
		for _, op := range []byte{first, second} {
			b := wire.AppendMapHeader(nil, 5)
			for _, kv := range [][2]string{
				{bootstrap.KeyOp, ops[int(op)%len(ops)]}, {bootstrap.KeyName, name},
				{bootstrap.KeyLabel, label}, {bootstrap.KeyPath, path},
			} {
				b = wire.AppendString(wire.AppendString(b, kv[0]), string(bytes.ReplaceAll([]byte(kv[1]), []byte{0}, nil)))
			}
			b = wire.AppendData(wire.AppendString(b, bootstrap.KeyDocument), document)
			text = append(text, frame(frameMessage, 1, 0, 1, b)...)
		}
		if answers, alive := x.talk(t, text, nil); !alive || answers != 2 {
			t.Errorf("%d answers, connection alive: %v; want two, and that it goes on", answers, alive)
		}
		x.consistent(t)
	})
}
