package handover

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// The environment of a process that takes over from another. The first four are the
// service manager's, storeSize from systemd 254 on; inherited is ours, when a process
// executes itself: the journal's descriptor, and in the journal a record of all others.
const (
	listenPID   = "LISTEN_PID"
	listenFDs   = "LISTEN_FDS"
	listenNames = "LISTEN_FDNAMES"
	storeSize   = "FDSTORE"
	inherited   = "XPC_HANDOVER"
)

// waiting is a record beside that of inherited: those that the manager had no room for.
const waiting = "XPC_HANDOVER_WAITING"

// A service manager passes all ids in one variable of the environment, and the
// kernel takes 128 KiB for one: with a longer one nothing could be started any more.
// reserve is for the journals, of which there are two for a moment.
const (
	maxIDs  = 128<<10 - len(listenNames+"=") - 1 - reserve
	reserve = 128
)

// ErrFull: the service manager keeps no more. What it has not taken waits for room.
// It is lost if the process is killed meanwhile, and not if it executes itself.
var ErrFull = errors.New("handover: the service manager keeps no more descriptors")

// firstFD is the first descriptor that a service manager passes.
const firstFD = 3

// journalID is the id of a journal, with its generation behind it.
const journalID = ".state-"

// Held is what the process before has left. The receiver owns the descriptors; they
// are kept further, until it calls Drop.
type Held struct {
	Records map[string]json.RawMessage
	FDs     map[string][]int // by id, or by what the service manager calls them
}

// Store keeps what is to outlive the process. The nil Store keeps nothing. It is
// for one goroutine at a time.
type Store struct {
	manager *Manager
	journal *journal
	fds     map[string][]int // kept; the caller's
	waiting map[string][]int // those of them that the manager has no room for
	most    int              // descriptors that the manager takes
	count   int              // descriptors that it has
	ids     int              // bytes of their ids, each with a colon
	err     error            // the first that was met; see Err
}

// Open takes what was left for this process out of its environment, once, and
// keeps from now on what it is given, with the help of m, which may be nil. It is
// not to be called while another goroutine makes processes.
func Open(m *Manager) (*Store, *Held, error) {
	fds, before := fromManager(), fromBefore()
	maps.Copy(fds, before)
	journals := map[string][]int{}
	for id, numbers := range fds {
		if strings.HasPrefix(id, journalID) {
			journals[id] = numbers
			delete(fds, id)
		}
	}
	s := &Store{manager: m, fds: maps.Clone(fds), waiting: map[string][]int{}, most: math.MaxInt}
	if n, err := strconv.Atoi(os.Getenv(storeSize)); err == nil {
		s.most = n - 2 // journals
	}
	held := &Held{Records: map[string]json.RawMessage{}, FDs: fds}
	s.journal = newest(journals)
	if s.journal == nil {
		var err error
		if s.journal, err = newJournal(1); err != nil {
			return nil, nil, err
		}
		s.keepJournal()
	}
	for id := range journals {
		if id != s.id() {
			m.Tell(nil, "FDSTOREREMOVE=1", "FDNAME="+id)
		}
	}
	if value, err := s.journal.value(waiting); err == nil && len(before) > 0 {
		json.Unmarshal(value, &s.waiting)
	}
	s.Delete(waiting)
	for id, numbers := range fds {
		s.told(id, len(numbers)-len(s.waiting[id]))
	}
	for key := range s.journal.spans {
		value, err := s.journal.value(key)
		if err != nil {
			return nil, nil, fmt.Errorf("handover: the record %q: %w", key, err)
		}
		held.Records[key] = value
	}
	return s, held, nil
}

// newest reads the journal of the last generation and closes the others.
func newest(journals map[string][]int) *journal {
	var last *journal
	for id, fds := range journals {
		for _, fd := range fds {
			f := os.NewFile(uintptr(fd), id)
			j, err := readJournal(f)
			switch {
			case err != nil:
				f.Close()
			case last == nil || j.generation > last.generation:
				if last != nil {
					last.file.Close()
				}
				last = j
			default:
				f.Close()
			}
		}
	}
	return last
}

// fromManager takes the descriptors that a service manager passes.
func fromManager() map[string][]int {
	fds := map[string][]int{}
	pid, names := os.Getenv(listenPID), strings.Split(os.Getenv(listenNames), ":")
	n, err := strconv.Atoi(os.Getenv(listenFDs))
	for _, v := range []string{listenPID, listenFDs, listenNames} {
		os.Unsetenv(v)
	}
	if err != nil || pid != strconv.Itoa(os.Getpid()) {
		return fds
	}
	for i := range n {
		id := "unknown"
		if i < len(names) && names[i] != "" {
			id = names[i]
		}
		take(fds, id, firstFD+i)
	}
	return fds
}

// fromBefore takes what this process left open for itself.
func fromBefore() map[string][]int {
	fds := map[string][]int{}
	text := os.Getenv(inherited)
	os.Unsetenv(inherited)
	fd, err := strconv.Atoi(text)
	if err != nil {
		return fds
	}
	unix.CloseOnExec(fd)
	f := os.NewFile(uintptr(fd), journalID)
	j, err := readJournal(f)
	if err != nil {
		f.Close()
		return fds
	}
	open := map[string][]int{}
	if value, err := j.value(inherited); err == nil {
		json.Unmarshal(value, &open)
	}
	j.write(record{K: inherited})
	for id, numbers := range open {
		for _, fd := range numbers {
			take(fds, id, fd)
		}
	}
	again, err := dupCloexec(fd) // f closes its own
	if err == nil {
		fds[journalID+strconv.FormatUint(j.generation, 10)] = []int{again}
	}
	f.Close()
	return fds
}

