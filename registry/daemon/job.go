package daemon

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/openxpc/openxpc/registry"
	"github.com/openxpc/openxpc/registry/internal/launch"
	"github.com/openxpc/openxpc/registry/internal/namespace"
	"github.com/openxpc/openxpc/xpc"
)

const demand = launch.Demand

const becauseAtLoad = "run at load"

// job is a loaded job and its process, if it has one.
type job struct {
	file    *registry.Job
	log     *slog.Logger // tells everything, if the file says Debug
	client  *client      // whose own service this is, or nil
	machine launch.Machine
	proc    *process
	conn    *client     // the process's bootstrap connection; nil after a restart, until it is back
	back    *nameSocket // where it comes back; nil if it cannot
	tally   *tally      // of its transactions, if the job has EnablePressuredExit
	launch  string      // what to know the process by
	timer   *time.Timer // armed by the machine
	runs    int
	exited  bool   // status is that of the last run
	status  int    // exit code, or negative signal
	dirty   bool   // the last run ended with transactions open, and is to be made good for (R185)
	because string // immediate reason of the last start
	failure error  // of the last start
	farther string // why it is being unloaded, for the clients of its names
	removed []func()
	kicked  []*call       // wait for a start
	next    *registry.Job // in place of file for the next run; nil for file

	sockets   []*nameSocket
	streams   *os.File // of the first process; nil for what the file says
	served    int      // clients with a process of their own so far
	instances int      // those that have one now

	interval, calendar *time.Timer // of StartInterval and StartCalendarInterval
	intervalEnd        time.Duration
	stamps             []stamp // of the WatchPaths
	again              bool    // one of them changed while the process ran
}

// load declares the job's names and starts it if it wants to run at load.
func (d *daemon) load(file *registry.Job) error { return d.loadWith(file, nil, nil) }

// loadWith loads a job whose first process has the given streams; removed is called
// when it is unloaded.
func (d *daemon) loadWith(file *registry.Job, streams *os.File, removed func()) error {
	if d.closing {
		return &namespace.Error{Code: overQuota, Reason: "the registry is ending"}
	}
	if other := d.jobs[file.Label]; other != nil {
		return &namespace.Error{Code: nameInUse, Reason: fmt.Sprintf("job %q is loaded already, from %s; unload it first: xpcctl bootout %s", file.Label, origin(other.file), file.Label)}
	}
	if len(d.jobs) >= MaxJobs {
		return &namespace.Error{Code: overQuota, Reason: fmt.Sprintf("%d jobs are loaded, the limit", MaxJobs)}
	}
	if err := d.names.Declare(file.Label, file.MachServices); err != nil {
		return fmt.Errorf("job %q: %w", file.Label, err)
	}
	j := d.enlist(file)
	if err := d.openSockets(j); err != nil {
		d.names.Undeclare(file.Label, "")
		d.delist(j)
		return err
	}
	if removed != nil {
		j.removed = append(j.removed, removed)
	}
	j.streams = streams
	d.store.Put(fileKey+file.Label, file)
	d.saveJob(j)
	j.log.Info("loaded", "path", file.Path)
	for _, w := range file.WarningsFor(d.uid) {
		j.log.Warn(fmt.Sprintf("%s:%v", origin(file), w))
	}
	if file.RunAtLoad {
		j.because = becauseAtLoad
		d.tell(j, launch.Run)
	}
	d.consider(j)
	j.streams = nil
	d.considerOthers()
	d.watchSockets(j)
	d.startClocks(j)
	d.startLooking()
	return nil
}

// delist is the other way round.
func (d *daemon) delist(j *job) {
	for _, set := range []jobSet{d.jobs, d.dependents, d.lookers} {
		delete(set, j.file.Label)
	}
}

// logOf is where what happens to a job is written. That of a job with Debug is,
// whatever the daemon's level.
func (d *daemon) logOf(file *registry.Job) *slog.Logger {
	h := d.log.Handler()
	if file.Debug {
		h = everything{h}
	}
	return slog.New(h).With("job", file.Label)
}

