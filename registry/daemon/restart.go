package daemon

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/registry"
	"github.com/openxpc/openxpc/registry/internal/handover"
)

// lastReplies is how long clients may take to read what they were answered before
// the process executes its program anew.
const lastReplies = time.Second

// takeOver opens the store, and takes what an earlier process has left.
func (d *daemon) takeOver() (*handover.Held, error) {
	if !d.opts.Outlives {
		return &handover.Held{}, nil
	}
	var err error
	if d.manager, err = handover.NewManager(os.Getenv("NOTIFY_SOCKET")); err != nil {
		return nil, err
	}
	var held *handover.Held
	d.store, held, err = handover.Open(d.manager)
	return held, err
}

// claimPlace makes the registry's path this process's.
func (d *daemon) claimPlace(held *handover.Held) error {
	path := cmp.Or(d.opts.Path, givenPath(held), registry.DefaultPath())
	home, err := claim(path, takeOne(held, lockID))
	if err != nil {
		return err
	}
	if d.home = home; !home.held {
		d.store.Drop(lockID)
		d.store.Keep(lockID, int(home.lock.Fd()))
	}
	return nil
}

func takeOne(held *handover.Held, id string) int {
	fds := held.FDs[id]
	if len(fds) == 0 {
		return -1
	}
	held.FDs[id] = fds[1:]
	return fds[0]
}

// givenPath is where a service manager listens for us, "" if it does not.
func givenPath(held *handover.Held) string {
	for id, fds := range held.FDs {
		for _, fd := range fds {
			if path := boundTo(fd); id[0] != ownID[0] && path != "" {
				return path
			}
		}
	}
	return ""
}

// boundTo is the path of a listening socket, "" for everything else.
func boundTo(fd int) string {
	if !listens(fd) {
		return ""
	}
	name, err := unix.Getsockname(fd)
	if at, ok := name.(*unix.SockaddrUnix); ok && err == nil {
		return at.Name
	}
	return ""
}

// doorSocket is the registry's own: a service manager's, an earlier process's, or a new one.
func (d *daemon) doorSocket(held *handover.Held) (*os.File, error) {
	for id, fds := range held.FDs {
		for i, fd := range fds {
			if id[0] != ownID[0] && boundTo(fd) == d.home.path {
				held.FDs[id] = append(fds[:i:i], fds[i+1:]...)
				d.home.given = true
				return keptFile(fd, d.home.path), nil
			}
		}
	}
	if fd := takeOne(held, doorID); fd >= 0 {
		info, err := os.Lstat(d.home.path)
		if err == nil && info.Mode().Type() == os.ModeSocket && listens(fd) {
			return keptFile(fd, d.home.path), nil
		}
		unix.Close(fd)
		d.store.Drop(doorID)
	}
	file, err := d.home.listen()
	if err == nil {
		d.store.Keep(doorID, int(file.Fd()))
	}
	return file, err
}

// dupFile is another descriptor of f.
func dupFile(f *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, firstExtraFD)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return keptFile(fd, f.Name()), nil
}

// serve waits for the end of ctx, and executes the program anew when it is told to.
func (d *daemon) serve(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.opts.Restart:
			d.log.Error("goes on as it is", "error", d.restart())
		}
	}
}

// restart returns only if it fails.
func (d *daemon) restart() error {
	if d.store == nil {
		return fmt.Errorf("a restart would lose every name: set Outlives")
	}
	d.log.Info("restarting", "program", program)
	d.settle()
	return d.do(func() error {
		d.manager.Tell(nil, "RELOADING=1", "MONOTONIC_USEC="+strconv.FormatInt(d.now().Microseconds(), 10))
		err := d.store.Exec(program, os.Args, os.Environ())
		d.manager.Tell(nil, "READY=1")
		return err
	})
}

// program is found out before an upgrade takes the file's name away.
var program, _ = os.Executable()

// settle waits until clients have what they were answered, or had their time.
func (d *daemon) settle() {
	var written chan struct{}
	n := 0
	d.do(func() error {
		n = len(d.clients)
		written = make(chan struct{}, n)
		for _, c := range d.clients {
			c.conn.SendBarrier(func() { written <- struct{}{} })
		}
		return nil
	})
	patience := time.NewTimer(lastReplies)
	defer patience.Stop()
	for range n {
		select {
		case <-written:
		case <-patience.C:
			return
		}
	}
}

// watchdog tells the service manager again and again that the queue, on which all
// is done, goes on.
func (d *daemon) watchdog() {
	usec, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64)
	if pid := os.Getenv("WATCHDOG_PID"); err != nil || usec <= 0 || pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return
	}
	interval := time.Duration(usec) * time.Microsecond / 2
	var tell func()
	tell = func() {
		if d.rested {
			return
		}
		d.manager.Tell(nil, "WATCHDOG=1")
		time.AfterFunc(interval, func() { d.queue.Async(tell) })
	}
	d.queue.Async(tell)
}
