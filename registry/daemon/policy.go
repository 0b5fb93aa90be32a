package daemon

import (
	"github.com/openxpc/openxpc/credentials"
	"github.com/openxpc/openxpc/registry"
)

// subject is who asks: what the kernel said of the client when it connected.
type subject struct {
	uid, gid int // -1 where not known
	groups   credentials.GroupSet
}

// operation is what policy decides about.
type operation uint8

const (
	lookUpName operation = iota // of a name, or hear of it in any other way
	registerName
	loadJob
	unloadJob
	controlJob // start, signal, enable, disable, debug
	listJobs
	printJob // and status, and ping
)

// policy is who may do what. Who is the job, and so may check its names in, is
// not decided here: that is who holds the bootstrap socket.
type policy struct {
	owner   int              // the user that the registry runs as
	noAdHoc bool             // nobody registers names
	adHoc   *registry.Access // who may; nil: the owner
}

// allows is pure. restriction is who may look the name up; nil: everybody.
func (p *policy) allows(who subject, op operation, restriction *registry.Access) bool {
	manages := who.uid == p.owner || who.uid == 0
	switch op {
	case lookUpName:
		return restriction == nil || manages || restriction.Allows(who.uid, who.gid, who.groups.Has)
	case registerName:
		switch {
		case p.noAdHoc:
			return false
		case p.adHoc == nil:
			return who.uid == p.owner
		}
		return p.adHoc.Allows(who.uid, who.gid, who.groups.Has)
	case loadJob, unloadJob, controlJob:
		return manages
	case listJobs, printJob:
		return true // R210
	}
	return false
}

func (d *daemon) policy() *policy {
	return &policy{owner: d.uid, noAdHoc: d.opts.NoAdHoc, adHoc: d.opts.AdHoc}
}

// subjectOf is who connected. A job's socket was made by the registry and would
// vouch for the registry's own user: there it is who wrote the message.
func subjectOf(c *client) subject {
	if c.job != nil {
		return subject{uid: c.speaker.UID, gid: c.speaker.GID}
	}
	return subject{uid: c.conn.EUID(), gid: c.conn.EGID(), groups: c.conn.Groups()}
}

// hidden says whether the client may not know of the name. A job knows its own.
func (d *daemon) hidden(c *client, name string) bool {
	info, _ := d.names.Get(name)
	j := d.jobs[info.Job]
	if j == nil || j == c.job {
		return false
	}
	who, restricted := j.file.LookUp[name]
	return restricted && !d.policy().allows(subjectOf(c), lookUpName, &who)
}
