package credentials

import (
	"errors"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// TestGroups has a child with more groups than the first guess has room for.
func TestGroups(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to have a child with other groups")
	}
	_, conn := visit(t, "member")
	onFD(t, conn, func(fd int) {
		got, err := Groups(fd)
		if errors.Is(err, ErrUnsupported) {
			t.Skip(err)
		}
		slices.Sort(got)
		if err != nil || !slices.Equal(got, childGroups()) {
			t.Errorf("Groups = %v, %v; want the child's, as of its connect: %v", got, err, childGroups())
		}
	})
}

// Whatever the security module is, it labels both ends of this process's pair alike.
func TestSecurityLabel(t *testing.T) {
	a, b := pair(t)
	one, err := SecurityLabel(a)
	if errors.Is(err, ErrUnsupported) {
		if one != "" {
			t.Errorf("SecurityLabel = %q, %v; want no text with the error", one, err)
		}
		t.Skip(err)
	}
	if errors.Is(err, unix.ENODATA) {
		t.Skip("the module does not label pairs")
	}
	two, err2 := SecurityLabel(b)
	if err != nil || err2 != nil || one != two || one == "" {
		t.Errorf("labels of one pair: %q, %v and %q, %v; want the same text twice", one, err, two, err2)
	}
}
