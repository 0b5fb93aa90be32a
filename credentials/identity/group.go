package identity

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// groupFile remembers what the files of groups say, as long as they stay as they are.
type groupFile struct {
	mu   sync.Mutex // guards the rest
	seen [3]stamp
	gids map[string]int // of groups that nobody is a member of
	why  map[string]error
}

type stamp struct {
	size int64
	time time.Time
}

// maxMarkers bounds what is remembered between two changes of the files.
const maxMarkers = 4096

// exclusive is the id of the group that only a set-group-id program can give: it has
// no members, is nobody's own, and no range of subordinate ids contains it.
func (g *groupFile) exclusive(etc, name string) (int, error) {
	etc = cmp.Or(etc, "/etc")
	g.mu.Lock()
	defer g.mu.Unlock()
	var now [3]stamp
	for n, file := range []string{"group", "passwd", "subgid"} {
		if info, err := os.Stat(filepath.Join(etc, file)); err == nil {
			now[n] = stamp{info.Size(), info.ModTime()}
		}
	}
	fresh := time.Since(now[0].time) < 2*time.Second || time.Since(now[1].time) < 2*time.Second || time.Since(now[2].time) < 2*time.Second
	if now != g.seen || g.gids == nil || len(g.gids)+len(g.why) > maxMarkers || fresh {
		g.seen, g.gids, g.why = now, map[string]int{}, map[string]error{}
	}
	if gid, ok := g.gids[name]; ok {
		return gid, nil
	}
	if err := g.why[name]; err != nil {
		return -1, err
	}
	gid, err := exclusiveGroup(etc, name)
	if err != nil {
		g.why[name] = err
		return -1, err
	}
	g.gids[name] = gid
	return gid, nil
}

// ErrNoGroup: the group that would mark a program does not exist.
var ErrNoGroup = errors.New("this system has no group")

// MarkerGroup gives the id of a group if it can mark a program: nobody is a member of it
// or can become one. etc is the folder of the files group, passwd and subgid.
func MarkerGroup(etc, name string) (gid int, err error) { return exclusiveGroup(etc, name) }

func exclusiveGroup(etc, name string) (int, error) {
	gid := -1
	err := each(filepath.Join(etc, "group"), 4, func(f []string) error {
		if f[0] == name {
			id, err := strconv.ParseUint(f[2], 10, 31)
			if err != nil || id == 0 {
				return fmt.Errorf("the group %s has the id %q", name, f[2])
			}
			gid = int(id)
		}
		return nil
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return -1, err
	}
	if gid < 0 {
		return -1, fmt.Errorf("%w %s: install the program with xpcsign install", ErrNoGroup, name)
	}
	text := strconv.Itoa(gid)
	err = each(filepath.Join(etc, "group"), 4, func(f []string) error {
		if f[2] == text && (f[0] != name || f[3] != "") {
			return fmt.Errorf("the group %s (%d) has members or another name, %s:%s: it marks nothing", name, gid, f[0], f[3])
		}
		return nil
	})
	if err != nil {
		return -1, err
	}
	err = each(filepath.Join(etc, "passwd"), 4, func(f []string) error {
		if f[3] == text {
			return fmt.Errorf("the group %s (%d) is the user %s's own: it marks nothing", name, gid, f[0])
		}
		return nil
	})
	if err != nil {
		return -1, err
	}
	err = each(filepath.Join(etc, "subgid"), 3, func(f []string) error {
		start, err := strconv.ParseUint(f[1], 10, 32)
		count, err2 := strconv.ParseUint(f[2], 10, 33)
		if err := errors.Join(err, err2); err != nil {
			return fmt.Errorf("subgid: %w", err)
		}
		if uint64(gid) >= start && uint64(gid)-start < count {
			return fmt.Errorf("%s may map the group %s (%d) into a namespace (subgid): it marks nothing", f[0], name, gid)
		}
		return nil
	})
	if errors.Is(err, os.ErrNotExist) { // nobody has subordinate ids
		err = nil
	}
	if err != nil {
		return -1, err
	}
	return gid, nil
}

// each calls use with the fields of each line that has as many, until it fails.
func each(path string, fields int, use func([]string) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		if f := strings.Split(s.Text(), ":"); len(f) >= fields {
			if err := use(f); err != nil {
				return err
			}
		}
	}
	return s.Err()
}