// everything is a handler without a level.
type everything struct{ slog.Handler }

func (everything) Enabled(context.Context, slog.Level) bool { return true }

func (e everything) WithAttrs(a []slog.Attr) slog.Handler { return everything{e.Handler.WithAttrs(a)} }
func (e everything) WithGroup(name string) slog.Handler   { return everything{e.Handler.WithGroup(name)} }

// enlist makes a job of a file whose names are declared.
func (d *daemon) enlist(file *registry.Job) *job {
	j := &job{file: file, log: d.logOf(file), machine: launch.Machine{
		Throttle: file.ThrottleInterval, ExitTimeout: cmp.Or(file.ExitTimeout, d.opts.exitTimeout), Once: file.LaunchOnlyOnce, Pace: d.opts.pace,
	}}
	j.stamps = stampsOf(file.WatchPaths)
	d.jobs[file.Label] = j
	if j.depends() {
		d.dependents[file.Label] = j
	}
	if j.looks() {
		d.lookers[file.Label] = j
	}
	if file.EnablePressuredExit && d.pressure == nil {
		d.watchPressure()
	}
	return j
}

func origin(file *registry.Job) string {
	if file.Path == "" {
		return "a document"
	}
	return file.Path
}

// unload stops the job; why is for those who looked its names up.
func (d *daemon) unload(j *job, why string) {
	if j.farther == "" {
		j.farther = why
	}
	d.tell(j, launch.Unload)
}

// tell gives the job's machine an event and carries out what it decides.
func (d *daemon) tell(j *job, ev launch.Event) {
	before := j.machine.State()
	effects := j.machine.Step(d.now(), ev)
	j.log.Debug("step", "event", ev, "from", before, "to", j.machine.State(), "effects", effects)
	d.saveJob(j)
	d.carryOut(j, effects)
}

func (d *daemon) carryOut(j *job, effects []launch.Effect) {
	for _, e := range effects {
		switch e.Kind {
		case launch.Start:
			d.tell(j, d.start(j))
		case launch.Refuse:
			d.refuse(j)
		case launch.Watch:
			d.apply(d.names.JobEnded(j.file.Label))
			d.watchSockets(j)
		case launch.Arm:
			d.arm(j, e.At)
		case launch.Disarm:
			j.timer.Stop()
		case launch.Terminate:
			d.stop(j)
		case launch.Kill:
			j.log.Warn("did not end in time, killing it", "pid", j.proc.pid)
			j.proc.kill()
		case launch.Remove:
			d.remove(j)
		}
	}
}

func (d *daemon) arm(j *job, at time.Duration) {
	j.timer = time.AfterFunc(at-d.now(), func() {
		d.queue.Async(func() { d.tell(j, launch.Timer) })
	})
}

// start runs the job's program and says what became of that.
func (d *daemon) start(j *job) launch.Event {
	j.failure = d.run(j)
	switch {
	case j.failure == nil:
		j.runs++
		j.log.Info("started", "pid", j.proc.pid, "because", j.because)
		j.answerKicked(nil)
		return launch.Started
	case errors.Is(j.failure, errNoRoom):
		j.log.Warn("cannot start now", "error", j.failure)
		return launch.Delayed
	}
	j.log.Error("cannot start", "error", j.failure)
	j.answerKicked(notRunning("job %q: %v", j.file.Label, j.failure))
	return launch.Failed
}

func (d *daemon) run(j *job) error {
	if d.opts.noPrograms {
		return errors.New("this registry executes nothing")
	}
	own, child, err := bootstrapPair()
	if err != nil {
		return err
	}
	defer child.Close()
	listener := d.listenerFor(j)
	p, err := d.spawn(j, child, listener)
	if err != nil {
		own.Close()
		d.closeWayBack(j)
		d.closeTally(j)
		return err
	}
	j.next, j.proc, j.dirty = nil, p, false
	if j.back != nil {
		if p.handle >= 0 {
			d.store.Keep(j.back.id, p.handle)
		}
		d.watchWayBack(j)
	}
	conn := d.bootstrapConnection(own)
	// Who has the socket may serve clients before what it says here is read.
	j.conn = &client{conn: conn, job: j, uid: -1, answers: listener != nil}
	d.join(j.conn)
	d.watchIdle(j)
	return nil
}

