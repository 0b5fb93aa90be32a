package integration_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
	"github.com/openxpc/openxpc/xpc/wire"
)

// sturdyHelper answers every request with its pid and never says a word: what
// hostile clients make it hear is not the test's concern.
var sturdyHelper = helper("sturdy", func() {
	l := xpc.NewMachServiceConnection(sturdyName, nil, xpc.MachServiceListener)
	l.SetLimits(sturdyLimits())
	l.SetEventHandler(func(o xpc.Object) {
		p, ok := o.(*xpc.Connection)
		if !ok {
			os.Exit(1)
		}
		p.SetEventHandler(func(o xpc.Object) {
			if m, ok := o.(*xpc.Dictionary); ok {
				if reply := m.CreateReply(); reply != nil {
					reply.SetInt64("pid", int64(os.Getpid()))
					p.SendMessage(reply)
				}
			}
		})
		p.Activate()
	})
	l.Activate()
	select {}
})

// patienceVariable is sturdy's UnreadReplyPatience.
const patienceVariable = "XPC_TEST_PATIENCE"

func sturdyLimits() xpc.Limits {
	d, _ := time.ParseDuration(os.Getenv(patienceVariable)) // 0 is the default
	return xpc.Limits{UnreadReplyPatience: d}
}

const sturdyName = "com.example.sturdy"

// The frames of docs/protocol.md, written by hand: a hostile client has no library.
const (
	kindHello, kindMessage, kindReply, kindAbandoned, kindRefused = 1, 2, 3, 4, 5

	headerSize     = 16
	mostDescriptor = 253
)

func header(length uint32, kind, flags byte, descriptors uint16, id uint64) []byte {
	b := binary.BigEndian.AppendUint32(nil, length)
	b = append(b, kind, flags)
	b = binary.BigEndian.AppendUint16(b, descriptors)
	return binary.BigEndian.AppendUint64(b, id)
}

func frame(kind, flags byte, descriptors uint16, id uint64, body []byte) []byte {
	return append(header(uint32(len(body)), kind, flags, descriptors, id), body...)
}

func hello() []byte {
	b := wire.AppendMapHeader(nil, 1)
	b = wire.AppendUint64(wire.AppendString(b, "version"), 1)
	return frame(kindHello, 0, 0, 0, b)
}

func dictionary(pairs ...string) []byte {
	b := wire.AppendMapHeader(nil, len(pairs)/2)
	for _, s := range pairs {
		b = wire.AppendString(b, s)
	}
	return b
}

// place is where a hostile client connects: a path, or Linux's name of a descriptor.
type place struct {
	t    *testing.T
	path string
}

// raw is a socket without manners.
type raw struct {
	t  *testing.T
	fd int
}

func (p place) dial() *raw {
	p.t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	must(p.t, err)
	unix.CloseOnExec(fd)
	must(p.t, unix.Connect(fd, &unix.SockaddrUnix{Name: p.path}))
	read, write := unix.NsecToTimeval(patience.Nanoseconds()), unix.NsecToTimeval(time.Second.Nanoseconds())
	must(p.t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &read))
	must(p.t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &write))
	return &raw{p.t, fd}
}

// send ignores the other side's refusal to listen.
func (r *raw) send(b []byte, descriptors ...int) {
	r.t.Helper()
	var control []byte
	if len(descriptors) > 0 {
		control = unix.UnixRights(descriptors...)
	}
	err := unix.Sendmsg(r.fd, b, control, nil, unix.MSG_NOSIGNAL)
	for _, fine := range []error{nil, unix.EPIPE, unix.ECONNRESET, unix.EAGAIN} {
		if errors.Is(err, fine) {
			return
		}
	}
	r.t.Fatalf("send: %v", err)
}

// ended waits until the other side has closed the connection.
func (r *raw) ended(why string) {
	r.t.Helper()
	b := make([]byte, 1<<12)
	for {
		n, err := unix.Read(r.fd, b)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			r.t.Fatalf("%s: the connection was left open", why)
		case n <= 0:
			return
		}
	}
}

func (r *raw) close() { unix.Close(r.fd) }

