package daemon

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/registry"
	"github.com/openxpc/openxpc/registry/internal/handover"
	"github.com/openxpc/openxpc/registry/internal/launch"
	"github.com/openxpc/openxpc/registry/internal/namespace"
	"github.com/openxpc/openxpc/xpc"
)

// What outlives the daemon's process is written down as it changes: before a client
// is given a socket, before a process is made, before a request is answered.

// Keys of records; behind the last three is a label or a name.
const (
	placeKey = "place"
	seenKey  = "seen"
	fileKey  = "file/"
	jobKey   = "job/"
	nameKey  = "name/"
)

// Ids of descriptors. All of ours begin like that; no service manager's do.
const (
	ownID  = "."
	lockID = ".lock"
	doorID = ".door"
)

// placeRecord says which registry it is.
type placeRecord struct{ Path string }

// jobRecord is a job without its file, and its process.
type jobRecord struct {
	Machine  launch.Memory
	Runs     int           `json:",omitempty"`
	Exited   bool          `json:",omitempty"`
	Status   int           `json:",omitempty"`
	Dirty    bool          `json:",omitempty"`
	Because  string        `json:",omitempty"`
	Failure  string        `json:",omitempty"`
	Farther  string        `json:",omitempty"`
	Again    bool          `json:",omitempty"`
	Next     *registry.Job `json:",omitempty"`
	Interval time.Duration `json:",omitempty"` // when StartInterval is over
	Launch   string        `json:",omitempty"`
	Kept     string        `json:",omitempty"` // id of the way back and of the process's handle
	Path     string        `json:",omitempty"` // of the way back
	Tally    string        `json:",omitempty"` // id of the tally
	Sockets  []keptSocket  `json:",omitempty"`
	Stamps   []stamp       `json:",omitempty"` // of the WatchPaths, when they were looked at last
	PID      int           `json:",omitempty"`
}

// nameRecord is a name that has a socket.
type nameRecord struct {
	Kept   string
	Path   string   `json:",omitempty"`
	Active bool     `json:",omitempty"`
	Owner  *absence `json:",omitempty"` // of an ad-hoc name
}

// absence is who had a name when the daemon ended, and has it again when it is back.
type absence struct {
	UID int    `json:",omitempty"`
	PID int    `json:",omitempty"`
	Job string `json:",omitempty"` // it spoke over the job's own socket

	client namespace.Client // in its place
}

// absentPatience is how long an ad-hoc name waits for the program that registered it.
const absentPatience = 30 * time.Second

func (a *absence) is(c *client) bool {
	if a.Job != "" || c.job != nil {
		return c.job != nil && c.job.file.Label == a.Job
	}
	return a.UID == c.conn.EUID() && a.PID == c.conn.PID()
}

func absenceOf(c *client) absence {
	if c.job != nil {
		return absence{Job: c.job.file.Label}
	}
	return absence{UID: c.conn.EUID(), PID: c.conn.PID()}
}

// newID is an id that no descriptor has.
func (d *daemon) newID() string {
	d.lastKept++
	return ownID + strconv.FormatUint(d.lastKept, 36)
}

// used notes all ids that an earlier daemon has given out, also those whose descriptors
// or whose record were lost with it, before a new one is given out.
func (d *daemon) used(held *handover.Held) {
	note := func(id string) {
		number, own := strings.CutPrefix(id, ownID)
		if n, err := strconv.ParseUint(number, 36, 64); err == nil && own && id != lockID && id != doorID {
			d.lastKept = max(d.lastKept, n)
		}
	}
	for id := range held.FDs {
		note(id)
	}
	for _, text := range held.Records {
		var r struct {
			Kept, Tally string
			Sockets     []keptSocket
		}
		json.Unmarshal(text, &r)
		note(r.Kept)
		note(r.Tally)
		for _, s := range r.Sockets {
			note(s.Kept)
		}
	}
}

func (d *daemon) keepSocket(s *nameSocket) {
	if d.store == nil {
		return
	}
	s.id = d.newID()
	fds := []int{s.fd()}
	if s.place >= 0 {
		fds = append(fds, s.place)
	}
	d.store.Keep(s.id, fds...)
}

func (d *daemon) saveJob(j *job) {
	if d.store == nil || d.jobs[j.file.Label] != j {
		return
	}
	r := jobRecord{
		Machine: j.machine.Memory(), Runs: j.runs, Exited: j.exited, Status: j.status, Dirty: j.dirty, Because: j.because,
		Farther: j.farther, Again: j.again, Next: j.next, Interval: j.intervalEnd, Launch: j.launch,
	}
	if j.failure != nil {
		r.Failure = j.failure.Error()
	}
	r.Sockets, r.Stamps = j.keptSockets(), j.stamps
	if j.back != nil {
		r.Kept, r.Path = j.back.id, j.back.path
	}
	if j.tally != nil {
		r.Tally = j.tally.id
	}
	if j.proc != nil {
		r.PID = j.proc.pid
	}
	d.store.Put(jobKey+j.file.Label, r)
	d.checkStore()
}

