//go:build !linux

package credentials

func processPidfd(int) (int, error) { return -1, ErrUnsupported }