// endpoint looks a name up by hand and returns the descriptor that came.
func (p place) endpoint(name string) int {
	p.t.Helper()
	r := p.dial()
	defer r.close()
	r.send(append(hello(), frame(kindMessage, 1, 0, 1, dictionary(bootstrap.KeyOp, bootstrap.OpLookUp, bootstrap.KeyName, name))...))
	b, control := make([]byte, 1<<12), make([]byte, 1<<10)
	for {
		_, n, _, _, err := unix.Recvmsg(r.fd, b, control, 0)
		must(p.t, err)
		list, err := unix.ParseSocketControlMessage(control[:n])
		must(p.t, err)
		for _, m := range list {
			if fds, err := unix.ParseUnixRights(&m); err == nil && len(fds) == 1 {
				unix.CloseOnExec(fds[0])
				return fds[0]
			}
		}
	}
}

// descriptors returns n that are open; done closes them.
func descriptors(t *testing.T, n int) (fds []int, done func()) {
	t.Helper()
	null, err := os.Open(os.DevNull)
	must(t, err)
	for range n {
		fds = append(fds, int(null.Fd()))
	}
	return fds, func() { null.Close() }
}

// vector is a body of the golden vectors, and how many descriptors go with it.
type vector struct {
	Hex         string
	Descriptors int
	body        []byte
}

// message is a request with the vector's body.
func (v vector) message(id uint64) []byte {
	return frame(kindMessage, 1, uint16(v.Descriptors), id, v.body)
}

// vectors are bodies that must be refused, and others that mean nothing to a service.
func vectors(t *testing.T) (refused, good []vector) {
	t.Helper()
	text, err := os.ReadFile("../xpc/wire/testdata/vectors.json")
	must(t, err)
	var v struct{ Messages, Refused []vector }
	must(t, json.Unmarshal(text, &v))
	for _, list := range [][]vector{v.Refused, v.Messages} {
		for i := range list {
			list[i].body, err = hex.DecodeString(list[i].Hex)
			must(t, err)
		}
	}
	return v.Refused, v.Messages
}

// corpora are the byte strings in the fuzz targets' files.
func corpora(t *testing.T) (out [][]byte) {
	t.Helper()
	for _, pattern := range []string{"../*/testdata/fuzz/*/*", "../*/*/testdata/fuzz/*/*"} {
		files, err := filepath.Glob(pattern)
		must(t, err)
		for _, path := range files {
			text, err := os.ReadFile(path)
			must(t, err)
			for _, line := range strings.Split(string(text), "\n") {
				quoted, ok := strings.CutPrefix(line, "[]byte(")
				if s, err := strconv.Unquote(strings.TrimSuffix(quoted, ")")); ok && err == nil {
					out = append(out, []byte(s))
				}
			}
		}
	}
	return out
}

// conversation is a good one, for attacks to spoil.
func conversation() []byte {
	b := hello()
	for id := range uint64(3) {
		b = append(b, frame(kindMessage, 1, 0, id+1, dictionary("op", "ping", "text", "hello"))...)
	}
	return b
}

// attack is one kind of hostility. It connects as often as it likes and returns
// what it left open, which is closed after somebody else was served.
type attack struct {
	name string
	run  func(p place) []*raw
}

func attacks(t *testing.T) []attack {
	refused, good := vectors(t)
	found := corpora(t)
	if len(refused) == 0 || len(found) == 0 {
		t.Fatalf("%d golden vectors and %d inputs of fuzzing: nothing is tested", len(refused), len(found))
	}
	return []attack{
		{"bodies that must be refused", func(p place) (open []*raw) {
			for i, v := range refused {
				fds, done := descriptors(p.t, v.Descriptors)
				r := p.dial()
				r.send(append(hello(), v.message(1)...), fds...)
				done()
				r.ended(fmt.Sprintf("golden vector %d", i))
				open = append(open, r)
			}
			return open
		}},
		{"bodies that mean nothing here", func(p place) (open []*raw) {
			r := p.dial()
			r.send(hello())
			for i, v := range good {
				fds, done := descriptors(p.t, v.Descriptors)
				r.send(v.message(uint64(i+1)), fds...)
				done()
			}
			return append(open, r)
		}},
		{"what fuzzing found", func(p place) (open []*raw) {
			for _, b := range found {
				r, s := p.dial(), p.dial()
				r.send(b)
				s.send(append(hello(), frame(kindMessage, 1, 0, 1, b)...))
				open = append(open, r, s)
			}
			return open
		}},
		{"mutations of a good conversation", mutations},
		{"frames out of turn", outOfTurn},
		{"lengths that lie", lyingLengths},
		{"too many descriptors", manyDescriptors},
		{"half-closed sockets", halfClosed},
	}
}

