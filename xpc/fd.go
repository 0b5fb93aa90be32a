package xpc

import (
	"fmt"
	"os"
	"sync/atomic"

	"github.com/openxpc/openxpc/transport"
)

// FD is a boxed file descriptor (xpc_fd_create). The box owns a duplicate of
// what was put in; every way out of it is another duplicate, which the caller
// owns. As with dup(2), all of them share offset and status flags, also across
// processes (R27). Any number of goroutines may use an FD.
//
// A box closes its descriptor by Close, or when it becomes unreachable. Boxes
// that arrived with a message and were never handed out, by Get or All of the
// container they are in, are closed when the message ends: descriptors that
// nobody asked for do not pile up (R159). DupFD is not such a handing out,
// since it leaves the caller with a descriptor of its own. The zero FD is closed.
type FD struct {
	d      *transport.Descriptor
	closed atomic.Bool
	taken  atomic.Bool
}

// NewFD boxes a duplicate of fd, made at once: the caller keeps fd and may close
// it (R26). The error says why fd could not be duplicated.
func NewFD(fd int) (*FD, error) {
	d, err := transport.DupDescriptor(fd)
	if err != nil {
		return nil, fmt.Errorf("xpc: cannot box descriptor %d: %w", fd, err)
	}
	return &FD{d: d}, nil
}

// Type is TypeFD.
func (f *FD) Type() Type { return TypeFD }

// Dup is a new descriptor, close-on-exec, which the caller must close
// (xpc_fd_dup). It is -1 if f is nil or closed, or the process has no
// descriptor left.
func (f *FD) Dup() int {
	n, err := f.dup()
	if err != nil {
		return -1
	}
	return n
}

// File is Dup as an *os.File, which the caller must close; the error says why
// there is none.
func (f *FD) File() (*os.File, error) {
	n, err := f.dup()
	if err != nil {
		return nil, fmt.Errorf("xpc: cannot take a descriptor out of its box: %w", err)
	}
	return os.NewFile(uintptr(n), "xpc-fd"), nil
}

func (f *FD) dup() (int, error) {
	if f == nil || f.d == nil || f.closed.Load() {
		return -1, transport.ErrDescriptorClosed
	}
	return f.d.Dup()
}

// Close closes the box's own descriptor; those taken out of it live on. After
// it Dup gives -1, and a message with the box cannot be sent. Further calls do
// nothing. (Ours: Apple's closes with the last release.)
func (f *FD) Close() error {
	if f == nil || f.d == nil || f.closed.Swap(true) {
		return nil
	}
	return f.d.Close()
}

// retain adds an owner to the descriptor for a message under way.
func (f *FD) retain() bool { return f.d != nil && !f.closed.Load() && f.d.Retain() }

// copy boxes the same descriptor anew; the copy of a closed box is closed.
func (f *FD) copy() *FD {
	c := &FD{d: f.d}
	c.closed.Store(!f.retain())
	return c
}
