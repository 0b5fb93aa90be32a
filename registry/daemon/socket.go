package daemon

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/transport"
	"github.com/openxpc/openxpc/xpc"
)

// nameSocket is the listening socket of one name. It belongs to the daemon's queue.
type nameSocket struct {
	name     string
	listener *os.File
	endpoint *xpc.Endpoint
	id       string // under which it is kept; "" if it is not
	place    int    // the endpoint's descriptor, or -1
	path     string // of the socket's file where it has to stay, or ""
	cancel   func() // ends the watch, or nil
	watch    uint64 // counts watches, so that a notice of an earlier one is known as such
}

// newNameSocket makes a socket in the private folder. Its file has mode 0666: who
// may connect is decided by who is given the endpoint. Where that is a path, the
// file's name must not be one that a user can guess.
func (d *daemon) newNameSocket(name string) (*nameSocket, error) {
	path := filepath.Join(d.home.names, rand.Text())
	listener, err := listenAt(path, 0o666)
	if err != nil {
		return nil, err
	}
	endpoint, place, kept, err := newEndpoint(path)
	if err != nil {
		listener.Close()
		return nil, err
	}
	s := &nameSocket{name: name, listener: listener, endpoint: endpoint, place: place, path: kept}
	d.keepSocket(s)
	return s, nil
}

// inherit is a duplicate of the endpoint's descriptor, nil where that is a path.
func (s *nameSocket) inherit() (*os.File, error) {
	if s.place < 0 {
		return nil, nil
	}
	fd, err := unix.FcntlInt(uintptr(s.place), unix.F_DUPFD_CLOEXEC, firstExtraFD)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "way back"), nil
}

// accept takes one client.
func (s *nameSocket) accept() (*os.File, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fd, _, err := unix.Accept(s.fd())
	if err != nil {
		return nil, err
	}
	unix.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), "connection"), nil
}

func (s *nameSocket) fd() int { return int(s.listener.Fd()) }

// closeSocket closes one that is kept.
func (d *daemon) closeSocket(s *nameSocket) {
	d.store.Drop(s.id)
	s.close()
}

// close ends the watch and the daemon's hold on the socket; clients in its queue
// are turned away unless the job still holds it.
func (s *nameSocket) close() {
	s.unwatch()
	s.listener.Close()
	s.endpoint.Close()
	if s.path != "" {
		os.Remove(s.path)
	}
}

func (s *nameSocket) unwatch() {
	if s.cancel != nil {
		s.cancel()
		s.cancel = nil
	}
	s.watch++
}

// arm calls ready on the daemon's queue when a client waits, once.
func (s *nameSocket) arm(d *daemon, ready func(*nameSocket)) error {
	s.unwatch()
	turn := s.watch
	cancel, err := transport.Watch(s.fd(), func() {
		d.queue.Async(func() {
			if s.watch == turn {
				s.unwatch()
				ready(s)
			}
		})
	})
	s.cancel = cancel
	return err
}

// restamp makes the socket the daemon's own again: clients that connect from now
// on do not see the process that listened before. It fails if that process has
// shut the socket down, which cannot be undone.
func (s *nameSocket) restamp() error {
	if s.dead() {
		return fmt.Errorf("%q: its socket was shut down by the job", s.name)
	}
	// The mode is shared with the job, which may have changed it.
	if err := unix.SetNonblock(s.fd(), true); err != nil {
		return err
	}
	return os.NewSyscallError("listen", unix.Listen(s.fd(), transport.Backlog))
}

// dead tells a socket that will never have a client again.
func (s *nameSocket) dead() bool {
	fds := []unix.PollFd{{Fd: int32(s.fd()), Events: unix.POLLIN}}
	for {
		_, err := unix.Poll(fds, 0)
		if err != unix.EINTR {
			return fds[0].Revents&(unix.POLLHUP|unix.POLLERR|unix.POLLNVAL) != 0
		}
	}
}
