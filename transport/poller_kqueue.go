//go:build unix && !linux

package transport

import (
	"math"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// poller is a kqueue whose own descriptor the runtime waits for, so that no
// thread is parked in it. Each direction is a one-shot filter of its own.
type poller struct {
	polling
	file *os.File
	raw  syscall.RawConn
	fd   int
	byFD map[int]int32 // kevents name descriptors; guarded by shared.mu
}

func newPoller() (*poller, error) {
	fd, err := unix.Kqueue()
	if err != nil {
		return nil, os.NewSyscallError("kqueue", err)
	}
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	p := &poller{file: os.NewFile(uintptr(fd), "kqueue"), fd: fd, byFD: map[int]int32{}}
	p.polling.run = p.run
	if p.raw, err = p.file.SyscallConn(); err != nil {
		p.file.Close()
		return nil, err
	}
	return p, nil
}

// add only remembers the entry: a filter exists while it is armed.
func (p *poller) add(e *pollEntry) error {
	if _, err := unix.FcntlInt(uintptr(e.fd), unix.F_GETFD, 0); err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	p.byFD[e.fd] = e.serial
	return nil
}

func (p *poller) arm(e *pollEntry) {
	var changes []unix.Kevent_t
	switch {
	case e.in:
		changes = append(changes, change(e.fd, unix.EVFILT_READ, unix.EV_ADD|unix.EV_ONESHOT))
	case e.end != nil: // with more bytes than there can be, only the end is left to report
		k := change(e.fd, unix.EVFILT_READ, unix.EV_ADD|unix.EV_ONESHOT)
		k.Fflags, k.Data = unix.NOTE_LOWAT, math.MaxInt32
		changes = append(changes, k)
	}
	if e.out {
		changes = append(changes, change(e.fd, unix.EVFILT_WRITE, unix.EV_ADD|unix.EV_ONESHOT))
	}
	unix.Kevent(p.fd, changes, nil, nil)
}

func (p *poller) remove(e *pollEntry) {
	for _, filter := range [...]int{unix.EVFILT_READ, unix.EVFILT_WRITE} {
		unix.Kevent(p.fd, []unix.Kevent_t{change(e.fd, filter, unix.EV_DELETE)}, nil, nil)
	}
	if p.byFD[e.fd] == e.serial {
		delete(p.byFD, e.fd)
	}
}

func change(fd, filter, flags int) unix.Kevent_t {
	var k unix.Kevent_t
	unix.SetKevent(&k, fd, filter, flags)
	return k
}

func (p *poller) close() { p.file.Close() }

func (p *poller) run(t *turn) {
	var events [128]unix.Kevent_t
	zero := unix.Timespec{}
	for t.read(); !t.over; t.read() {
		n := 0
		err := p.raw.Read(func(fd uintptr) bool {
			n, _ = unix.Kevent(int(fd), nil, events[:], &zero)
			return n > 0
		})
		if err != nil {
			return
		}
		for i := range events[:n] {
			k := &events[i]
			shared.mu.Lock()
			serial := p.byFD[int(k.Ident)]
			shared.mu.Unlock()
			in := int(k.Filter) == unix.EVFILT_READ
			fired(t, serial, in, int(k.Filter) == unix.EVFILT_WRITE, in && k.Flags&unix.EV_EOF != 0)
		}
	}
}
