//go:build unix && !linux

package daemon

import "github.com/openxpc/openxpc/xpc"

// namesMode is that of the machine's registry: users pass to the path that they were given.
const namesMode = 0o711

// newEndpoint is the path: this system has no descriptor that stands for a socket's file.
func newEndpoint(path string) (e *xpc.Endpoint, place int, kept string, err error) {
	return xpc.NewEndpointFromFD(-1, path), -1, path, nil
}

func isPlace(int) bool { return false }
