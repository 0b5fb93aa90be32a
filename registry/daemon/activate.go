package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/registry"
	"github.com/openxpc/openxpc/registry/internal/handover"
	"github.com/openxpc/openxpc/transport"
)

// openSockets makes the sockets that the job's file declares, all of them or none.
func (d *daemon) openSockets(j *job) error {
	for i := range j.file.Sockets {
		s, err := d.openSocket(&j.file.Sockets[i])
		if err != nil {
			d.closeSockets(j)
			return fmt.Errorf("job %q: %w", j.file.Label, err)
		}
		j.sockets = append(j.sockets, s)
	}
	return nil
}

func (d *daemon) openSocket(spec *registry.Socket) (*nameSocket, error) {
	file, path, err := spec.Listen(os.TempDir())
	if err != nil {
		return nil, err
	}
	defer file.Close()
	// The runtime's poller is not to know it.
	fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, firstExtraFD)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	s := &nameSocket{name: spec.Name, listener: keptFile(fd, spec.Name), place: -1, path: path}
	d.keepSocket(s)
	return s, nil
}

func (d *daemon) closeSockets(j *job) {
	for i, s := range j.sockets {
		d.closeSocket(s)
		if j.file.Sockets[i].Variable != "" {
			os.Remove(filepath.Dir(s.path))
		}
	}
	j.sockets = nil
}

// heldSockets takes over those that an earlier daemon has listened at; one that was
// lost is made anew.
func (d *daemon) heldSockets(j *job, kept []keptSocket, held *handover.Held) {
	for i := range j.file.Sockets {
		spec := &j.file.Sockets[i]
		if i < len(kept) {
			if fd := takeOne(held, kept[i].Kept); fd >= 0 {
				j.sockets = append(j.sockets, &nameSocket{name: spec.Name, listener: keptFile(fd, spec.Name), id: kept[i].Kept, place: -1, path: kept[i].Path})
				continue
			}
		}
		s, err := d.openSocket(spec)
		if err != nil {
			j.log.Error("a socket was lost", "error", err)
			d.closeSockets(j)
			return
		}
		j.sockets = append(j.sockets, s)
	}
}

// keptSocket is what is written down of a job's socket.
type keptSocket struct {
	Kept string
	Path string `json:",omitempty"`
}

func (j *job) keptSockets() (all []keptSocket) {
	for _, s := range j.sockets {
		all = append(all, keptSocket{s.id, s.path})
	}
	return all
}

// watchSockets starts the job when somebody comes.
func (d *daemon) watchSockets(j *job) {
	for _, s := range j.sockets {
		d.watchSocket(j, s)
	}
}

func (d *daemon) watchSocket(j *job, s *nameSocket) {
	err := s.arm(d, func(s *nameSocket) {
		switch {
		case d.jobs[j.file.Label] != j || d.closing:
		case j.file.Inetd != nil && !j.file.Inetd.Wait:
			d.serveInstance(j, s)
		default:
			j.reason("socket (" + s.name + ")")
			d.tell(j, demand)
		}
	})
	if err != nil {
		j.log.Error("cannot watch for clients", "socket", s.name, "error", err)
	}
}

// turnAway lets those go who wait at the job's sockets: its program cannot be executed.
func (d *daemon) turnAway(j *job) {
	for i, s := range j.sockets {
		unix.SetNonblock(s.fd(), true)
		for range transport.Backlog {
			if j.file.Sockets[i].Stream() {
				client, err := s.accept()
				if err != nil {
					break
				}
				client.Close()
			} else if _, _, err := unix.Recvfrom(s.fd(), make([]byte, 1), unix.MSG_DONTWAIT); err != nil {
				break
			}
		}
	}
}

// environment is what tells the job of its sockets. Its own process id is added by the helper.
func (j *job) socketVariables() (env []string) {
	var names []string
	for i, s := range j.sockets {
		names = append(names, s.name)
		if v := j.file.Sockets[i].Variable; v != "" {
			env = append(env, v+"="+s.path)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return append(env, fmt.Sprintf("LISTEN_FDS=%d", len(names)), "LISTEN_FDNAMES="+strings.Join(names, ":"))
}

// socketFiles are the sockets as the process inherits them: they block, as programs expect.
func (j *job) socketFiles() (files []*os.File) {
	for _, s := range j.sockets {
		unix.SetNonblock(s.fd(), false)
		files = append(files, s.listener)
	}
	return files
}

// ---- inetd's nowait

// serveInstance gives one client a process of its own: a job that is like j, has the
// connection as its streams, and ends with its process.
func (d *daemon) serveInstance(j *job, s *nameSocket) {
	if j.instances >= registry.MaxInstances {
		return // watched again when one has ended
	}
	unix.SetNonblock(s.fd(), true)
	client, err := s.accept()
	if err == nil {
		defer client.Close()
		j.served++
		j.instances++
		file := *j.file
		file.Label = fmt.Sprintf("%s.%d", j.file.Label, j.served)
		file.Sockets, file.Inetd, file.MachServices, file.LookUp = nil, nil, nil, nil
		file.KeepAlive, file.StartInterval, file.StartCalendar, file.WatchPaths, file.QueueDirectories = nil, 0, nil, nil, nil
		file.RunAtLoad, file.LaunchOnlyOnce, file.ThrottleInterval = true, true, 0
		if err = d.loadWith(&file, client, func() {
			if j.instances--; d.jobs[j.file.Label] == j {
				d.watchSocket(j, s)
			}
		}); err != nil {
			j.instances--
			j.log.Error("a client was turned away", "error", err)
		}
	}
	d.watchSocket(j, s)
}
