//go:build !linux

package credentials

type pin struct{ pid, dir int }

type pinner struct{}

func (*pinner) peer(int) (pin, error)    { return pin{}, ErrUnsupported }
func (*pinner) process(int) (pin, error) { return pin{}, ErrUnsupported }

func (*pin) check() error                        { return ErrUnsupported }
func (*pin) key() uint64                         { return 0 }
func (*pin) execution() *Execution               { return nil }
func processKey(int) uint64                      { return 0 }
func (*pin) groups() (egid, sgid int, err error) { return -1, -1, ErrUnsupported }
func (*pin) close()                              {}

func executionOf(int) (*Execution, error) { return nil, ErrUnsupported }
func (*Execution) lasts() bool            { return false }
func (*Execution) close()                 {}
