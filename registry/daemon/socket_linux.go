package daemon

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/xpc"
)

// namesMode is that of the machine's registry: nobody else needs its sockets' files.
const namesMode = 0o700

// newEndpoint makes a capability of the socket's file and removes the file. place is
// the endpoint's descriptor.
func newEndpoint(path string) (e *xpc.Endpoint, place int, kept string, err error) {
	defer os.Remove(path)
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, -1, "", &os.PathError{Op: "open", Path: path, Err: err}
	}
	return xpc.NewEndpointFromFD(fd, ""), fd, "", nil
}

// isPlace tells the descriptor of an endpoint from others.
func isPlace(fd int) bool {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	return err == nil && flags&unix.O_PATH != 0
}
