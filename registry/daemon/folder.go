package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/transport"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// What Serve refuses about its path; test with errors.Is. Each error says which
// file or folder it is and what to do about it.
var (
	// ErrAlreadyServed: another daemon that is alive serves the path.
	ErrAlreadyServed = errors.New("another xpcd serves it")
	// ErrUnsafePath: somebody else could replace or use what the daemon puts there.
	ErrUnsafePath = errors.New("the path is not safe")
)

// folder is the place of one registry: its socket, the lock that makes it the
// only one, and a private folder where the sockets of names are born. Linux
// removes those at birth; elsewhere they stay until the end.
type folder struct {
	path   string // of the registry's socket
	names  string // folder of the names' sockets
	system bool   // the machine's registry, which every user reaches
	lock   *os.File
	held   bool // the lock is that of an earlier process
	given  bool // the socket is a service manager's
}

// claim makes path this process's, or says why it cannot be. The caller releases it.
// lock is that of an earlier process, or -1.
func claim(path string, lock int) (*folder, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	f := &folder{path: path, names: path + ".names", system: os.Geteuid() == 0 && path == bootstrap.SystemPath()}
	if err := f.prepare(lock); err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	return f, nil
}

func (f *folder) prepare(fd int) error {
	dir := filepath.Dir(f.path)
	if err := makeFolder(dir, f.system); err != nil {
		return err
	}
	if err := checkAncestors(dir); err != nil {
		return err
	}
	if err := f.checkSocket(); err != nil {
		return err
	}
	if fd >= 0 {
		held := os.NewFile(uintptr(fd), f.path+".lock")
		if current, _ := lockFile(held, f.path); current {
			f.lock, f.held = held, true
			return nil // what is in the folder may be in use
		}
		held.Close()
	}
	lock, err := takeLock(f.path)
	if err != nil {
		return err
	}
	f.lock = lock
	if err := f.clearNames(); err != nil {
		f.release()
		return err
	}
	return nil
}

// makeFolder makes dir unless it is there, and refuses one that others could change.
func makeFolder(dir string, system bool) error {
	err := os.Mkdir(dir, 0o700)
	if err == nil && system {
		return os.Chmod(dir, 0o755)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	return checkOwn(dir, info)
}

// checkOwn refuses what is no folder, is not ours, or can be written by others.
func checkOwn(dir string, info fs.FileInfo) error {
	switch {
	case !info.IsDir():
		return fmt.Errorf("%w: %s is not a folder but %s; choose another path", ErrUnsafePath, dir, describeMode(info.Mode()))
	case ownerOf(info) != os.Geteuid():
		return fmt.Errorf("%w: folder %s belongs to user %d, not to %d", ErrUnsafePath, dir, ownerOf(info), os.Geteuid())
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("%w: folder %s can be written by others (mode %04o); chmod go-w %s", ErrUnsafePath, dir, info.Mode().Perm(), dir)
	}
	return nil
}

// checkAncestors refuses a folder that a stranger could move away: every folder
// above must be sticky or not writable by all, and root's or ours.
func checkAncestors(dir string) error {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	for real != "/" {
		real = filepath.Dir(real)
		info, err := os.Stat(real)
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o002 != 0 && info.Mode()&fs.ModeSticky == 0 {
			return fmt.Errorf("%w: everybody can write to %s, above %s (mode %04o); chmod o-w %s", ErrUnsafePath, real, dir, info.Mode().Perm(), real)
		}
		if o := ownerOf(info); o != 0 && o != os.Geteuid() {
			return fmt.Errorf("%w: folder %s, above %s, belongs to user %d", ErrUnsafePath, real, dir, o)
		}
	}
	return nil
}

// checkSocket refuses to replace anything at the socket's path but a stale socket of ours.
func (f *folder) checkSocket() error {
	info, err := os.Lstat(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%w: %s is not a socket but %s; remove it", ErrUnsafePath, f.path, describeMode(info.Mode()))
	case ownerOf(info) != os.Geteuid():
		return fmt.Errorf("%w: socket %s belongs to user %d", ErrUnsafePath, f.path, ownerOf(info))
	case linksOf(info) > 1:
		return fmt.Errorf("%w: socket %s has a second name (hard link); remove both", ErrUnsafePath, f.path)
	}
	return nil
}

// takeLock decides who serves path: whoever holds the lock on path.lock, which
// the kernel gives back when its process ends, however that happens.
func takeLock(path string) (*os.File, error) {
	name := path + ".lock"
	const tries = 100 // each one means that another daemon ended in between
	for range tries {
		file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0o600)
		if err != nil {
			return nil, fmt.Errorf("%w: lock file: %w", ErrUnsafePath, err)
		}
		current, err := lockFile(file, path)
		if current {
			return file, nil
		}
		file.Close()
		if err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("lock file %s is replaced again and again", name)
}

// lockFile reports whether file is locked now and is still the one that its name stands for.
func lockFile(file *os.File, path string) (bool, error) {
	info, err := file.Stat()
	if err != nil {
		return false, err
	}
	if !info.Mode().IsRegular() || ownerOf(info) != os.Geteuid() || linksOf(info) > 1 {
		return false, fmt.Errorf("%w: lock file %s must be a regular file of user %d with one name; remove it", ErrUnsafePath, file.Name(), os.Geteuid())
	}
	switch err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
	case errors.Is(err, unix.EWOULDBLOCK):
		text := make([]byte, 20)
		n, _ := file.ReadAt(text, 0)
		return false, fmt.Errorf("%w: %s, pid %s; end it or give another --socket", ErrAlreadyServed, path, strings.TrimSpace(string(text[:n])))
	case err != nil:
		return false, fmt.Errorf("lock file %s: %w", file.Name(), err)
	}
	named, err := os.Lstat(file.Name())
	if err != nil || !os.SameFile(named, info) {
		return false, nil
	}
	if err := file.Truncate(0); err != nil {
		return false, err
	}
	_, err = file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err == nil, err
}

