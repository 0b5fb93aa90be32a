package daemon

import (
	"cmp"

	"github.com/openxpc/openxpc/credentials"
	"github.com/openxpc/openxpc/credentials/identity"
	"github.com/openxpc/openxpc/registry/internal/namespace"
	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// limits of a connection to the registry. A job file is the largest request, a
// list of thousands of jobs the largest answer, the entitlements of a program the
// deepest and, with a value in nearly each byte of a manifest, the one of most values.
var limits = xpc.Limits{
	MaxMessageSize:    2 << 20,
	MaxDepth:          48,
	MaxElements:       1 << 17,
	MaxDescriptors:    4,
	MaxPendingReplies: 16,
	MaxQueuedBytes:    8 << 20,
	MaxReceivedBytes:  4 << 20,
	MaxSilentPeers:    MaxClients,
}

// client is one connection to the registry: through its socket, or the bootstrap
// connection that a job's process was started with.
type client struct {
	id      namespace.Client
	conn    *xpc.Connection
	job     *job // whose bootstrap connection this is, or nil
	uid     int  // counted under this user; -1 for a job's
	refused bool // over the user's quota: told so at its first request
	gone    bool
	answers bool                      // can be asked: it has asked for something, or was born with its listener
	domain  string                    // of the services of its program's own, "" if it has none
	own     []*job                    // those services
	speaker credentials.Credentials   // of a job: who wrote the message that is being answered
	pins    map[uint64]*identity.Peer // processes that were attested
	lastPin uint64
	attests int // under way
}

// admit takes a connection through the registry's socket.
func (d *daemon) admit(peer *xpc.Connection) {
	c := &client{conn: peer, uid: peer.EUID()}
	c.refused = d.perUID[c.uid] >= d.maxClients()
	d.perUID[c.uid]++
	d.join(c)
}

// join starts to serve a client.
func (d *daemon) join(c *client) {
	d.lastID++
	c.id = d.lastID
	d.clients[c.id] = c
	c.conn.SetTargetQueue(d.queue)
	c.conn.SetEventHandler(func(o xpc.Object) {
		switch o := o.(type) {
		case *xpc.Dictionary:
			d.request(c, o)
		case *xpc.Error:
			if o == xpc.ErrConnectionInvalid {
				d.leave(c)
			}
		}
	})
	c.conn.Activate()
}

func (d *daemon) maxClients() int { return cmp.Or(d.opts.maxClients, MaxClients) }

// leave forgets a client; the names that it registered are gone.
func (d *daemon) leave(c *client) {
	if c.gone {
		return
	}
	c.gone = true
	delete(d.clients, c.id)
	d.unpinAll(c)
	if c.job == nil {
		if d.perUID[c.uid]--; d.perUID[c.uid] == 0 {
			delete(d.perUID, c.uid)
		}
	}
	d.apply(d.names.ClientGone(c.id))
	if c.job != nil {
		for _, name := range c.job.file.MachServices {
			d.saveName(name)
		}
	}
	d.endOwn(c)
}

// caller is the client as the name table sees it. A job's process may register
// names like any program of its user.
func (d *daemon) caller(c *client) namespace.Caller {
	who := namespace.Caller{Client: c.id, AdHoc: d.policy().allows(subjectOf(c), registerName, nil)}
	if c.job != nil {
		who.Job = c.job.file.Label
	}
	return who
}

// apply carries out what the name table decided.
func (d *daemon) apply(changes []namespace.Change) {
	for _, ch := range changes {
		s := d.sockets[ch.Name]
		switch ch.Kind {
		case namespace.CloseSocket:
			if s != nil {
				d.forgetSocket(s)
			}
		case namespace.Watch:
			if s != nil {
				d.watch(s)
			}
		case namespace.Unwatch:
			if s != nil {
				s.unwatch()
			}
		case namespace.Restamp:
			if s != nil {
				d.restamp(s)
			}
		case namespace.Gone:
			d.tellGone(ch)
			continue
		}
		d.saveName(ch.Name)
	}
}

func (d *daemon) tellGone(ch namespace.Change) {
	c := d.clients[ch.Client]
	if c == nil {
		return
	}
	m := xpc.NewDictionary()
	m.SetString(bootstrap.KeyOp, bootstrap.OpGone)
	m.SetString(bootstrap.KeyName, namespace.Public(ch.Name))
	m.SetString(bootstrap.KeyReason, ch.Reason)
	c.conn.SendMessage(m)
}

// socket is the name's, made now if it is not there yet: at the first use, or
// after an attempt that failed for want of descriptors.
func (d *daemon) socket(name string) (*nameSocket, error) {
	if s := d.sockets[name]; s != nil {
		return s, nil
	}
	s, err := d.newNameSocket(name)
	if err != nil {
		return nil, err
	}
	d.sockets[name] = s
	d.saveName(name)
	if info, _ := d.names.Get(name); info.Job != "" && !info.Active {
		d.watch(s)
	}
	return s, nil
}

// restamp takes the socket back after its process has ended. One that the job
// has shut down is closed; who looks the name up again gets a new one.
func (d *daemon) restamp(s *nameSocket) {
	if err := s.restamp(); err != nil {
		d.log.Warn("a new socket is needed", "name", s.name, "error", err)
		d.forgetSocket(s)
	}
}

// forgetSocket closes a name's. Its record goes first: one without descriptors would
// look as if they had been lost.
func (d *daemon) forgetSocket(s *nameSocket) {
	delete(d.sockets, s.name)
	d.saveName(s.name)
	d.closeSocket(s)
}

// watch starts the name's job when a client waits.
func (d *daemon) watch(s *nameSocket) {
	if d.sockets[s.name] != s {
		return
	}
	if err := s.arm(d, d.clientWaits); err != nil {
		d.log.Error("cannot watch for clients", "name", s.name, "error", err)
	}
}

func (d *daemon) clientWaits(s *nameSocket) {
	if s.dead() {
		d.restamp(s)
		return
	}
	info, ok := d.names.Get(s.name)
	if j := d.jobs[info.Job]; ok && j != nil {
		j.reason("ipc (" + s.name + ")")
		d.tell(j, demand)
	}
}
