package credentials

import (
	"errors"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

func TestGroupSet(t *testing.T) {
	largest := id(4294967294) // negative where int has 32 bits
	s := NewGroupSet(4, 27, largest)
	for gid, want := range map[int]bool{4: true, 27: true, largest: true, 0: false, 100: false} {
		if got := s.Has(gid); got != want {
			t.Errorf("%v.Has(%d) = %v, want %v", s, gid, got, want)
		}
	}
	if s != NewGroupSet(4, 27, largest) || s == NewGroupSet(4, 27) {
		t.Error("sets are values: == compares what is in them")
	}
	if got := s.Len(); got != 3 {
		t.Errorf("Len = %d, want 3", got)
	}
	if (GroupSet{}).Has(0) || (GroupSet{}).All() != nil {
		t.Error("the empty set has members; group 0 is root's")
	}
	if NewGroupSet(-1).Has(-1) {
		t.Error("-1 is a member: it stands for unknown, and unknown is in no group")
	}
}

// A set has a bound, because a peer with privileges chooses its size.
func TestGroupSetIsBounded(t *testing.T) {
	many := make([]int, MaxGroups+1)
	for i := range many {
		many[i] = i
	}
	if s := NewGroupSet(many...); s.Len() != MaxGroups || s.Has(MaxGroups) {
		t.Errorf("%d groups are kept, want the first %d", s.Len(), MaxGroups)
	}
	if s := packedGroups(make([]byte, 4*MaxGroups+7)); s.Len() != MaxGroups {
		t.Errorf("%d groups of a kernel's answer are kept, want %d", s.Len(), MaxGroups)
	}
	if s := packedGroups(make([]byte, 7)); s.Len() != 1 {
		t.Errorf("7 bytes hold %d ids, want 1", s.Len())
	}
}

func TestGroupsOfAPair(t *testing.T) {
	a, _ := pair(t)
	got, err := Groups(a)
	if errors.Is(err, ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.Getgroups()
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range want {
		if !slices.Contains(got, g) {
			t.Errorf("Groups = %v, want this process's %v, which made the pair", got, want)
		}
	}
	c, err := FromSocket(a)
	if err != nil || !slices.Equal(c.Groups.All(), got) {
		t.Errorf("FromSocket has groups %v, %v; want the same %v", c.Groups, err, got)
	}
}

func TestGroupsFailClosed(t *testing.T) {
	lonely, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(lonely)
	for name, fd := range map[string]int{"a socket without a peer": lonely, "no descriptor": -1} {
		if got, err := Groups(fd); err == nil || got != nil {
			t.Errorf("%s: Groups = %v, %v; want nil and an error", name, got, err)
		}
		if got, err := SecurityLabel(fd); err == nil || got != "" {
			t.Errorf("%s: SecurityLabel = %q, %v; want nothing and an error", name, got, err)
		}
	}
}
