package transport

import (
	"runtime"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

func isOpen(fd int) bool {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err == nil
}

// spare is a descriptor number that nothing else in the process will be given.
const spare = 900

func spareDescriptor(t *testing.T) *Descriptor {
	t.Helper()
	fd, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, spare)
	if err != nil {
		t.Fatal(err)
	}
	return NewDescriptor(fd)
}

func TestDescriptorOwners(t *testing.T) {
	d := spareDescriptor(t)
	fd := d.FD()
	const owners = 50
	for range owners {
		if !d.Retain() {
			t.Fatal("Retain of an open descriptor must add an owner")
		}
	}
	var all sync.WaitGroup
	for range owners {
		all.Go(func() { d.Close() })
	}
	all.Wait()
	if !isOpen(fd) {
		t.Fatal("closed, and its first owner has not closed it")
	}
	d.Close()
	if isOpen(fd) {
		t.Error("open after its last owner has closed it")
	}
	if err := d.Close(); err != nil {
		t.Errorf("one Close more than owners gave %v, want nothing", err)
	}
	if d.Retain() {
		t.Error("Retain of a closed descriptor must fail")
	}
	if _, err := d.Dup(); err != ErrDescriptorClosed {
		t.Errorf("Dup of a closed descriptor gave %v, want ErrDescriptorClosed", err)
	}
}

func TestDescriptorDup(t *testing.T) {
	d := spareDescriptor(t)
	defer d.Close()
	n, err := d.Dup()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(n)
	if flags, _ := unix.FcntlInt(uintptr(n), unix.F_GETFD, 0); flags&unix.FD_CLOEXEC == 0 {
		t.Error("a duplicate must not be inherited by children")
	}
	if _, err := DupDescriptor(-1); err == nil {
		t.Error("a duplicate of nothing must fail")
	}
}

func TestForgottenDescriptorIsClosed(t *testing.T) {
	fd := spareDescriptor(t).FD()
	eventually(t, "the collector closes it", func() bool {
		runtime.GC()
		return !isOpen(fd)
	})
}