// bootstrapConnection is the registry's end of a job's.
func (d *daemon) bootstrapConnection(socket *os.File) *xpc.Connection {
	conn := xpc.NewConnectionFromSocket(socket, d.queue)
	conn.SetLimits(limits)
	conn.SetAttester(attester{d})
	return conn
}

// listenerFor is the socket that the job's process is born with, so that it can serve
// its only name before its check-in is answered; nil if it has to ask, because there is
// no socket yet, or more than holding it depends on the check-in.
func (d *daemon) listenerFor(j *job) *os.File {
	f := j.file
	if len(f.MachServices) != 1 {
		return nil
	}
	name := f.MachServices[0]
	s := d.sockets[name]
	if s == nil || f.Requirements[name].Own != nil || slices.Contains(f.ResetAtClose, name) || slices.Contains(f.HideUntilCheckIn, name) {
		return nil
	}
	return s.listener
}

// spawn makes the job's process, which is written down before and after.
func (d *daemon) spawn(j *job, child, listener *os.File) (p *process, err error) {
	s := surroundings{registry: d.home.path, helper: d.opts.Helper, listener: listener,
		sockets: j.socketFiles(), variables: j.socketVariables(), streams: j.streams}
	if j.file.Inetd != nil && len(j.sockets) == 1 {
		s.streams = j.sockets[0].listener
	}
	if j.file.EnablePressuredExit {
		if err = d.newTally(j); err != nil {
			return nil, err
		}
		s.tally = j.tally
	}
	if d.store != nil {
		if j.back, err = d.newNameSocket(""); err != nil {
			return nil, transient(err)
		}
		if s.back, err = j.back.inherit(); err != nil {
			return nil, transient(err)
		}
		if s.back != nil {
			defer s.back.Close()
		}
		j.launch = rand.Text()
		s.backPath, s.launch = j.back.path, j.launch
		d.saveJob(j)
	}
	return spawn(cmp.Or(j.next, j.file), s, child, func() {
		d.queue.Async(func() { d.exited(j, p) })
	})
}

// watchWayBack lets the job's process have a new connection in place of one that a
// restart of the daemon has cost it. Whoever holds the way back is the job.
func (d *daemon) watchWayBack(j *job) {
	if j.back == nil {
		return
	}
	err := j.back.arm(d, func(s *nameSocket) {
		if j.back != s {
			return
		}
		if conn, err := s.accept(); err == nil {
			d.comeBack(j, conn)
		}
		d.watchWayBack(j)
	})
	if err != nil {
		j.log.Error("cannot watch for the process's return", "error", err)
	}
}

func (d *daemon) comeBack(j *job, socket *os.File) {
	conn := d.bootstrapConnection(socket)
	if old := j.conn; old != nil {
		d.leave(old)
		d.endLater(old.conn)
	}
	j.conn = &client{conn: conn, job: j, uid: -1, answers: true} // the library dialed
	d.join(j.conn)
}

// closeWayBack, too, has the record go before the descriptors.
func (d *daemon) closeWayBack(j *job) {
	s := j.back
	j.back, j.launch = nil, ""
	if s != nil {
		d.saveJob(j)
		d.closeSocket(s)
	}
}

// How long the parent of a process that an earlier daemon started may take to reap it.
const (
	notReaped = 20 * time.Millisecond
	mostLate  = 10
)

