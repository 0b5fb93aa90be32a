package daemon

import (
	"encoding/binary"
	"os"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/registry/internal/handover"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// tally is where a job's process counts its open transactions. It is read, never
// mapped: whoever has it may cut it short. The nil tally is that of an idle process.
type tally struct {
	file *os.File
	id   string // in the store
}

// newTally makes the tally of the job's next process.
func (d *daemon) newTally(j *job) error {
	file, err := handover.MemoryFile()
	if err != nil {
		return transient(err)
	}
	if err := file.Truncate(bootstrap.TallySize); err != nil {
		file.Close()
		return transient(err)
	}
	j.tally = &tally{file: file}
	if d.store != nil {
		j.tally.id = d.newID()
		d.store.Keep(j.tally.id, int(file.Fd()))
	}
	return nil
}

func (d *daemon) closeTally(j *job) {
	if j.tally != nil {
		d.store.Drop(j.tally.id)
		j.tally.file.Close()
	}
	j.tally = nil
}

// heldTally is the one that an earlier daemon made, nil if there is none.
func (d *daemon) heldTally(held *handover.Held, id string) *tally {
	fd := takeOne(held, id)
	if fd < 0 {
		return nil
	}
	return &tally{os.NewFile(uintptr(fd), "tally"), id}
}

// variable tells the process, which has it as fd, where to count.
func (t *tally) variable(fd int) string {
	var st unix.Stat_t
	unix.Fstat(int(t.file.Fd()), &st)
	return bootstrap.EnvTally + "=" + bootstrap.TallyName(fd, uint64(st.Dev), uint64(st.Ino))
}

// read is whether transactions are open, or were when the process ended, and how
// often it became busy: 0 for a process that does not count.
func (t *tally) read() (busy bool, turns uint64) {
	var b [bootstrap.TallySize]byte
	if t == nil {
		return false, 0
	}
	if _, err := t.file.ReadAt(b[:], 0); err != nil {
		return false, 0
	}
	return binary.NativeEndian.Uint64(b[:])&^bootstrap.Ending != 0, binary.NativeEndian.Uint64(b[8:])
}

func (t *tally) busy() bool {
	busy, _ := t.read()
	return busy
}
