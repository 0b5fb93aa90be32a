//go:build freebsd || darwin

package credentials

// peerGroups are in the same answer as the ids.
func peerGroups(fd int) (GroupSet, error) {
	c, err := fromSocket(fd)
	return c.Groups, err
}

// xucredGroups is the part of the fixed array that the kernel filled.
func xucredGroups(ids []uint32, n int16) GroupSet {
	var out []int
	for _, g := range ids[:max(0, min(int(n), len(ids)))] {
		out = append(out, id(g))
	}
	return NewGroupSet(out...)
}
