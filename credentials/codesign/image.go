package codesign

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// fileID tells one content of a file from another without reading it: a write
// changes the times, another file has another number.
type fileID struct {
	dev, ino     uint64
	size         int64
	mtime, ctime int64 // in nanoseconds
}

// settle is how old a change must be before the times can tell another one from
// it: within a tick of the kernel's clock they stay the same.
const settle = 2 * time.Second

// settled says whether a later change would show in the identity.
func (id fileID) settled(now time.Time) bool {
	return now.Sub(time.Unix(0, max(id.ctime, id.mtime))) > settle
}

// identify describes an open file, which must be regular.
func identify(f *os.File) (id fileID, err error) {
	var st unix.Stat_t
	if e := control(f, func(fd int) { err = unix.Fstat(fd, &st) }); e != nil || err != nil {
		return id, fail(ErrImage, "%s: %w", f.Name(), firstError(e, err))
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return id, fail(ErrImage, "%s is not a regular file", f.Name())
	}
	id = identityOf(&st)
	if id.size > MaxImage {
		return id, fail(ErrImage, "%s has %d bytes, more than the %d that a program may have", f.Name(), id.size, MaxImage)
	}
	return id, nil
}

func identityOf(st *unix.Stat_t) fileID {
	return fileID{
		dev: uint64(st.Dev), ino: uint64(st.Ino), size: st.Size,
		mtime: st.Mtim.Nano(), ctime: st.Ctim.Nano(),
	}
}

// control lends the descriptor: the file stays as it is, in the poller or not.
func control(f *os.File, use func(fd int)) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	return c.Control(func(fd uintptr) { use(int(fd)) })
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// identifyPath is identify for the file that a path leads to, of whatever kind.
func identifyPath(path string) (fileID, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return fileID{}, err
	}
	return identityOf(&st), nil
}
