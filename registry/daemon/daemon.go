package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/openxpc/openxpc/credentials/identity"
	"github.com/openxpc/openxpc/registry"
	"github.com/openxpc/openxpc/registry/internal/handover"
	"github.com/openxpc/openxpc/registry/internal/namespace"
	"github.com/openxpc/openxpc/xpc"
)

// daemon is the shell around the tables. What follows queue is touched on it only.
type daemon struct {
	opts  Options
	log   *slog.Logger
	home  *folder
	uid   int
	begun time.Time
	idle  chan struct{} // closed when the daemon is closing and no job is left
	queue *xpc.Queue

	names      namespace.Table
	sockets    map[string]*nameSocket // of names that have been needed
	jobs       jobSet
	dependents jobSet // start or stop with others
	lookers    jobSet // start or stop with paths
	clients    map[namespace.Client]*client
	perUID     map[int]int // connections to the registry's socket
	lastID     namespace.Client
	ending     []*xpc.Connection // of processes that ended; their last event is awaited at the end
	overrides  *overrides
	closing    bool
	rested     bool        // idle is closed
	pressure   func()      // ends the watch for scarce memory, or nil
	looking    *time.Timer // for the paths of jobs, or nil
	lookSoon   bool        // it is armed for that
	watcher    *watcher    // of those paths, or nil

	manager   *handover.Manager
	store     *handover.Store // what outlives the process; nil for nothing
	door      *os.File        // the registry's own socket
	restored  bool            // from what an earlier daemon has left
	restoring bool            // some jobs are not yet as they were
	seen      []string        // labels of the jobs that an earlier daemon was started with
	absent    map[string]*absence
	lastKept  uint64
	lost      int // sockets that an earlier daemon had and that did not come

	pins    int // of all clients
	attests int // of all clients, under way

	identifier *identity.Identifier
	asked      sync.WaitGroup  // identifications under way
	life       context.Context // is done when the daemon begins to close
}

// Serve is a registry until ctx is done; then it stops its jobs, removes what it
// put into the file system and returns nil. Errors: ErrAlreadyServed,
// ErrUnsafePath, those of the system, and what kept one of o.Jobs from being
// loaded; each says what to do. A process may run several at different paths.
func Serve(ctx context.Context, o Options) error {
	d := &daemon{
		opts: o, log: o.Logger, uid: os.Geteuid(), begun: time.Now(),
		idle: make(chan struct{}), queue: xpc.NewQueue("org.openxpc.registry"),
		sockets: map[string]*nameSocket{}, jobs: jobSet{}, dependents: jobSet{}, lookers: jobSet{},
		clients: map[namespace.Client]*client{}, perUID: map[int]int{}, absent: map[string]*absence{},
	}
	life, end := context.WithCancel(context.Background())
	defer end()
	d.life = life
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	d.overrides = readOverrides(o.StateDir)
	if err := d.overrides.broken; err != nil {
		d.log.Error(err.Error())
	}
	held, err := d.takeOver()
	if err != nil {
		return err
	}
	defer d.manager.Close()
	defer d.store.Close()
	if err := d.claimPlace(held); err != nil {
		return err
	}
	defer d.home.release()
	d.identifier = identifierFor(&o, d.home.system, d.uid)
	if o.started != nil {
		o.started(d)
	}
	if err := d.do(func() error { return d.restore(held) }); err != nil {
		return err
	}
	door, err := d.open(held)
	if err != nil {
		return err
	}
	defer d.close(door)
	if err := d.do(func() error { return d.loadFirst(held) }); err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	// Only now: who has waited at the socket is not to be told that its name is unknown.
	door.Activate()
	d.log.Info("serving", "path", d.home.path)
	if o.Ready != nil {
		o.Ready()
	}
	if o.Outlives {
		d.queue.Async(func() { d.manager.Tell(nil, "READY=1") })
		d.watchdog()
	}
	d.serve(ctx)
	d.do(func() error { return d.manager.Tell(nil, "STOPPING=1") })
	end()
	return nil
}

// loadFirst loads the jobs that the daemon was started with. Those that an earlier
// one was started with too are loaded, or have been unloaded since.
func (d *daemon) loadFirst(held *handover.Held) error {
	var seen []string
	known := func(label string) bool {
		seen = append(seen, label)
		return slices.Contains(d.seen, label) || d.restored && d.jobs[label] != nil
	}
	for _, j := range d.opts.Jobs {
		if known(j.Label) || d.leftOut(j) {
			continue
		}
		if err := d.load(j); err != nil {
			return err
		}
	}
	for _, j := range d.opts.Optional {
		if known(j.Label) || d.leftOut(j) {
			continue
		}
		if err := d.load(j); err != nil {
			d.log.Error("left out", "path", j.Path, "error", err)
		}
	}
	d.store.Put(seenKey, seen)
	d.dropUnused(held)
	return nil
}

// leftOut says, here and in the log, that a job is disabled.
func (d *daemon) leftOut(j *registry.Job) bool {
	err := d.enabled(j)
	if err != nil {
		d.log.Info("left out", "path", j.Path, "reason", err)
	}
	return err != nil
}

// do runs f on the queue and waits for it.
func (d *daemon) do(f func() error) error {
	done := make(chan error, 1)
	d.queue.Async(func() { done <- f() })
	return <-done
}

// open makes the daemon's door, where clients wait until it is activated.
func (d *daemon) open(held *handover.Held) (*xpc.Connection, error) {
	var file *os.File
	err := d.do(func() (err error) {
		file, err = d.doorSocket(held)
		return err
	})
	if err != nil {
		return nil, err
	}
	d.door = file
	if file, err = dupFile(file); err != nil {
		return nil, err
	}
	door := xpc.NewConnectionFromListener(file, d.queue)
	door.SetLimits(limits)
	door.SetAttester(attester{d})
	door.SetEventHandler(func(o xpc.Object) {
		if peer, ok := o.(*xpc.Connection); ok {
			d.admit(peer)
		}
	})
	return door, nil
}

// close shuts the door, stops the jobs, and waits for the last event of every connection.
func (d *daemon) close(door *xpc.Connection) {
	door.Cancel()
	door.Activate() // if it was not yet: else its end is never told
	<-door.Done()
	d.door.Close()
	d.log.Info("stopping")
	d.do(func() error {
		d.closing = true
		d.stopPressure()
		d.stopLooking()
		for _, j := range d.jobs {
			d.unload(j, "the registry is ending")
		}
		d.checkIdle()
		return nil
	})
	<-d.idle
	var open []*xpc.Connection
	d.do(func() error {
		open = append(open, d.ending...)
		for _, c := range d.clients {
			c.conn.Cancel()
			open = append(open, c.conn)
		}
		return nil
	})
	for _, c := range open {
		<-c.Done()
	}
	d.asked.Wait()
	d.do(func() error {
		for _, s := range d.sockets {
			s.close()
		}
		return nil
	})
}

func (d *daemon) checkIdle() {
	if d.closing && len(d.jobs) == 0 && !d.rested {
		d.rested = true
		close(d.idle)
	}
}
