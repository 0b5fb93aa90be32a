package transport

import "golang.org/x/sys/unix"

// Accept takes one client that waits, or returns nil if none does: for a
// Listener that was not started. It never blocks.
func (l *Listener) Accept() (*Conn, error) {
	for {
		fd, err := acceptCloexec(l.fd)
		switch err {
		case nil:
			return l.connected(fd)
		case unix.EINTR, unix.ECONNABORTED:
			continue
		case unix.EAGAIN:
			return nil, nil
		}
		return nil, err
	}
}

// connected makes a Conn of a socket that was accepted. Linux hands the listening socket's
// wish to be told who writes on to it; whether that is so here the first one shows.
func (l *Listener) connected(fd int) (*Conn, error) {
	l.first.Do(func() { l.tells = passes(fd) })
	return newConnected(&socket{fd: fd, blocks: acceptedBlocks, tells: l.tells}, l.opts)
}
