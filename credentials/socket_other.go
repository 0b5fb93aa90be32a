//go:build !linux && !freebsd && !dragonfly && !openbsd && !netbsd && !darwin

package credentials

func fromSocket(int) (Credentials, error) { return Credentials{}, ErrUnsupported }
