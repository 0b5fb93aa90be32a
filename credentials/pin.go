package credentials

import "fmt"

// Pin holds on to a process at the other end of a socket and to what it runs: as
// long as Check says so, it is that very process, and it has executed nothing else
// since. A process id cannot say that: ids are used again, and survive exec. A new Pin
// says nothing yet: what was found out of the process counts if Check is nil afterwards.
//
// A Pin holds four descriptors until Close. It may be used from any goroutine, but
// not after Close. There is no usable zero value: see [PinPeer].
type Pin struct{ pin }

// PinPeer pins the process that connected the Unix socket fd or, seen from the
// client, that called listen last. fd stays the caller's, who must Close the result.
//
// It needs the right to look into that process: to be root, or the same user as one
// that may be traced; the error is unix.EACCES or EPERM otherwise. It wraps
// [ErrNotConnected] if there is no peer, unix.ESRCH if that has ended, and
// [ErrUnsupported] where the kernel has no such thing (all but Linux 6.5 and later).
// A process outside of this one's pid namespace counts as ended.
func PinPeer(fd int) (*Pin, error) {
	p, err := (&pinner{}).peer(fd)
	if err != nil {
		return nil, fmt.Errorf("credentials: the process at the other end of descriptor %d: %w", fd, err)
	}
	return &Pin{p}, nil
}

// PinProcess pins the process that pidfd stands for; pidfd stays the caller's, who
// must Close the result. Errors are those of [PinPeer], but for ErrNotConnected.
func PinProcess(pidfd int) (*Pin, error) {
	p, err := (&pinner{}).process(pidfd)
	if err != nil {
		return nil, fmt.Errorf("credentials: the process of descriptor %d: %w", pidfd, err)
	}
	return &Pin{p}, nil
}

// Check is nil while the process lives and runs what it ran when it was pinned.
// It is one system call where an [Execution] tells, as of most processes, and two or three
// elsewhere. Once it fails it fails for ever.
func (p *Pin) Check() error {
	if err := p.check(); err != nil {
		return fmt.Errorf("credentials: process %d: %w", p.pid, err)
	}
	return nil
}

// PID is the process's id; it means that process only as long as Check is nil.
func (p *Pin) PID() int { return p.pid }

// ProcessKey is [Pin.Key] of the process that pidfd stands for, which stays the caller's; 0
// also for what is none.
func ProcessKey(pidfd int) uint64 { return processKey(pidfd) }

// Key tells processes apart: equal keys, not 0, are the same process, also when
// its id was used again. It is 0 where the kernel has no such number (before Linux 6.9).
func (p *Pin) Key() uint64 { return p.key() }

// Groups are the process's effective and saved group id now. They are the pinned
// program's if Check is nil afterwards. The error wraps [ErrUnsupported] before Linux 6.13.
func (p *Pin) Groups() (effective, saved int, err error) { return p.groups() }

// Execution is by what the Pin knows of an exec, nil if there is no such thread; it is the Pin's to close.
func (p *Pin) Execution() *Execution { return p.execution() }

// Directory is the descriptor of the process's folder in /proc, the Pin's to
// close. What is read there is the process's, if Check is nil afterwards.
func (p *Pin) Directory() int { return p.dir }

// Close gives the descriptors back.
func (p *Pin) Close() { p.close() }
