package daemon

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/credentials"
	"github.com/openxpc/openxpc/credentials/codesign"
	"github.com/openxpc/openxpc/credentials/identity"
	"github.com/openxpc/openxpc/credentials/requirement"
	"github.com/openxpc/openxpc/registry/internal/namespace"
	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// Each pin holds four descriptors of the daemon's.
const (
	MaxPins       = 8192 // processes that the registry holds on to for those who asked
	MaxClientPins = 1024 // those of one connection
)

// identifierFor looks for signatures in the machine's places, and for a user's
// registry also in the user's.
func identifierFor(o *Options, system bool, uid int) *identity.Identifier {
	places := codesign.System(o.TrustRoot)
	if !system && o.TrustRoot == "" {
		if place, ok := userPlace(uid); ok {
			places = append(places, place)
		}
	}
	i := &identity.Identifier{Verifier: identity.Signatures(codesign.NewVerifier(places, nil)), Enforced: o.CodeIsEnforced}
	if o.TrustRoot != "" {
		i.Etc = filepath.Join(o.TrustRoot, "etc")
	}
	return i
}

func userPlace(uid int) (codesign.Place, bool) {
	config, err := os.UserConfigDir()
	if err != nil {
		return codesign.Place{}, false
	}
	data := os.Getenv("XDG_DATA_HOME")
	if !filepath.IsAbs(data) {
		home, err := os.UserHomeDir()
		if err != nil {
			return codesign.Place{}, false
		}
		data = filepath.Join(home, ".local/share")
	}
	return codesign.User(config, data, uid), true
}

// attest finds out who a process is, for somebody who cannot look at it. To hash an
// image takes time, so it is not done on the queue.
func (d *daemon) attest(r *call) error {
	c := r.from
	switch {
	case r.reply == nil:
		return badRequest("%s without a reply", bootstrap.OpAttest)
	case len(c.pins)+c.attests >= MaxClientPins:
		return &namespace.Error{Code: overQuota, Reason: fmt.Sprintf("this connection holds on to %d processes, the limit", MaxClientPins)}
	case d.pins+d.attests >= MaxPins:
		return &namespace.Error{Code: overQuota, Reason: fmt.Sprintf("the registry holds on to %d processes, the limit", MaxPins)}
	}
	who := credentials.Unknown()
	for key, to := range map[string]*int{bootstrap.KeyPID: &who.PID, bootstrap.KeyUID: &who.UID, bootstrap.KeyGID: &who.GID} {
		if n, ok := r.m.Get(key).(xpc.Int64); ok {
			*to = int(n)
		}
	}
	pidfd := r.m.DupFD(bootstrap.KeyProcess)
	if pidfd < 0 {
		r.out.Set(bootstrap.KeyFacts, xpc.EncodeFacts(&requirement.Facts{Credentials: who, Why: "there is no handle of its process, which needs Linux 6.5"}))
		return nil
	}
	c.attests++
	d.attests++
	d.asked.Add(1)
	// Ends with the identification; closing the daemon ends the wait for hashing.
	go func() {
		defer d.asked.Done()
		peer := d.identifier.Process(d.life, pidfd, who)
		unix.Close(pidfd)
		d.queue.Async(func() { d.attested(r, peer) })
	}()
	return errLater
}

// attested answers, unless the asker has gone.
func (d *daemon) attested(r *call, peer *identity.Peer) {
	c := r.from
	c.attests--
	d.attests--
	if c.gone {
		peer.Close()
		return
	}
	facts := *peer.Facts
	facts.LaunchType = d.launchType(facts.Credentials.PID)
	r.out.Set(bootstrap.KeyFacts, xpc.EncodeFacts(&facts))
	switch {
	case r.m.GetBool(bootstrap.KeyPinned):
		peer.Close()
	case peer.Pinned():
		c.lastPin++
		if c.pins == nil {
			c.pins = map[uint64]*identity.Peer{}
		}
		c.pins[c.lastPin] = peer
		d.pins++
		r.out.SetUint64(bootstrap.KeyPin, c.lastPin)
	}
	r.send()
}

// launchType is LWCR's: 1 for what the machine's registry started at load, else 0.
func (d *daemon) launchType(pid int) *int64 {
	var kind int64
	if d.home.system {
		for _, j := range d.jobs {
			if j.proc != nil && j.proc.pid == pid && j.because == becauseAtLoad {
				kind = 1
			}
		}
	}
	return &kind
}

func (d *daemon) confirm(r *call) error {
	pin := r.m.GetUint64(bootstrap.KeyPin)
	peer := r.from.pins[pin]
	if peer == nil {
		return badRequest("there is no pin %d on this connection", pin)
	}
	if err := peer.Check(); err != nil {
		return &namespace.Error{Code: bootstrap.Changed, Reason: err.Error()}
	}
	return nil
}

func (d *daemon) unpin(r *call) error {
	pin := r.m.GetUint64(bootstrap.KeyPin)
	peer := r.from.pins[pin]
	if peer == nil {
		return badRequest("there is no pin %d on this connection", pin)
	}
	delete(r.from.pins, pin)
	d.pins--
	peer.Close()
	return nil
}

// unpinAll lets go of what a client held on to.
func (d *daemon) unpinAll(c *client) {
	for _, peer := range c.pins {
		d.pins--
		peer.Close()
	}
	c.pins = nil
}