// exited takes note of the end of the job's process. p is read on the queue,
// after run has set it.
func (d *daemon) exited(j *job, p *process) {
	if j.proc != p {
		return // given up before
	}
	status, err := p.finish()
	if errors.Is(err, errNotReaped) && p.late < mostLate {
		p.late++
		time.AfterFunc(notReaped, func() { d.queue.Async(func() { d.exited(j, p) }) })
		return
	}
	if err != nil {
		p.abandon()
	}
	j.dirty = j.tally.busy() && !j.isOwn()
	d.forgetProcess(j)
	if err := p.failed; err != nil {
		j.failure = err
		j.runs--
		j.log.Error("cannot start", "pid", p.pid, "error", err)
		d.tell(j, launch.Failed)
		return
	}
	// One that was idle may have ended by itself before its answer was read.
	p.retired = p.retired || p.asked && err == nil && status == 0
	if p.retired {
		status = 0 // it was killed because it had nothing to do (R188)
	}
	j.exited, j.status = err == nil, status
	j.log.Info("exited", "pid", p.pid, "status", j.lastStatus())
	if j.file.LaunchOnlyOnce && j.farther == "" {
		j.farther = "it is launched only once, and has ended"
	}
	d.consider(j)
	ended := launch.Exited
	if p.retired {
		ended = launch.Retired
	}
	d.resetNames(j)
	d.tell(j, ended)
	d.runAgain(j)
}

// runAgain makes good for a change of the job's paths while its process ran.
func (d *daemon) runAgain(j *job) {
	if !j.again {
		return
	}
	j.again = false
	j.reason("path changed")
	d.tell(j, launch.Run)
}

// resetNames ends the names that do not outlive a process of the job: their
// clients are told, those who wait are turned away, and who looks one up gets a
// new socket (R216).
func (d *daemon) resetNames(j *job) {
	if d.jobs[j.file.Label] != j {
		return
	}
	for _, name := range j.file.ResetAtClose {
		d.apply(d.names.Reset(name, fmt.Sprintf("job %s has ended, and the name is reset", j.file.Label)))
	}
}

// forgetProcess ends the bootstrap connection too: what the process left behind is not the job.
func (d *daemon) forgetProcess(j *job) {
	c := j.conn
	if j.proc.idle != nil {
		j.proc.idle.Stop()
	}
	j.proc, j.conn = nil, nil
	d.closeWayBack(j)
	d.closeTally(j)
	for name, a := range d.absent {
		if a.Job == j.file.Label {
			delete(d.absent, name)
			d.apply(d.names.ClientGone(a.client))
		}
	}
	if c != nil {
		d.leave(c)
		d.endLater(c.conn)
	}
}

// endLater cancels a connection whose end is awaited only when the daemon's own comes.
func (d *daemon) endLater(c *xpc.Connection) {
	c.SetEventHandler(func(xpc.Object) {})
	c.Activate()
	c.Cancel()
	d.ending = append(stillEnding(d.ending), c)
}

func stillEnding(conns []*xpc.Connection) []*xpc.Connection {
	var out []*xpc.Connection
	for _, c := range conns {
		select {
		case <-c.Done():
		default:
			out = append(out, c)
		}
	}
	return out
}

// refuse tells the clients that wait for any of the job's names why it does not run.
func (d *daemon) refuse(j *job) {
	d.turnAway(j)
	text := fmt.Sprintf("job %s: %v", j.file.Label, j.failure)
	for _, name := range j.file.MachServices {
		if s := d.sockets[name]; s != nil {
			if _, err := xpc.Refuse(s.listener, text); err != nil {
				d.log.Warn("cannot refuse a client", "name", name, "error", err)
			}
		}
	}
}

// remove forgets the job and tells everybody who is to know.
func (d *daemon) remove(j *job) {
	if p := j.proc; p != nil {
		j.log.Error("does not end, going on without it", "pid", p.pid)
		d.forgetProcess(j)
		p.abandon()
	}
	why := cmp.Or(j.farther, "its process does not end")
	d.apply(d.names.Undeclare(j.file.Label, fmt.Sprintf("job %s was unloaded: %s", j.file.Label, why)))
	j.answerKicked(notRunning("job %q was unloaded: %s", j.file.Label, why))
	d.closeSockets(j)
	d.delist(j)
	d.store.Delete(fileKey + j.file.Label)
	d.store.Delete(jobKey + j.file.Label)
	j.log.Info("unloaded")
	for _, f := range j.removed {
		f()
	}
	j.stopClocks()
	d.considerOthers()
	d.checkIdle()
}