func (d *daemon) saveName(name string) {
	if d.store == nil {
		return
	}
	s, info := d.sockets[name], namespace.Info{}
	known := false
	if s != nil {
		info, known = d.names.Get(name)
	}
	if !known {
		d.store.Delete(nameKey + name)
		return
	}
	r := nameRecord{Kept: s.id, Path: s.path, Active: info.Active}
	if info.Job == "" {
		if r.Owner = d.absent[name]; r.Owner == nil {
			if c := d.clients[info.Owner]; c != nil {
				a := absenceOf(c)
				r.Owner = &a
			}
		}
	}
	d.store.Put(nameKey+name, r)
	d.checkStore()
}

func (d *daemon) checkStore() {
	if err := d.store.Err(); err != nil {
		d.log.Error("a restart would lose something", "error", err)
	}
}

// ---- restoring

// restore goes on where an earlier daemon has ended. It runs before clients come in.
func (d *daemon) restore(held *handover.Held) error {
	d.used(held)
	var place placeRecord
	if json.Unmarshal(held.Records[placeKey], &place) != nil || place.Path != d.home.path {
		d.store.Put(placeKey, placeRecord{d.home.path})
		return nil // what is not taken is dropped
	}
	d.restored, d.restoring = true, true
	json.Unmarshal(held.Records[seenKey], &d.seen)
	d.restoreJobs(held)
	records := map[string]*jobRecord{}
	for label, j := range d.jobs {
		r := &jobRecord{}
		json.Unmarshal(held.Records[jobKey+label], r)
		records[label] = r
		d.findProcess(j, r, held)
	}
	d.restoreNames(held)
	for _, label := range slices.Sorted(maps.Keys(d.jobs)) {
		d.resume(d.jobs[label], records[label], held)
	}
	d.restoring = false
	for _, j := range d.jobs {
		d.consider(j)
	}
	d.startLooking()
	if len(d.absent)+d.own() > 0 {
		time.AfterFunc(absentPatience, func() { d.queue.Async(d.giveUpAbsent) })
	}
	d.log.Info("restored", "jobs", len(d.jobs), "names", len(d.sockets))
	if d.lost > 0 {
		d.log.Error("the service manager has not kept all sockets: who waited there has to connect again. Set FileDescriptorStoreMax higher", "lost", d.lost)
	}
	return nil
}

func (d *daemon) restoreJobs(held *handover.Held) {
	for key, text := range held.Records {
		label, ok := strings.CutPrefix(key, fileKey)
		if !ok {
			continue
		}
		var file registry.Job
		err := json.Unmarshal(text, &file)
		if err == nil {
			err = d.names.Declare(label, file.MachServices)
		}
		if err != nil {
			d.log.Error("cannot be restored", "job", label, "error", err)
			d.store.Delete(key)
			d.store.Delete(jobKey + label)
			continue
		}
		d.enlist(&file)
	}
}

func (d *daemon) restoreNames(held *handover.Held) {
	absent := map[absence]*absence{}
	for key, text := range held.Records {
		name, ok := strings.CutPrefix(key, nameKey)
		if !ok {
			continue
		}
		var r nameRecord
		json.Unmarshal(text, &r)
		info, declared := d.names.Get(name)
		s := d.heldSocket(held, name, r.Kept, r.Path)
		if s == nil || !declared && r.Owner == nil {
			d.forgetRecord(name, s)
			continue
		}
		who := absence{Job: info.Job}
		if r.Owner != nil {
			who = *r.Owner
		}
		// The record may be older than the end of the process.
		over := who.Job != "" && (d.jobs[who.Job] == nil || d.jobs[who.Job].proc == nil)
		if over && !declared {
			d.forgetRecord(name, s)
			continue
		}
		owner := namespace.Client(0)
		if !over && (!declared || r.Active) {
			if absent[who] == nil {
				d.lastID++
				a := who
				a.client = d.lastID
				absent[who] = &a
			}
			owner = absent[who].client
			d.absent[name] = absent[who]
		}
		d.sockets[name] = s
		d.apply(d.names.Restore(name, owner, r.Active))
	}
}

// forgetRecord gives up a name that cannot be restored; s is its socket, or nil.
func (d *daemon) forgetRecord(name string, s *nameSocket) {
	d.store.Delete(nameKey + name)
	if s != nil {
		d.closeSocket(s)
	}
}

// heldSocket puts together a socket that an earlier daemon made, nil if it was lost.
func (d *daemon) heldSocket(held *handover.Held, name, id, path string) *nameSocket {
	s := &nameSocket{name: name, id: id, place: -1, path: path}
	var rest []int
	for _, fd := range held.FDs[id] {
		switch {
		case isPlace(fd) && s.place < 0:
			s.place, s.endpoint = fd, xpc.NewEndpointFromFD(fd, "")
		case listens(fd) && s.listener == nil:
			s.listener = keptFile(fd, name)
		default:
			rest = append(rest, fd)
		}
	}
	held.FDs[id] = rest
	if s.place < 0 && path != "" {
		s.endpoint = xpc.NewEndpointFromFD(-1, path)
	}
	if s.listener != nil && s.endpoint != nil {
		return s
	}
	d.lost++
	d.store.Drop(id)
	if s.listener != nil {
		s.listener.Close()
	}
	s.endpoint.Close()
	return nil
}