func dupCloexec(fd int) (int, error) {
	return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, firstFD)
}

func take(fds map[string][]int, id string, fd int) {
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
		return
	}
	unix.CloseOnExec(fd)
	fds[id] = append(fds[id], fd)
}

// Put writes the record of a key. It is there when Put returns, whatever becomes
// of the process.
func (s *Store) Put(key string, value any) {
	if s == nil {
		return
	}
	text, err := json.Marshal(value)
	if err == nil {
		err = s.journal.write(record{key, text})
	}
	s.wrote(err)
}

// Delete removes the record of a key.
func (s *Store) Delete(key string) {
	if s == nil {
		return
	}
	if _, ok := s.journal.spans[key]; ok {
		s.wrote(s.journal.write(record{K: key}))
	}
}

// wrote makes a shorter file when most of the present one counts no more.
func (s *Store) wrote(err error) {
	s.note(err)
	if !s.journal.wasteful() {
		return
	}
	next, err := s.journal.again()
	if err != nil {
		s.note(err)
		return
	}
	old := s.id()
	s.journal.file.Close()
	s.journal = next
	s.keepJournal()
	s.note(s.manager.Tell(nil, "FDSTOREREMOVE=1", "FDNAME="+old))
}

func (s *Store) id() string { return journalID + strconv.FormatUint(s.journal.generation, 10) }

func (s *Store) keepJournal() {
	s.note(s.manager.Tell([]int{int(s.journal.file.Fd())}, "FDSTORE=1", "FDNAME="+s.id(), "FDPOLL=0"))
}

// Keep keeps descriptors, which stay the caller's, under an id beside those that
// are there. The caller calls Drop before it closes them. An id has up to 255
// characters of ASCII, none of them a colon, and should be short: a service manager
// passes all of them in one string.
func (s *Store) Keep(id string, fds ...int) {
	if s == nil {
		return
	}
	s.fds[id] = append(s.fds[id], fds...)
	if s.fits(id, len(fds)) {
		s.tell(id, fds)
		return
	}
	if len(s.waiting) == 0 {
		s.note(s.full())
	}
	s.waiting[id] = append(s.waiting[id], fds...)
}

func (s *Store) fits(id string, n int) bool {
	return s.manager == nil || s.count+n <= s.most && s.ids+n*(len(id)+1) <= maxIDs
}

func (s *Store) full() error {
	if s.count < s.most {
		return fmt.Errorf("%w: the names of %d are as long as one variable can be", ErrFull, s.count)
	}
	return fmt.Errorf("%w: it has %d, set FileDescriptorStoreMax higher", ErrFull, s.count)
}

func (s *Store) tell(id string, fds []int) {
	s.told(id, len(fds))
	s.note(s.manager.Tell(fds, "FDSTORE=1", "FDNAME="+id, "FDPOLL=0"))
}

// told counts what the manager has of an id, or with a negative number has no more.
func (s *Store) told(id string, n int) {
	s.count += n
	s.ids += n * (len(id) + 1)
}

// Drop lets all descriptors of an id go, and the manager keep what waits for room.
func (s *Store) Drop(id string) {
	if s == nil || s.fds[id] == nil {
		return
	}
	kept := len(s.fds[id]) - len(s.waiting[id])
	delete(s.fds, id)
	delete(s.waiting, id)
	if kept == 0 {
		return
	}
	s.told(id, -kept)
	s.note(s.manager.Tell(nil, "FDSTOREREMOVE=1", "FDNAME="+id))
	for id, fds := range s.waiting {
		if !s.fits(id, len(fds)) {
			break
		}
		delete(s.waiting, id)
		s.tell(id, fds)
	}
}

func (s *Store) note(err error) {
	if s.err == nil {
		s.err = err
	}
}

// Err is the first error since the last call, nil if there was none. After one,
// something may be missing from what the next process gets.
func (s *Store) Err() error {
	if s == nil {
		return nil
	}
	err := s.err
	s.err = nil
	return err
}

// Exec has this process be the program, which finds in its environment what was
// kept. It returns only if that fails; then everything is as before.
func (s *Store) Exec(program string, arguments, environment []string) error {
	s.Put(inherited, s.fds)
	if len(s.waiting) > 0 {
		s.Put(waiting, s.waiting)
	}
	open := []int{int(s.journal.file.Fd())}
	for _, id := range slices.Sorted(maps.Keys(s.fds)) {
		open = append(open, s.fds[id]...)
	}
	syscall.ForkLock.Lock() // a process that is made meanwhile would inherit them too
	defer syscall.ForkLock.Unlock()
	for _, fd := range open {
		unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0)
	}
	err := syscall.Exec(program, arguments, append(environment, inherited+"="+strconv.Itoa(open[0])))
	for _, fd := range open {
		unix.CloseOnExec(fd)
	}
	s.Delete(inherited)
	s.Delete(waiting)
	return fmt.Errorf("handover: cannot execute %q: %w", program, err)
}

// Close ends the keeping: the manager lets everything go.
func (s *Store) Close() {
	if s == nil {
		return
	}
	clear(s.waiting)
	for id := range s.fds {
		s.Drop(id)
	}
	s.manager.Tell(nil, "FDSTOREREMOVE=1", "FDNAME="+s.id())
	s.journal.file.Close()
}
