package xpc

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// tallyFile is a file as the registry makes it, and what the environment says of it.
func tallyFile(t *testing.T, size int64) (f *os.File, fd int, name string) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "tally"))
	if err == nil {
		err = f.Truncate(size)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	if fd, err = unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3); err != nil {
		t.Fatal(err)
	}
	return f, fd, bootstrap.TallyName(fd, uint64(st.Dev), uint64(st.Ino))
}

func TestInheritedTally(t *testing.T) {
	f, fd, name := tallyFile(t, bootstrap.TallySize)
	t.Setenv(bootstrap.EnvTally, name)
	tally := inheritedTally()
	if tally == nil {
		t.Fatal("not taken")
	}
	tally.Open.Add(3)
	var b [bootstrap.TallySize]byte
	if _, err := f.ReadAt(b[:], 0); err != nil || binary.NativeEndian.Uint64(b[:]) != 3 {
		t.Errorf("who has the file reads % x, %v: want the count", b, err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
		t.Error("the descriptor is not needed any more, and still open")
	}
	if _, there := os.LookupEnv(bootstrap.EnvTally); there || inheritedTally() != nil {
		t.Error("it is for this process alone, and once")
	}
}

func TestATallyThatIsNone(t *testing.T) {
	_, fd, name := tallyFile(t, bootstrap.TallySize)
	defer unix.Close(fd)
	_, small, smallName := tallyFile(t, bootstrap.TallySize-1)
	defer unix.Close(small)
	for _, bad := range []string{"", "x", "-1:0:0", "1000000:1:1", bootstrap.TallyName(small, 0, 0), smallName, name + "0"} {
		t.Setenv(bootstrap.EnvTally, bad)
		if inheritedTally() != nil {
			t.Errorf("%q: a file that is not the registry's was taken for its tally", bad)
		}
	}
	for _, fd := range []int{fd, small} {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			t.Error("and closed, though it is somebody else's")
		}
	}
}
