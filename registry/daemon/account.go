package daemon

import (
	"fmt"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// account is whom a job is to run as.
type account struct {
	uid, gid int
	groups   []int
	vars     []string // environment variables that tell of the user
}

// findAccount looks user and group up: they may have come or gone since the job
// was loaded. A group alone leaves the user as it is.
func findAccount(o *order) (*account, error) {
	a := &account{uid: -1, gid: -1}
	if o.UserName != "" {
		if err := a.user(o.UserName, !o.NoInitGroups); err != nil {
			return nil, fmt.Errorf("UserName: %w", err)
		}
	}
	if o.GroupName != "" {
		gid, err := group(o.GroupName)
		if err != nil {
			return nil, fmt.Errorf("GroupName: %w", err)
		}
		a.gid = gid
	}
	if !slices.Contains(a.groups, a.gid) {
		a.groups = append(a.groups, a.gid)
	}
	return a, nil
}

func (a *account) user(name string, all bool) error {
	u, err := user.Lookup(name)
	if err != nil {
		if u, err = user.LookupId(name); err != nil {
			return fmt.Errorf("no user is called %q on this system: correct it", name)
		}
	}
	if a.uid, err = strconv.Atoi(u.Uid); err != nil {
		return err
	}
	if a.gid, err = strconv.Atoi(u.Gid); err != nil {
		return err
	}
	a.vars = []string{"HOME=" + u.HomeDir, "LOGNAME=" + u.Username, "SHELL=/bin/sh", "USER=" + u.Username}
	if !all {
		return nil
	}
	ids, err := u.GroupIds()
	if err != nil {
		return fmt.Errorf("the groups of user %q: %w", name, err)
	}
	for _, id := range ids {
		gid, err := strconv.Atoi(id)
		if err != nil {
			return err
		}
		a.groups = append(a.groups, gid)
	}
	return nil
}

func group(name string) (int, error) {
	g, err := user.LookupGroup(name)
	if err != nil {
		if g, err = user.LookupGroupId(name); err != nil {
			return -1, fmt.Errorf("no group is called %q on this system: correct it", name)
		}
	}
	return strconv.Atoi(g.Gid)
}

// become gives root's rights up for good.
func (a *account) become() error {
	if err := syscall.Setgroups(a.groups); err != nil {
		return fmt.Errorf("groups %v: %w", a.groups, err)
	}
	if err := syscall.Setgid(a.gid); err != nil {
		return fmt.Errorf("group %d: %w", a.gid, err)
	}
	if a.uid == -1 {
		return nil
	}
	if err := syscall.Setuid(a.uid); err != nil {
		return fmt.Errorf("user %d: %w", a.uid, err)
	}
	return nil
}

// addTo adds the variables that the job file has not set.
func (a *account) addTo(env []string) []string {
	for _, kv := range a.vars {
		name, _, _ := strings.Cut(kv, "=")
		if !slices.ContainsFunc(env, func(have string) bool { return strings.HasPrefix(have, name+"=") }) {
			env = append(env, kv)
		}
	}
	return env
}
