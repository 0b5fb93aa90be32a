package registry

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// ErrUntrusted is wrapped by LoadTrusted's error about a file or a folder that
// somebody else could change. Each error says which one and what to do.
var ErrUntrusted = errors.New("somebody else could change it")

// LoadTrusted is LoadJob for a registry that runs as the user uid and is going to
// execute what the file names. It refuses a file that others could change: the file
// must be root's or uid's, and its folder too; nobody else may be able to write to
// either, nor take a folder above out of the way. Errors: LoadJob's, and ErrUntrusted.
func LoadTrusted(path string, uid int) (*Job, error) {
	data, err := readTrusted(path, uid)
	if err != nil {
		return nil, err
	}
	return ParseJob(path, data)
}

// CheckTrust is what LoadTrusted demands of a file and of where it is, without reading
// it: an error that wraps ErrUntrusted, and says what to do, if somebody else could
// change it.
func CheckTrust(path string, uid int) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	if err := checkPlace(path, uid); err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return checkEntry(path, info, uid)
}

func readTrusted(path string, uid int) ([]byte, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := checkPlace(path, uid); err != nil {
		return nil, fmt.Errorf("registry: job file: %w", err)
	}
	return readFile(path, func(info fs.FileInfo) error { return checkEntry(path, info, uid) })
}

// checkPlace looks at the folders of the path, and at those of what it is a
// symbolic link to.
func checkPlace(path string, uid int) error {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	for _, dir := range []string{filepath.Dir(path), filepath.Dir(real)} {
		if err := checkFolders(dir, uid); err != nil {
			return err
		}
	}
	return nil
}

func checkFolders(dir string, uid int) error {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	for writers := fs.FileMode(0o022); ; writers = 0o002 {
		info, err := os.Stat(dir)
		if err != nil {
			return err
		}
		if err := checkOwner("folder ", dir, info, uid); err != nil {
			return err
		}
		// In a sticky folder nobody can replace what is another's.
		if info.Mode()&fs.ModeSticky == 0 && info.Mode().Perm()&writers != 0 {
			return openToOthers("folder ", dir, info)
		}
		if dir == "/" {
			return nil
		}
		dir = filepath.Dir(dir)
	}
}

func checkEntry(path string, info fs.FileInfo, uid int) error {
	if err := checkOwner("", path, info, uid); err != nil {
		return err
	}
	if info.Mode().Perm()&0o022 != 0 {
		return openToOthers("", path, info)
	}
	return nil
}

func checkOwner(kind, path string, info fs.FileInfo, uid int) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("%w: %s%s has no owner", ErrUntrusted, kind, path)
	}
	if owner := int(st.Uid); owner != 0 && owner != uid {
		return fmt.Errorf("%w: %s%s belongs to user %d, not to root or user %d; chown %d %s", ErrUntrusted, kind, path, owner, uid, uid, path)
	}
	return nil
}

func openToOthers(kind, path string, info fs.FileInfo) error {
	return fmt.Errorf("%w: %s%s can be written by others (mode %04o); chmod go-w %s", ErrUntrusted, kind, path, info.Mode().Perm(), path)
}
