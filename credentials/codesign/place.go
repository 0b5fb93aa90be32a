package codesign

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Place is where one domain keeps signatures and what decides on them. A path of ""
// and one that does not exist mean: nothing.
type Place struct {
	// Trust is the folder of anchors, one in each NAME.pem.
	Trust string
	// Deny is the file that lists what counts for nothing.
	Deny string
	// Platform is the folder of the trust cache: lists of what belongs to the
	// platform, in each NAME.list.
	Platform string
	// Store is the folder of signatures.
	Store string
	// Owner may own all of these beside root (0).
	Owner int
	// User: it is a user's own. Nothing in it makes a program part of the platform.
	User bool
}

// System gives the distribution's place and the administrator's. root is put before
// every path, for packages that are being built and for tests; with a root, whoever
// runs this process may own the files.
func System(root string) []Place {
	owner := 0
	if root != "" {
		owner = os.Geteuid()
	}
	under := func(path string) string { return filepath.Join("/", root, path) }
	return []Place{
		{
			Trust: under("usr/share/xpc/trust.d"), Deny: under("usr/share/xpc/deny"),
			Platform: under("usr/share/xpc/platform.d"), Store: under("usr/lib/xpc/codesign"), Owner: owner,
		}, {
			Trust: under("etc/xpc/trust.d"), Deny: under("etc/xpc/deny"),
			Platform: under("var/lib/xpc/platform.d"), Store: under("var/lib/xpc/codesign"), Owner: owner,
		},
	}
}

// User gives a user's own place. config and data are the user's folders for these,
// as ~/.config and ~/.local/share; owner is the user's id.
func User(config, data string, owner int) Place {
	return Place{
		Trust: filepath.Join(config, "xpc/trust.d"), Deny: filepath.Join(config, "xpc/deny"),
		Store: filepath.Join(data, "xpc/codesign"), Owner: owner, User: true,
	}
}

// maxLinks bounds symbolic links on one path, as the kernel does.
const maxLinks = 40

// CheckOwner demands that nobody but root and owner decides what path means: all
// that lies on the way, symbolic links too, belongs to one of them, and others
// cannot write to it. A folder where only owners may remove (sticky, as /tmp) will do
// on the way, not at its end.
func CheckOwner(path string, owner int) error {
	at, rest, links := "/", path, 0
	if !filepath.IsAbs(path) {
		return fmt.Errorf("%s is not an absolute path", path)
	}
	for {
		info, err := os.Lstat(at)
		if err != nil {
			return err
		}
		rest = strings.TrimLeft(rest, "/")
		if err := checkEntry(at, info, owner, rest == ""); err != nil {
			return err
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			target, err := os.Readlink(at)
			if links++; err != nil || links > maxLinks {
				return fmt.Errorf("%s: too many symbolic links", path)
			}
			if at = filepath.Dir(at); filepath.IsAbs(target) {
				at = "/"
			}
			rest = target + "/" + rest
			continue
		}
		if rest == "" {
			return nil
		}
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		at = filepath.Join(at, name) // no link is left in at: ".." is lexical
	}
}

func checkEntry(path string, info fs.FileInfo, owner int, last bool) error {
	if uid, ok := ownerOf(info); !ok || uid != 0 && uid != owner {
		return fmt.Errorf("%s belongs to user %d, who may not decide on trust: chown root %s", path, uid, path)
	}
	open := info.Mode().Perm()&0o022 != 0 && info.Mode()&fs.ModeSymlink == 0
	if open && (last || info.Mode()&fs.ModeSticky == 0) {
		return fmt.Errorf("others can write to %s (mode %04o): chmod go-w %s", path, info.Mode().Perm(), path)
	}
	return nil
}

// readFile reads a regular file of at most limit bytes, and never waits for a pipe.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%s has more than the %d bytes that it may have", path, limit)
	}
	return b, err
}

// entries lists the files of a folder that end in suffix; a folder that is not
// there has none.
func entries(dir, suffix string) (paths []string, err error) {
	if dir == "" {
		return nil, nil
	}
	list, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, e := range list {
		if strings.HasSuffix(e.Name(), suffix) && !strings.HasPrefix(e.Name(), ".") {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	return paths, err
}

func ownerOf(info fs.FileInfo) (uid int, ok bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return -1, false
	}
	return int(st.Uid), true
}
