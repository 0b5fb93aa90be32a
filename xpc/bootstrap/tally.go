package bootstrap

import (
	"fmt"
	"sync/atomic"
)

// Tally is the file in memory in which a process says how many transactions it has
// open, so that its registry can tell when it has ended (R185), and how long it has been
// idle (R183): two int64 in the machine's byte order. The process maps the file that [EnvTally] names and counts
// there; the registry reads, and the process can lie about nobody but itself. It is for
// any number of goroutines, and the zero Tally is that of an idle process.
type Tally struct {
	Open  atomic.Int64 // how many transactions are open, plus Ending
	Turns atomic.Int64 // how often there was a first one; one more, once the process counts
}

// TallySize is the size of a Tally's file in bytes.
const TallySize = 16

// Ending is added to Open, once, when the process is told to end.
const Ending = 1 << 62

// TallyName is what EnvTally says of a Tally's file: its descriptor, and the device and
// inode by which a process tells it from another file that came by that number.
func TallyName(fd int, device, inode uint64) string {
	return fmt.Sprintf("%d:%d:%d", fd, device, inode)
}
