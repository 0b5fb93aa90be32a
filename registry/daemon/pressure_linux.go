package daemon

import (
	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/transport"
)

// scarce is when the kernel speaks up: tasks waited for memory for a tenth of two
// seconds. Windows of two seconds are allowed to every user.
const scarce = "some 200000 2000000"

// onPressure calls told once, on another goroutine, when memory has become scarce.
// cancel is to be called in any case.
func onPressure(told func()) (cancel func(), err error) {
	fd, err := unix.Open("/proc/pressure/memory", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if _, err := unix.Write(fd, append([]byte(scarce), 0)); err != nil {
		unix.Close(fd)
		return nil, err
	}
	// The file is always readable, and has urgent news when the time has come: an
	// epoll instance that waits for just that is readable then.
	set, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err == nil {
		err = unix.EpollCtl(set, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLPRI})
	}
	var unwatch func()
	if err == nil {
		unwatch, err = transport.Watch(set, told)
	}
	shut := func() {
		unix.Close(set)
		unix.Close(fd)
	}
	if err != nil {
		shut()
		return nil, err
	}
	return func() { unwatch(); shut() }, nil
}
