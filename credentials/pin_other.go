//go:build !linux

package credentials

type pin struct {
	pid, dir int
	key      uint64
}

type pinner struct{}

func (*pinner) peer(int) (pin, error)    { return pin{}, ErrUnsupported }
func (*pinner) process(int) (pin, error) { return pin{}, ErrUnsupported }

func (*pin) check() error                        { return ErrUnsupported }
func (*pin) groups() (egid, sgid int, err error) { return -1, -1, ErrUnsupported }
func (*pin) close()                              {}