// mutations spoils a good conversation at random, with a fixed seed.
func mutations(p place) (open []*raw) {
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 300 {
		b := conversation()
		for range 1 + random.IntN(4) {
			b = mutate(random, b)
		}
		r := p.dial()
		r.send(b)
		if i%10 == 0 {
			open = append(open, r)
		} else {
			r.close()
		}
	}
	return open
}

func mutate(random *rand.Rand, b []byte) []byte {
	if len(b) == 0 {
		return b
	}
	i := random.IntN(len(b))
	switch random.IntN(5) {
	case 0:
		b[i] ^= 1 << random.IntN(8)
	case 1:
		b[i] = byte(random.IntN(256))
	case 2:
		b = b[:i]
	case 3:
		b = append(b[:i:i], b[min(len(b), i+1+random.IntN(8)):]...)
	default:
		b = append(b[:i:i], append(bytes.Repeat([]byte{byte(random.IntN(256))}, 1+random.IntN(40)), b[i:]...)...)
	}
	return b
}

// outOfTurn says what is well-formed at the wrong moment.
func outOfTurn(p place) (open []*raw) {
	message := frame(kindMessage, 1, 0, 1, dictionary("op", "ping"))
	for why, b := range map[string][]byte{
		"a message before HELLO":     message,
		"a second HELLO":             append(hello(), hello()...),
		"HELLO of protocol 0":        frame(kindHello, 0, 0, 0, dictionary()),
		"a HELLO that is no message": frame(kindHello, 0, 0, 0, []byte{0xc1}),
	} {
		r := p.dial()
		r.send(b)
		r.ended(why)
		open = append(open, r)
	}
	for _, b := range [][]byte{
		frame(kindReply, 0, 0, 77, dictionary("a", "b")), frame(kindAbandoned, 0, 0, 77, nil),
		frame(kindRefused, 0, 0, 0, dictionary("reason", "no")), frame(99, 0xff, 0, 1, []byte("what")),
	} {
		r := p.dial()
		r.send(append(append(hello(), b...), message...))
		open = append(open, r)
	}
	return open
}

// lyingLengths claims much and sends little.
func lyingLengths(p place) (open []*raw) {
	for _, length := range []uint32{1<<32 - 1, 1 << 31, 64<<20 + 1} {
		r := p.dial()
		r.send(append(hello(), header(length, kindMessage, 0, 0, 1)...))
		r.ended(fmt.Sprintf("a frame of %d bytes", length))
		open = append(open, r)
	}
	for range 40 { // together they claim more than two gigabytes at a service, and then wait
		r := p.dial()
		r.send(append(append(hello(), header(64<<20, kindMessage, 0, 0, 1)...), make([]byte, 20<<10)...))
		open = append(open, r)
	}
	return open
}

// manyDescriptors sends descriptors that nobody asked for, and claims some that never come.
func manyDescriptors(p place) (open []*raw) {
	all, done := descriptors(p.t, mostDescriptor)
	defer done()
	ping := dictionary("op", "ping")
	for range 4 {
		for why, b := range map[string][]byte{
			"253 descriptors that no value names":   frame(kindMessage, 1, mostDescriptor, 1, ping),
			"253 descriptors that no header claims": frame(kindMessage, 1, 0, 1, ping),
			"a frame that claims more than came":    frame(kindMessage, 1, mostDescriptor+1, 1, ping),
		} {
			r := p.dial()
			r.send(hello())
			r.send(b, all...)
			r.ended(why)
			open = append(open, r)
		}
		r := p.dial()
		r.send(append(hello(), frame(kindMessage, 1, 2, 1, wire.AppendFD(wire.AppendString(wire.AppendMapHeader(nil, 1), "fd"), 0))...))
		r.ended("descriptors that never come")
		open = append(open, r)
		r = p.dial()
		r.send(header(64, kindMessage, 1, mostDescriptor, 1), all...) // and nothing more
		open = append(open, r)
	}
	return open
}