// clearNames makes the folder of the names' sockets, empty. What an earlier
// daemon left behind are sockets; anything else is not ours to remove.
func (f *folder) clearNames() error {
	if err := makeFolder(f.names, false); err != nil {
		return err
	}
	if f.system {
		// Endpoints are paths where no descriptor stands for a socket; they are
		// passed through then, not listed.
		if err := os.Chmod(f.names, namesMode); err != nil {
			return err
		}
	}
	return f.removeNames()
}

func (f *folder) removeNames() error {
	entries, err := os.ReadDir(f.names)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Type() != fs.ModeSocket {
			return fmt.Errorf("%w: %s is not a socket, and this folder is for sockets; remove it", ErrUnsafePath, filepath.Join(f.names, e.Name()))
		}
		if err := os.Remove(filepath.Join(f.names, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// listen makes the registry's socket. It appears at its path complete: bound,
// with its final mode, and listening. The caller owns the file.
func (f *folder) listen() (*os.File, error) {
	mode := fs.FileMode(0o600)
	if f.system {
		mode = 0o666
	}
	born := filepath.Join(f.names, "registry")
	if info, err := os.Lstat(born); err == nil && info.Mode().Type() == fs.ModeSocket {
		os.Remove(born) // of one that was killed before the rename, and whose lock was kept
	}
	file, err := listenAt(born, mode)
	if err != nil {
		return nil, err
	}
	if err := os.Rename(born, f.path); err != nil {
		file.Close()
		return nil, fmt.Errorf("registry: %w", err)
	}
	return file, nil
}

// listenAt binds and listens. The file's descriptor does not block, and the
// runtime's poller does not know it.
func listenAt(path string, mode fs.FileMode) (*os.File, error) {
	fd, err := transport.Listen(path)
	if err != nil {
		return nil, err
	}
	// NewFile takes a descriptor that blocks for one to be left alone.
	unix.SetNonblock(fd, false)
	file := os.NewFile(uintptr(fd), path)
	if err := os.Chmod(path, mode); err != nil {
		file.Close()
		return nil, err
	}
	return file, unix.SetNonblock(fd, true)
}

// release removes what this daemon put there, the lock last.
func (f *folder) release() {
	f.removeNames()
	os.Remove(f.names)
	if info, err := os.Lstat(f.path); err == nil && !f.given && info.Mode().Type() == fs.ModeSocket {
		os.Remove(f.path)
	}
	os.Remove(f.lock.Name())
	f.lock.Close()
}

func ownerOf(info fs.FileInfo) int {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid)
	}
	return -1
}

func linksOf(info fs.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Nlink)
	}
	return 0
}

func describeMode(m fs.FileMode) string {
	switch m.Type() {
	case 0:
		return "a file"
	case fs.ModeDir:
		return "a folder"
	case fs.ModeSymlink:
		return "a symbolic link"
	case fs.ModeNamedPipe:
		return "a FIFO"
	case fs.ModeSocket:
		return "a socket"
	}
	return "a device"
}
