package identity_test

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/credentials/identity"
)

// unsigned is a verifier that knows no signature.
type unsigned struct{}

func (unsigned) Verify(context.Context, *os.File) (identity.Program, error) {
	return identity.Program{}, errors.New("it has no signature")
}

func ExampleIdentifier() {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	who := identity.Identifier{Verifier: unsigned{}}
	peer, err := who.Socket(context.Background(), fds[0])
	if err != nil {
		fmt.Println(err)
		return
	}
	defer peer.Close()
	fmt.Println(peer.Facts.Credentials.UID == os.Geteuid(), peer.Facts.Assurance, peer.Facts.Code == nil, peer.Facts.Why != "")
	// Output: true credentials true true
}
