package transport

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// poller is an epoll instance whose own descriptor the runtime waits for, so that
// no thread is parked in it.
type poller struct {
	polling
	file *os.File
	raw  syscall.RawConn
	fd   int
}

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	p := &poller{file: os.NewFile(uintptr(fd), "epoll"), fd: fd}
	p.polling.run = p.run
	if p.raw, err = p.file.SyscallConn(); err != nil {
		p.file.Close()
		return nil, err
	}
	return p, nil
}

func (p *poller) event(e *pollEntry) *unix.EpollEvent {
	ev := &unix.EpollEvent{Fd: e.serial, Events: unix.EPOLLONESHOT}
	if e.in {
		ev.Events |= unix.EPOLLIN | unix.EPOLLRDHUP
	}
	if e.out {
		ev.Events |= unix.EPOLLOUT
	}
	if e.end != nil {
		ev.Events |= unix.EPOLLRDHUP
	}
	return ev
}

// add registers with nothing armed; a one-shot without events still reports a
// hang-up, which fired ignores while nothing is armed.
func (p *poller) add(e *pollEntry) error {
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, e.fd, p.event(e)))
}

func (p *poller) arm(e *pollEntry) { unix.EpollCtl(p.fd, unix.EPOLL_CTL_MOD, e.fd, p.event(e)) }

func (p *poller) remove(e *pollEntry) { unix.EpollCtl(p.fd, unix.EPOLL_CTL_DEL, e.fd, nil) }

func (p *poller) close() { p.file.Close() }

func (p *poller) run(t *turn) {
	var events [128]unix.EpollEvent
	for t.read(); !t.over; t.read() {
		n := 0
		err := p.raw.Read(func(fd uintptr) bool {
			n, _ = unix.EpollWait(int(fd), events[:], 0)
			return n > 0
		})
		if err != nil {
			return
		}
		for i := range events[:n] {
			ev := &events[i]
			gone := ev.Events&(unix.EPOLLHUP|unix.EPOLLERR) != 0
			ended := gone || ev.Events&unix.EPOLLRDHUP != 0
			fired(t, ev.Fd, ended || ev.Events&unix.EPOLLIN != 0, gone || ev.Events&unix.EPOLLOUT != 0, ended)
		}
	}
}
