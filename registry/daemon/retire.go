package daemon

import (
	"cmp"
	"time"

	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// idleExit is how long a process is idle, at least, before it is ended for that
// (R183): to start it again costs its client some ten milliseconds, so once a minute
// that is nothing.
const idleExit = time.Minute

// retire ends the job's process if it is idle. It is asked, as only it can say so
// without losing a message; one that is busy, or does not answer, goes on, and so does
// one that would be started again at once, or never.
func (d *daemon) retire(j *job, why string) {
	p := j.proc
	if p == nil || p.asking || j.conn == nil || !j.conn.answers || j.file.LaunchOnlyOnce || d.whyKept(j, true, 0) != "" {
		return
	}
	m := xpc.NewDictionary()
	m.SetString(bootstrap.KeyOp, bootstrap.OpTerminate)
	m.SetBool(bootstrap.KeyOnlyIdle, true)
	p.asking, p.asked = true, true
	j.conn.conn.SendMessageWithReply(m, d.queue, func(o xpc.Object) {
		p.asking = false
		m, ok := o.(*xpc.Dictionary)
		idle := ok && m.GetBool(bootstrap.KeyIdle)
		p.asked = p.asked && (idle || !ok) // no answer: it has ended, or will not say
		if idle && j.proc == p {
			j.log.Info("is idle, killing it", "pid", p.pid, "because", why)
			p.retired = true
			p.kill()
		}
	})
}

// watchIdle looks at the tally of the job's process now and then, and retires it when
// it has been idle from one look to the next (R183). The process itself sleeps.
func (d *daemon) watchIdle(j *job) {
	if j.tally == nil || d.opts.IdleExit < 0 {
		return
	}
	p := j.proc
	p.idle = d.after(j, cmp.Or(d.opts.IdleExit, idleExit), func() {
		if j.proc == p && !d.closing {
			d.lookWhetherIdle(j)
			d.watchIdle(j)
		}
	})
}

func (d *daemon) lookWhetherIdle(j *job) {
	p := j.proc
	busy, turns := j.tally.read()
	if !busy && turns > 0 && turns == p.turns {
		d.retire(j, "nobody needs it")
	}
	p.turns = turns
}
