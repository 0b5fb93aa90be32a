package transport

import (
	"errors"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/integration/leaktest"
)

// TestWatchProcess: a process handle is readable when the process has ended.
func TestWatchProcess(t *testing.T) {
	if os.Getenv("TRANSPORT_TEST_CHILD") == t.Name() {
		os.Stdin.Read(make([]byte, 1))
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestWatchProcess$")
	cmd.Env = append(os.Environ(), "TRANSPORT_TEST_CHILD=TestWatchProcess")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.PidfdOpen(cmd.Process.Pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	ended := make(chan struct{})
	cancel, err := Watch(fd, func() { close(ended) })
	if err != nil {
		t.Fatal(err)
	}
	defer cancel()
	pass(t)
	select {
	case <-ended:
		t.Error("told of the end of a process that waits for its input")
	default:
	}
	in.Close()
	<-ended
	cmd.Wait()
}

// keepErr is a Receiver that counts frames and keeps the end.
type keepErr struct {
	frames int
	closed chan error
}

func (k *keepErr) Receive(f *Frame, _ bool) Outcome {
	k.frames++
	closeAll(f.Files)
	return 0
}
func (k *keepErr) Work()            {}
func (k *keepErr) Closed(err error) { k.closed <- err }

// TestDescriptorsLostOnTheWay: the kernel delivers the bytes of a frame and drops
// descriptors for which this process has no room. The frame is refused, and what came is closed.
func TestDescriptorsLostOnTheWay(t *testing.T) {
	if !inChild(t) {
		return
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewSocket(fds[0], Options{})
	if err != nil {
		t.Fatal(err)
	}
	body := appendHeader(nil, &Frame{Files: make([]*Descriptor, 100)})
	many := make([]int, 100)
	if err := unix.Sendmsg(fds[1], body, unix.UnixRights(many...), nil, 0); err != nil {
		t.Fatal(err)
	}
	leaveRoomFor(t, 14)
	before := leaktest.Descriptors()
	k := &keepErr{closed: make(chan error)}
	c.Start(k)
	var broken *ProtocolError
	if err := <-k.closed; !errors.As(err, &broken) {
		t.Errorf("told %v, want a ProtocolError: descriptors were lost", err)
	}
	if k.frames != 0 {
		t.Error("a frame was delivered without all its descriptors")
	}
	unix.Close(fds[1])
	// The socket itself and the poller's descriptor go too.
	eventually(t, "nothing that came is open", func() bool { return leaktest.Descriptors() <= before-3 })
}

// TestFailedSendEndsTheConnection: if the kernel refuses a frame for good, the
// connection ends on both sides, and this one says why.
func TestFailedSendEndsTheConnection(t *testing.T) {
	a, b := connectedSockets(t)
	defer a.Close()
	defer b.Close()
	near, far := &keepErr{closed: make(chan error, 1)}, &keepErr{closed: make(chan error, 1)}
	a.Start(near)
	b.Start(far)
	files := make([]*Descriptor, MaxDescriptors+1) // one more than the kernel takes
	for i := range files {
		d, err := DupDescriptor(0)
		if err != nil {
			t.Fatal(err)
		}
		files[i] = d
	}
	a.Append(&Frame{Files: files})
	a.Flush()
	if err := <-near.closed; !errors.Is(err, unix.EINVAL) {
		t.Errorf("this side was told %v, want the kernel's reason", err)
	}
	<-far.closed
	if files[0].Retain() {
		t.Error("the descriptors of a frame that could not be sent are open")
	}
}
