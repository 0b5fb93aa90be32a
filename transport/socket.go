package transport

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/credentials"
)

// blockingReaders counts goroutines that wait in the kernel for a socket's next
// bytes; each holds a thread. Beyond maxBlockingReaders a reader parks at once.
var blockingReaders atomic.Int32

// maxBlockingReaders is asked once: the runtime takes a lock of its own to answer.
var maxBlockingReaders = int32(4 * runtime.GOMAXPROCS(0))

// blockingWriters counts goroutines that wait in the kernel for room, likewise.
var blockingWriters atomic.Int32

// waitMicros bounds one blocking read or write. The kernel rounds it up to its own tick.
const waitMicros = 1000

// controlRoom holds one frame's descriptors and the sender's credentials, with
// the headers of both, on every system.
const controlRoom = 4*MaxDescriptors + 128

// socket is a connected Unix stream socket, kept out of the runtime's poller.
type socket struct {
	fd    int
	conn  *Conn
	entry pollEntry
	spin  spin

	blocks bool // the descriptor waits in system calls; else whoever first waits makes it do so
	tells  bool // from birth, the kernel attaches who writes to what comes; else it is asked to
	// Who waits for bytes returns after a while; who waits for room does. The reader's, and the writer's.
	boundsReads, boundsWrites bool
}

// NewSocket makes a Conn of a connected Unix stream socket. It takes ownership
// of fd, also when it fails.
func NewSocket(fd int, o Options) (*Conn, error) { return newConnected(&socket{fd: fd}, o) }

func newConnected(s *socket, o Options) (*Conn, error) {
	s.conn = newConn(o)
	s.conn.m = s
	fd := s.fd
	if err := s.prepare(); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("transport: socket %d: %w", fd, err)
	}
	return s.conn, nil
}

// prepare asks the kernel for what the first frame needs, and no more: a new connection
// is to have its first answer soon.
func (s *socket) prepare() error {
	if err := quietly(s.fd); err != nil {
		return err
	}
	if !s.tells {
		if err := credentials.EnableReceive(s.fd); err != nil && !errors.Is(err, credentials.ErrUnsupported) {
			return err
		}
	}
	return s.entry.add(s.fd, s.conn)
}

func (s *socket) recv(b []byte, in *incoming, wait bool) (int, error) {
	if !wait {
		return s.receive(b, in, false)
	}
	if n, err := s.receiveSoon(b, in); err != errAgain {
		return n, err
	}
	wait = blockingReaders.Add(1) <= maxBlockingReaders
	from := time.Since(began)
	n, err := s.receive(b, in, wait)
	s.spin.waited(time.Since(began) - from)
	blockingReaders.Add(-1)
	return n, err
}

func (s *socket) send(p parts, files []*Descriptor, identify, wait bool) (int, error) {
	if !wait {
		return s.transmit(p, files, identify, false)
	}
	wait = blockingWriters.Add(1) <= maxBlockingReaders
	n, err := s.transmit(p, files, identify, wait)
	blockingWriters.Add(-1)
	return n, err
}

func (s *socket) arm(in, out bool) { s.entry.arm(in, out) }
func (s *socket) armEnd()          { s.entry.armEnd(s.conn.hangUp) }
func (s *socket) startTicking()    { addToTicker(s.conn) }

// shutdown of a connection that has ended is not for the poller to report.
func (s *socket) shutdown() {
	if s.conn.ended.Load() {
		s.entry.remove()
	}
	unix.Shutdown(s.fd, unix.SHUT_RDWR)
}

func (s *socket) close() {
	s.entry.remove()
	unix.Close(s.fd)
}

func (s *socket) peer() (credentials.Credentials, error) { return credentials.FromSocket(s.fd) }
func (s *socket) socket(use func(fd int) error) error    { return use(s.fd) }

// claimRights turns received descriptor numbers into owned Descriptors.
func claimRights(in *incoming, data []byte) {
	for ; len(data) >= 4; data = data[4:] {
		fd := int(int32(nativeUint32(data)))
		in.files = append(in.files, NewDescriptor(fd))
	}
}
