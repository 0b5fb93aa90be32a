package daemon

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/openxpc/openxpc/credentials/requirement"
	"github.com/openxpc/openxpc/registry/internal/namespace"
	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// judgePatience bounds how long finding out who asks may take: to look and to be answered, with room to say why not.
const judgePatience = 25 * time.Second

// attester lets the registry's own connections ask the registry without a socket.
type attester struct{ d *daemon }

// Attest finds out who a client of the registry is.
func (a attester) Attest(ctx context.Context, p xpc.Process) (*xpc.Attestation, error) {
	if p.Handle < 0 {
		return nil, fmt.Errorf("there is no handle of its process, which needs Linux 6.5")
	}
	peer := a.d.identifier.Process(ctx, p.Handle, p.Credentials)
	return &xpc.Attestation{Facts: peer.Facts, Check: peer.Check, Close: peer.Close}, nil
}

// required is what the client must meet to look a name up, or own it, nil for nothing.
// A job may look its own names up.
func (d *daemon) required(c *client, name string) (lookUp, own *requirement.Requirement) {
	info, _ := d.names.Get(name)
	j := d.jobs[info.Job]
	if j == nil {
		return nil, nil
	}
	r := j.file.Requirements[name]
	if j == c.job {
		return nil, r.Own
	}
	return r.LookUp, nil
}

// judge carries a request out if its sender meets the requirement. To find out who
// that is takes time, so it is not done on the queue; a name that has another
// requirement afterwards is judged anew.
func (d *daemon) judge(r *call, name string, need *requirement.Requirement, carryOn func(*call, string) error) error {
	p, err := xpc.NewPeerRequirement(need)
	if err != nil {
		return err
	}
	r.m.Retain()
	d.asked.Add(1)
	// Ends with the judgement, which has a time limit.
	go func() {
		defer d.asked.Done()
		ctx, cancel := context.WithTimeout(d.life, judgePatience)
		defer cancel()
		err := p.MatchReceivedMessage(ctx, r.m)
		d.queue.Async(func() { d.judged(r, name, need, err, carryOn) })
	}()
	return errLater
}

func (d *daemon) judged(r *call, name string, need *requirement.Requirement, err error, carryOn func(*call, string) error) {
	defer r.m.Release()
	if r.from.gone {
		return
	}
	if lookUp, own := d.required(r.from, name); need != lookUp && need != own { // another job has the name now
		err = d.perform(r)
		if errors.Is(err, errLater) {
			return
		}
	} else if err != nil {
		op := r.m.GetString(bootstrap.KeyOp)
		d.log.Warn("requirement not met", "name", name, "op", op, "pid", r.m.Sender().PID, "uid", r.m.Sender().UID, "error", err)
		err = &namespace.Error{Code: bootstrap.NotPrivileged, Reason: fmt.Sprintf("the name %q has a requirement for %s: %v", name, op, err)}
	} else {
		err = carryOn(r, name)
	}
	if err != nil {
		fail(r.out, err)
	}
	r.send()
}
