package daemon

import (
	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// watchPressure has the daemon relieve the machine whenever memory is scarce. Where
// nothing tells of that, jobs with EnablePressuredExit are ended by unloading only.
func (d *daemon) watchPressure() {
	cancel, err := onPressure(func() {
		d.queue.Async(func() {
			if d.closing {
				return
			}
			d.relieve()
			d.stopPressure()
			d.watchPressure()
		})
	})
	if err != nil {
		d.log.Debug("nothing tells when memory is scarce", "error", err)
		return
	}
	d.pressure = cancel
}

func (d *daemon) stopPressure() {
	if d.pressure != nil {
		d.pressure()
		d.pressure = nil
	}
}

// relieve ends the processes that are idle and may be ended for that (R185). Each
// is asked, as only it can say so without losing a message; one that is busy, or does
// not answer, goes on.
func (d *daemon) relieve() {
	for _, j := range d.jobs {
		if !j.file.EnablePressuredExit || j.proc == nil || j.conn == nil || !j.conn.spoke {
			continue
		}
		p := j.proc
		if p.asking {
			continue
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
				j.log.Info("is idle, and memory is scarce: killing it", "pid", p.pid)
				p.retired = true
				p.kill()
			}
		})
	}
}
