//go:build !linux && !freebsd && !darwin

package credentials

func peerGroups(int) (GroupSet, error) { return GroupSet{}, ErrUnsupported }
