package daemon

import (
	"errors"
	"fmt"
	"slices"

	"github.com/openxpc/openxpc/registry"
	"github.com/openxpc/openxpc/registry/internal/namespace"
	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

const (
	overQuota = bootstrap.OverQuota
	nameInUse = bootstrap.NameInUse
)

// call is one request. out is where the answer goes; reply is the same
// dictionary, or nil if the client expects none.
type call struct {
	from          *client
	m, out, reply *xpc.Dictionary
}

// send sends the reply, if one is expected.
func (r *call) send() {
	if r.reply != nil {
		r.from.conn.SendMessage(r.reply)
	}
}

// errLater is returned by a routine that sends its reply itself.
var errLater = errors.New("answered later")

// routine is what the registry does for an op, or nil.
func (d *daemon) routine(op string) func(*call) error {
	switch op {
	case bootstrap.OpLookUp:
		return d.lookUp
	case bootstrap.OpCheckIn:
		return d.checkIn
	case bootstrap.OpCheckOut:
		return d.checkOut
	case bootstrap.OpAttest:
		return d.attest
	case bootstrap.OpConfirm:
		return d.confirm
	case bootstrap.OpUnpin:
		return d.unpin
	case bootstrap.OpLoad:
		return d.loadRequest
	case bootstrap.OpUnload:
		return d.unloadRequest
	case bootstrap.OpKickstart:
		return d.kickstart
	case bootstrap.OpKill:
		return d.kill
	case bootstrap.OpDebug:
		return d.debug
	case bootstrap.OpEnable:
		return d.enable
	case bootstrap.OpDisable:
		return d.disable
	case bootstrap.OpPrintDisabled:
		return d.printDisabled
	case bootstrap.OpList:
		return d.list
	case bootstrap.OpPrint:
		return d.print
	case bootstrap.OpStatus:
		return d.status
	case bootstrap.OpPing:
		return d.ping
	}
	return nil
}

// request answers one message of a client. One that expects no reply is carried out all the same.
func (d *daemon) request(c *client, m *xpc.Dictionary) {
	c.answers, c.speaker = true, m.Sender()
	r := &call{from: c, m: m, reply: m.CreateReply()}
	if r.out = r.reply; r.out == nil {
		r.out = xpc.NewDictionary()
	}
	err := d.perform(r)
	if errors.Is(err, errLater) {
		return
	}
	if err != nil {
		fail(r.out, err)
	}
	r.send()
	if c.refused {
		c.conn.SendBarrier(c.conn.Cancel)
	}
}

func (d *daemon) perform(r *call) error {
	if r.from.refused {
		return &namespace.Error{Code: overQuota, Reason: fmt.Sprintf("user %d has %d connections to the registry, the limit", r.from.uid, d.maxClients())}
	}
	op := r.m.GetString(bootstrap.KeyOp)
	routine := d.routine(op)
	if routine == nil {
		return badRequest("the registry has no routine %q", op)
	}
	return routine(r)
}

// fail puts an error into a reply.
func fail(out *xpc.Dictionary, err error) {
	code := bootstrap.OverQuota // what the system refuses: descriptors, memory
	var refusal *namespace.Error
	var bad *registry.JobError
	switch {
	case errors.As(err, &refusal):
		code = refusal.Code
	case errors.As(err, &bad):
		code = bootstrap.BadJob
	}
	out.SetInt64(bootstrap.KeyError, int64(code))
	out.SetString(bootstrap.KeyReason, err.Error())
}

func badRequest(format string, args ...any) error {
	return &namespace.Error{Code: bootstrap.BadRequest, Reason: fmt.Sprintf(format, args...)}
}

// nameFor is the name that the request is about. The process of a program's own
// service says its name without the domain.
func nameFor(r *call) (string, error) {
	name := r.m.GetString(bootstrap.KeyName)
	if err := bootstrap.CheckName(name); err != nil {
		return "", badRequest("%v", err)
	}
	if j := r.from.job; j != nil && name == namespace.Public(j.file.Label) {
		return j.file.Label, nil
	}
	return name, nil
}

// lookUp gives the caller the name's endpoint and subscribes it to the name's end.
func (d *daemon) lookUp(r *call) error {
	name, err := nameFor(r)
	if err != nil {
		return err
	}
	if folder := r.m.GetString(bootstrap.KeyServices); folder != "" {
		if name, err = d.ownService(r.from, folder, name); err != nil {
			return err
		}
	}
	if d.hidden(r.from, name) || d.notYet(name) {
		return namespace.Unknown(name)
	}
	if need, _ := d.required(r.from, name); need != nil {
		return d.judge(r, name, need, d.giveEndpoint)
	}
	return d.giveEndpoint(r, name)
}

// giveEndpoint is a look-up by who may make it.
func (d *daemon) giveEndpoint(r *call, name string) error {
	changes, err := d.names.LookUp(r.from.id, name)
	if err != nil {
		return err
	}
	d.apply(changes)
	s, err := d.socket(name)
	if err != nil {
		return err
	}
	r.out.Set(bootstrap.KeyEndpoint, s.endpoint)
	return nil
}

// notYet says of a name whose job wants it so that nobody serves it now (R216).
func (d *daemon) notYet(name string) bool {
	info, _ := d.names.Get(name)
	j := d.jobs[info.Job]
	return j != nil && !info.Active && slices.Contains(j.file.HideUntilCheckIn, name)
}

// checkIn hands the name's listening socket over to the caller.
func (d *daemon) checkIn(r *call) error {
	name, err := nameFor(r)
	if err != nil {
		return err
	}
	who := d.caller(r.from)
	if !who.AdHoc && d.hidden(r.from, name) {
		return namespace.NotYours(name)
	}
	if _, need := d.required(r.from, name); need != nil {
		return d.judge(r, name, need, d.giveListener)
	}
	return d.giveListener(r, name)
}

// giveListener is a check-in by who may make it.
func (d *daemon) giveListener(r *call, name string) error {
	who := d.caller(r.from)
	who.Again = r.m.GetBool(bootstrap.KeyAgain)
	d.reclaim(r.from, name)
	changes, err := d.names.CheckIn(who, name)
	if err != nil {
		return err
	}
	d.apply(changes)
	if !r.m.GetBool(bootstrap.KeyHeld) {
		if err := d.answerListener(r, name); err != nil {
			d.names.CheckOut(r.from.id, name)
			return err
		}
	}
	d.log.Debug("checked in", "name", name, "client", r.from.id)
	d.saveName(name)
	return nil
}

func (d *daemon) answerListener(r *call, name string) error {
	s, err := d.socket(name)
	if err != nil {
		return err
	}
	r.out.SetFD(bootstrap.KeyListener, s.fd())
	if r.out.Get(bootstrap.KeyListener) == nil {
		return errors.New("the listening socket cannot be handed over: no descriptors left")
	}
	r.out.Set(bootstrap.KeyEndpoint, s.endpoint)
	return nil
}

// checkOut takes the name back from the caller; clients queue from now on.
func (d *daemon) checkOut(r *call) error {
	name, err := nameFor(r)
	if err != nil {
		return namespace.NotRegistered(r.m.GetString(bootstrap.KeyName))
	}
	if info, _ := d.names.Get(name); info.Owner != r.from.id && d.hidden(r.from, name) {
		return namespace.NotRegistered(name)
	}
	err = d.names.CheckOut(r.from.id, name)
	d.saveName(name)
	return err
}
