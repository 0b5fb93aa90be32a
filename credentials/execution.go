package credentials

import "fmt"

// Execution stands for what a process executes now. It is known by a thread of the
// process beside the first one: exec ends all threads but one, which goes on as the
// first. So while that thread lives, the process is the same and has executed nothing else.
// It takes no right to look into the process, which a [Pin] does.
//
// It holds one descriptor until Close, and may be used from any goroutine, but not after
// Close. There is no usable zero value: see [ExecutionOf].
type Execution struct{ thread int }

// ExecutionOf takes hold of what the process of pidfd executes; pidfd stays the caller's,
// who must Close the result. The error wraps unix.ESRCH if the process has ended, and
// [ErrUnsupported] if it has one thread only, its threads cannot be seen, or the kernel has
// no such thing (all but Linux 6.13 and later).
func ExecutionOf(pidfd int) (*Execution, error) {
	e, err := executionOf(pidfd)
	if err != nil {
		return nil, fmt.Errorf("credentials: what the process of descriptor %d executes: %w", pidfd, err)
	}
	return e, nil
}

// Lasts says that the process has neither ended nor executed anything since. It is one
// system call. false says nothing, as a thread can end by itself; once false it stays so.
func (e *Execution) Lasts() bool { return e != nil && e.lasts() }

// Close gives the descriptor back.
func (e *Execution) Close() { e.close() }
