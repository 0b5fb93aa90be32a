package daemon

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/registry/internal/launch"
	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// answerPatience is how long the job may take to say whether it is idle: a fifth of
// the time that it has to end, by default a second.
func (j *job) answerPatience() time.Duration {
	if t := j.machine.ExitTimeout; t > 0 {
		return t / 5
	}
	return launch.ExitTimeout / 5
}

// stop asks the job's process to end. What its transactions decide is asked of the
// process itself, if it can be asked; everything else, or whoever does not
// answer, gets SIGTERM (R184). The machine's timer runs in any case.
func (d *daemon) stop(j *job) {
	p := j.proc
	if !j.file.EnableTransactions || j.conn == nil || !j.conn.answers {
		p.signal(unix.SIGTERM)
		return
	}
	waits := true
	var timer *time.Timer
	answer := func(o xpc.Object) {
		timer.Stop()
		if waits && j.proc == p {
			d.answered(j, o)
		}
		waits = false
	}
	timer = time.AfterFunc(j.answerPatience(), func() { d.queue.Async(func() { answer(nil) }) })
	m := xpc.NewDictionary()
	m.SetString(bootstrap.KeyOp, bootstrap.OpTerminate)
	j.conn.conn.SendMessageWithReply(m, d.queue, answer)
}

// answered goes by what a job with transactions said: o is nil or an error if it
// said nothing.
func (d *daemon) answered(j *job, o xpc.Object) {
	m, ok := o.(*xpc.Dictionary)
	switch {
	case !ok || m.Get(bootstrap.KeyIdle) == nil:
		j.log.Info("does not say whether it is idle, sending SIGTERM", "pid", j.proc.pid)
		j.proc.signal(unix.SIGTERM)
	case m.GetBool(bootstrap.KeyIdle):
		j.log.Info("is idle, killing it", "pid", j.proc.pid)
		j.proc.kill()
	default:
		j.log.Info("ends after its last transaction", "pid", j.proc.pid)
	}
}
