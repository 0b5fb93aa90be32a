package xpc

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/xpc/internal/lifecycle"
)

// The side that did not dial may speak first, as the registry does to a process that it
// has just started; the other side takes nothing before HELLO.
func TestAnAcceptingSideGreetsWhenItSpeaksFirst(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	unix.CloseOnExec(fds[0])
	unix.CloseOnExec(fds[1])
	first := NewConnectionFromSocket(os.NewFile(uintptr(fds[0]), "socket"), nil)
	first.SetEventHandler(func(Object) {})
	first.Activate()
	replies, sent := make(chan Object, 1), make(chan struct{})
	first.SendMessageWithReply(saying("early"), nil, func(o Object) { replies <- o })
	first.SendBarrier(func() { close(sent) })
	<-sent
	second := newConnection(lifecycle.Endpoint, "", &jobOrigin{fd: fds[1]}, nil)
	answerAll(second)
	second.Activate()
	second.SendMessage(saying("dial"))
	if m, ok := (<-replies).(*Dictionary); !ok || m.GetString("says") != "early" {
		t.Errorf("got %v, want the reply", m)
	}
	for _, c := range []*Connection{first, second} {
		c.Cancel()
		<-c.Done()
	}
}