// halfClosed ends one direction, or everything, at awkward moments.
func halfClosed(p place) (open []*raw) {
	whole := conversation()
	for _, n := range []int{0, 1, headerSize - 1, headerSize, headerSize + 3, len(hello()), len(hello()) + 5, len(whole)} {
		for _, how := range []int{unix.SHUT_WR, unix.SHUT_RD, unix.SHUT_RDWR} {
			r := p.dial()
			if n > 0 {
				r.send(whole[:n])
			}
			unix.Shutdown(r.fd, how)
			open = append(open, r)
		}
	}
	return open
}

// ---- what must hold

// victim is a process under attack and what it held before.
type victim struct {
	w           *world
	pid         int
	descriptors int
	memory      int // bytes
}

// mostGrowth is what a process may have grown by after all attacks (row 19). The
// lengths that lie claim a hundred times as much.
const mostGrowth = 32 << 20

func (w *world) victim(pid int) *victim {
	v := &victim{w: w, pid: pid}
	v.descriptors, v.memory = v.count(), v.resident()
	return v
}

func (v *victim) count() int {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", v.pid))
	must(v.w.t, err)
	return len(entries)
}

func (v *victim) resident() int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", v.pid))
	must(v.w.t, err)
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	must(v.w.t, err)
	return pages * os.Getpagesize()
}

// recovers waits until the descriptors are back, and holds the memory against its bound.
func (v *victim) recovers(why string) {
	v.w.t.Helper()
	for deadline := time.Now().Add(patience); v.count() > v.descriptors; runtime.Gosched() {
		if time.Now().After(deadline) {
			v.w.t.Fatalf("%s: %d descriptors, %d before", why, v.count(), v.descriptors)
		}
	}
	limit := mostGrowth
	if raceEnabled {
		limit *= 4 // the detector's shadow of the memory
	}
	if grown := v.resident() - v.memory; grown > limit {
		v.w.t.Errorf("%s: the process has grown by %d MiB, the bound is %d", why, grown>>20, limit>>20)
	}
}

// silent are clients that never say HELLO: one says nothing, one drips.
type silent struct{ mute, dripping *raw }

func (p place) silent() silent { return silent{p.dial(), p.dial()} }

func (s silent) drip() { s.dripping.send(hello()[:1]) }

func (s silent) ended() {
	s.mute.t.Helper()
	s.mute.ended("who says nothing (row 23)")
	s.dripping.ended("who drips (row 23)")
	s.mute.close()
	s.dripping.close()
}

// siege runs every attack against a place and has somebody else served meanwhile.
func (w *world) siege(p place, quiet silent, served func(why string)) {
	for _, a := range attacks(w.t) {
		open := a.run(p)
		quiet.drip()
		served("during: " + a.name)
		for _, r := range open {
			r.close()
		}
	}
}

// TestHostileBytes besieges the registry's socket and a service's.
func TestHostileBytes(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs /proc to count another process's descriptors and to dial an endpoint")
	}
	w := begin(t, job{label: "sturdy", helper: sturdyHelper, names: []string{sturdyName}})
	c := w.to(sturdyName)
	pid := c.pid("before")
	ping := func() int {
		return int(w.tool(bootstrap.OpPing, bootstrap.KeyName, "").GetInt64(bootstrap.KeyPID))
	}
	registry := ping()
	served := func(why string) {
		t.Helper()
		if got := c.pid(why); got != pid {
			t.Fatalf("%s: the service is pid %d, want %d: it must live", why, got, pid)
		}
		if got := ping(); got != registry {
			t.Fatalf("%s: the registry is pid %d, want %d: it must live", why, got, registry)
		}
	}
	door := place{t, w.socket}
	endpoint := door.endpoint(sturdyName)
	defer unix.Close(endpoint)

	places := []place{door, {t, fmt.Sprintf("/proc/self/fd/%d", endpoint)}}
	victims := []*victim{w.victim(registry), w.victim(pid)}
	quiet := []silent{places[0].silent(), places[1].silent()}
	for i, p := range places {
		w.siege(p, quiet[i], served)
	}
	for i, v := range victims {
		quiet[i].ended()
		served("afterwards")
		v.recovers("afterwards")
	}
	c.quiet("the good client never noticed")
}
