package registry

import (
	"errors"
	"fmt"
	"os/user"
	"slices"
	"strconv"
)

// MaxAccess is how many users and groups one job file, or one list of xpcd's, may name.
const MaxAccess = 1000

// maxID is the largest id; the one above it is the kernel's "nobody".
const maxID = 1<<32 - 2

// Access is a list of who may do something, by the ids that names stood for when
// it was read. The zero Access allows nobody. It is read-only by convention: any
// number of goroutines may use one.
type Access struct {
	Users  []int // effective user ids
	Groups []int // group ids, effective or supplementary
}

// Allows says whether uid is one of the users, or gid one of the groups, or the
// groups have one that inGroup says yes to (nil for a subject without any). Ids
// that are not known (-1) are never allowed.
func (a Access) Allows(uid, gid int, inGroup func(gid int) bool) bool {
	if uid != -1 && slices.Contains(a.Users, uid) {
		return true
	}
	if gid != -1 && slices.Contains(a.Groups, gid) {
		return true
	}
	return inGroup != nil && slices.ContainsFunc(a.Groups, inGroup)
}

// ParseAccess reads lists of names and numbers, such as a command line's: what
// consists of digits is a number, anything else a name that the system knows.
// The error says which one it is that nobody has.
func ParseAccess(users, groups []string) (Access, error) {
	if n := len(users) + len(groups); n > MaxAccess {
		return Access{}, fmt.Errorf("%d users and groups, the limit is %d: use a group", n, MaxAccess)
	}
	var a Access
	for _, u := range users {
		id, err := parseID(u, userID)
		if err != nil {
			return Access{}, err
		}
		a.Users = append(a.Users, id)
	}
	for _, g := range groups {
		id, err := parseID(g, groupID)
		if err != nil {
			return Access{}, err
		}
		a.Groups = append(a.Groups, id)
	}
	return a, nil
}

func parseID(text string, named func(string) (int, error)) (int, error) {
	if id, ok := numericID(text); ok {
		return id, nil
	}
	return named(text)
}

// numericID reads a decimal id. Where int has 32 bits the large ones are
// negative, as everywhere in this project.
func numericID(text string) (int, bool) {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n > maxID {
		return -1, false
	}
	return int(uint32(n)), true
}

func userID(name string) (int, error) {
	u, err := user.Lookup(name)
	var unknown user.UnknownUserError
	if errors.As(err, &unknown) {
		return -1, fmt.Errorf("no user is called %s on this system: correct it, or give a number", shorten(name))
	}
	if err != nil {
		return -1, fmt.Errorf("cannot look the user %s up: %w", shorten(name), err)
	}
	return systemID(u.Uid)
}

func groupID(name string) (int, error) {
	g, err := user.LookupGroup(name)
	var unknown user.UnknownGroupError
	if errors.As(err, &unknown) {
		return -1, fmt.Errorf("no group is called %s on this system: correct it, or give a number", shorten(name))
	}
	if err != nil {
		return -1, fmt.Errorf("cannot look the group %s up: %w", shorten(name), err)
	}
	return systemID(g.Gid)
}

func systemID(text string) (int, error) {
	if id, ok := numericID(text); ok {
		return id, nil
	}
	return -1, fmt.Errorf("the system answers with the id %s, which is none", shorten(text))
}

// access reads the dictionary under a service's LookUp. A list that is not there
// is empty.
func (c *checker) access(path string, n *node) Access {
	var a Access
	for _, m := range n.members {
		name := join(path, m.key)
		switch {
		case m.key != "Users" && m.key != "Groups":
			c.add(Error, m.pos, name, "unknown key %s of %q: it knows Users and Groups", shorten(m.key), path)
		case m.value.kind == nullKind:
		case m.value.kind != arrayKind:
			c.add(Error, m.value.pos, name, "%q must be an array of names and numbers, not %s", m.key, m.value.kind.withArticle())
		case m.key == "Users":
			a.Users = c.ids(name, m.value.items, userID)
		default:
			a.Groups = c.ids(name, m.value.items, groupID)
		}
	}
	return a
}

func (c *checker) ids(path string, items []*node, named func(string) (int, error)) []int {
	var out []int
	for _, item := range items {
		if c.subjects++; c.subjects > MaxAccess {
			if c.subjects == MaxAccess+1 {
				c.add(Error, item.pos, path, "more than %d users and groups are named: use a group", MaxAccess)
			}
			return out
		}
		if id, ok := c.id(path, item, named); ok {
			out = append(out, id)
		}
	}
	return out
}

// id reads a number, or a string as a name.
func (c *checker) id(path string, item *node, named func(string) (int, error)) (int, bool) {
	switch item.kind {
	case integerKind:
		if n, err := integer(item.text); err == nil && n >= 0 && n <= maxID {
			return int(uint32(n)), true
		}
		c.add(Error, item.pos, path, "%s is no id: they go from 0 to %d", shorten(item.text), int64(maxID))
	case stringKind:
		if c.count[Error] >= maxFindings {
			return -1, false // each name costs a look into the system's database
		}
		id, err := named(item.text)
		if err == nil {
			return id, true
		}
		c.add(Error, item.pos, path, "%v", err)
	case nullKind:
	default:
		c.add(Error, item.pos, path, "%q lists names (strings) and numbers (integers), not %s", path, item.kind.withArticle())
	}
	return -1, false
}