func listens(fd int) bool {
	yes, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	return err == nil && yes != 0
}

// keptFile is a listening socket that the runtime's poller does not know.
func keptFile(fd int, name string) *os.File {
	unix.SetNonblock(fd, false) // NewFile takes a descriptor that blocks for one to be left alone
	f := os.NewFile(uintptr(fd), name)
	unix.SetNonblock(fd, true)
	return f
}

// resume has the job go on, with its process if that is still there.
func (d *daemon) resume(j *job, r *jobRecord, held *handover.Held) {
	j.runs, j.exited, j.status, j.dirty, j.because, j.farther, j.again = r.Runs, r.Exited, r.Status, r.Dirty, r.Because, r.Farther, r.Again
	j.intervalEnd, j.next = r.Interval, r.Next
	if len(r.Stamps) == len(j.stamps) { // what changed meanwhile is seen at the next look
		j.stamps = r.Stamps
	}
	if r.Failure != "" {
		j.failure = errors.New(r.Failure)
	}
	d.heldSockets(j, r.Sockets, held)
	effects := j.machine.Resume(r.Machine, j.proc != nil, d.now())
	if j.proc == nil {
		j.dirty = j.dirty || j.tally.busy() && !j.isOwn()
		d.closeWayBack(j)
		d.closeTally(j)
	} else {
		j.log.Info("found running", "pid", j.proc.pid)
		d.watchWayBack(j)
		d.watchIdle(j)
	}
	d.carryOut(j, effects)
	if s := j.machine.State(); j.proc == nil && (s == launch.Running || s == launch.Stopping || s == launch.Killing) {
		j.log.Warn("its process ended meanwhile")
		j.exited = false
		d.resetNames(j)
		d.tell(j, launch.Exited)
	}
	if j.proc == nil {
		d.runAgain(j)
	}
	if d.jobs[j.file.Label] == j {
		d.saveJob(j)
		d.startClocks(j)
		if j.proc == nil {
			d.watchSockets(j)
		}
	}
}

// findProcess takes over the job's process, and what it is known by.
func (d *daemon) findProcess(j *job, r *jobRecord, held *handover.Held) {
	if r.Launch == "" {
		return
	}
	j.launch = r.Launch
	j.back = d.heldSocket(held, "", r.Kept, r.Path)
	j.tally = d.heldTally(held, r.Tally)
	handle := takeOne(held, r.Kept)
	var p *process
	p = adopt(r.PID, handle, r.Launch, func() {
		d.queue.Async(func() { d.exited(j, p) })
	})
	if p == nil {
		return
	}
	p.alone = j.file.AbandonProcessGroup
	j.proc = p
	if handle < 0 && p.handle >= 0 && j.back != nil {
		d.store.Keep(j.back.id, p.handle)
	}
}

// reclaim gives a name back to whom it was taken from by a restart.
func (d *daemon) reclaim(c *client, name string) {
	if a := d.absent[name]; a != nil && a.is(c) {
		d.names.Reclaim(c.id, name)
		delete(d.absent, name)
	}
}

// giveUpAbsent removes the ad-hoc names of programs that have not come back. A job's
// own names go with its process. Likewise the services of programs' own.
func (d *daemon) giveUpAbsent() {
	for name, a := range d.absent {
		if info, _ := d.names.Get(name); info.Job == "" {
			delete(d.absent, name)
			d.apply(d.names.ClientGone(a.client))
		}
	}
	for _, j := range d.jobs {
		if j.isOwn() && j.client == nil {
			d.unload(j, "its program has not come back")
		}
	}
}

// own is how many jobs are services of programs' own.
func (d *daemon) own() (n int) {
	for _, j := range d.jobs {
		if j.isOwn() {
			n++
		}
	}
	return n
}

// dropUnused closes what was held and nobody has taken.
func (d *daemon) dropUnused(held *handover.Held) {
	used := map[string]bool{}
	for _, s := range d.sockets {
		used[s.id] = true
	}
	for _, j := range d.jobs {
		if j.back != nil {
			used[j.back.id] = true
		}
		if j.tally != nil {
			used[j.tally.id] = true
		}
		for _, s := range j.sockets {
			used[s.id] = true
		}
	}
	for id, fds := range held.FDs {
		if used[id] || len(fds) == 0 {
			continue
		}
		d.log.Warn("dropped what an earlier process has left", "id", id)
		d.store.Drop(id)
		for _, fd := range fds {
			unix.Close(fd)
		}
	}
	keys := slices.Collect(maps.Keys(held.Records))
	for _, key := range keys {
		label, isFile := strings.CutPrefix(key, fileKey)
		if isFile && d.jobs[label] == nil {
			d.store.Delete(fileKey + label)
			d.store.Delete(jobKey + label)
		}
		if name, isName := strings.CutPrefix(key, nameKey); isName && d.sockets[name] == nil {
			d.store.Delete(key)
		}
	}
}
