package transport

import "golang.org/x/sys/unix"

// Accept takes one client that waits, or returns nil if none does: for a
// Listener that was not started. It never blocks.
func (l *Listener) Accept() (*Conn, error) {
	for {
		fd, err := acceptCloexec(l.fd)
		switch err {
		case nil:
			return newConnected(fd, l.opts, blockAccepted)
		case unix.EINTR, unix.ECONNABORTED:
			continue
		case unix.EAGAIN:
			return nil, nil
		}
		return nil, err
	}
}
