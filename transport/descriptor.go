package transport

import (
	"errors"
	"runtime"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// ErrDescriptorClosed is returned by Dup after the last owner has closed the descriptor.
var ErrDescriptorClosed = errors.New("transport: descriptor is closed")

// Descriptor owns one kernel file descriptor and closes it with its last owner.
//
// It is born with one owner. Retain adds one and Close removes one; a
// Descriptor that becomes unreachable is closed by the garbage collector.
// Any number of goroutines may use one Descriptor.
type Descriptor struct {
	fd      int
	owners  atomic.Int32
	cleanup runtime.Cleanup
}

// NewDescriptor takes ownership of fd: from here on only the Descriptor may close it.
func NewDescriptor(fd int) *Descriptor {
	d := &Descriptor{fd: fd}
	d.owners.Store(1)
	d.cleanup = runtime.AddCleanup(d, func(fd int) { unix.Close(fd) }, fd)
	return d
}

// DupDescriptor duplicates fd, close-on-exec; the caller keeps fd.
func DupDescriptor(fd int) (*Descriptor, error) {
	n, err := dupCloexec(fd)
	if err != nil {
		return nil, err
	}
	return NewDescriptor(n), nil
}

// Retain adds an owner. It reports false, and adds none, when the descriptor is closed.
func (d *Descriptor) Retain() bool {
	for {
		n := d.owners.Load()
		if n <= 0 {
			return false
		}
		if d.owners.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// Close gives up one ownership; the last one closes the kernel's descriptor.
// More calls than owners do nothing.
func (d *Descriptor) Close() error {
	for {
		n := d.owners.Load()
		if n <= 0 {
			return nil
		}
		if !d.owners.CompareAndSwap(n, n-1) {
			continue
		}
		if n > 1 {
			return nil
		}
		d.cleanup.Stop()
		runtime.KeepAlive(d) // until Stop has returned the cleanup could close too
		return unix.Close(d.fd)
	}
}

// Dup returns a new close-on-exec descriptor that the caller must close.
func (d *Descriptor) Dup() (int, error) {
	if !d.Retain() {
		return -1, ErrDescriptorClosed
	}
	defer d.Close()
	return dupCloexec(d.fd)
}

// FD is the kernel's number, valid while the caller holds an ownership and keeps d reachable.
func (d *Descriptor) FD() int { return d.fd }

func dupCloexec(fd int) (int, error) { return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3) }
