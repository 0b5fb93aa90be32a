package credentials_test

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/credentials"
)

func ExampleCredentials() {
	nobody := credentials.Unknown()
	somebody := credentials.Credentials{PID: 4190, UID: 1000, GID: 100}
	fmt.Println(nobody)
	fmt.Println(somebody, somebody == nobody)
	// Output:
	// pid unknown uid unknown gid unknown
	// pid 4190 uid 1000 gid 100 false
}

func ExampleFromSocket() {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	peer, err := credentials.FromSocket(fds[0])
	fmt.Println(peer.UID == os.Geteuid(), peer.GID == os.Getegid(), err)
	// Output: true true <nil>
}

func ExampleExecution() {
	self, err := credentials.ProcessPidfd(os.Getpid())
	if err != nil {
		return // this system has no such handles
	}
	defer unix.Close(self)
	e, err := credentials.ExecutionOf(self)
	if err != nil {
		return // before Linux 6.13
	}
	defer e.Close()
	fmt.Fprintln(os.Stderr, "this process has executed nothing else:", e.Lasts())
	// Output:
}

func ExampleGroupSet() {
	s := credentials.NewGroupSet(4, 27, 100)
	fmt.Println(s, s.Len(), s.Has(27), s.Has(0))
	// Output: [4 27 100] 3 true false
}

func ExampleGroups() {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	groups, err := credentials.Groups(fds[0])
	if errors.Is(err, credentials.ErrUnsupported) {
		fmt.Println("this kernel does not tell groups")
		return
	}
	fmt.Println("a member of", len(groups), "supplementary groups", err)
}

func ExampleSecurityLabel() {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	label, err := credentials.SecurityLabel(fds[0])
	if err != nil {
		fmt.Println("no label:", err)
		return
	}
	fmt.Println(label)
}

func ExamplePin() {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	pin, err := credentials.PinPeer(fds[0])
	if err != nil {
		fmt.Println("only the credentials are known:", err)
		return
	}
	defer pin.Close()
	fmt.Println(pin.PID() == os.Getpid(), pin.Check())
}
