package daemon

import (
	"fmt"
	"maps"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/registry"
	"github.com/openxpc/openxpc/registry/internal/launch"
	"github.com/openxpc/openxpc/registry/internal/namespace"
	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// maxSignal is Linux's highest; where there are fewer, the system refuses.
const maxSignal = 64

// controlled is the loaded job that a request is about, if the client may do that to it.
func (d *daemon) controlled(r *call, what string) (*job, error) {
	if err := d.notAllowed(r.from, controlJob, what); err != nil {
		return nil, err
	}
	label := r.m.GetString(bootstrap.KeyLabel)
	j := d.jobs[label]
	if j == nil {
		return nil, noJob("label", label)
	}
	return j, nil
}

func notRunning(format string, args ...any) error {
	return &namespace.Error{Code: bootstrap.NotRunning, Reason: fmt.Sprintf(format, args...)}
}

// kickstart answers when the job runs, or cannot.
func (d *daemon) kickstart(r *call) error {
	j, err := d.controlled(r, "start")
	if err != nil {
		return err
	}
	restart := r.m.GetBool(bootstrap.KeyRestart)
	switch state := j.machine.State(); {
	case j.farther != "":
		return notRunning("job %q is being unloaded", j.file.Label)
	case state == launch.Running && !restart:
		r.out.SetInt64(bootstrap.KeyPID, int64(j.proc.pid))
		return nil
	}
	j.kicked = append(j.kicked, r)
	j.because = fmt.Sprintf("kickstart (by pid %d)", r.from.conn.PID())
	ev := launch.Kick
	if restart {
		ev = launch.Restart
	}
	d.tell(j, ev)
	return errLater
}

// answerKicked tells those who asked for a start what became of it; err is nil if
// the job runs.
func (j *job) answerKicked(err error) {
	waiting := j.kicked
	j.kicked = nil
	for _, r := range waiting {
		if err != nil {
			fail(r.out, err)
		} else {
			r.out.SetInt64(bootstrap.KeyPID, int64(j.proc.pid))
		}
		r.send()
	}
}

// kill sends a signal to the job's process, and to nothing else of its group.
func (d *daemon) kill(r *call) error {
	j, err := d.controlled(r, "signal")
	if err != nil {
		return err
	}
	signal := r.m.GetInt64(bootstrap.KeySignal)
	if signal < 1 || signal > maxSignal {
		return badRequest("%q is to be a signal from 1 to %d, not %d", bootstrap.KeySignal, maxSignal, signal)
	}
	if j.proc == nil {
		return notRunning("job %q does not run: there is no process to signal", j.file.Label)
	}
	if err := j.proc.signal(unix.Signal(signal)); err != nil {
		return notRunning("job %q: signal %d: %v", j.file.Label, signal, err)
	}
	d.log.Info("signalled", "job", j.file.Label, "pid", j.proc.pid, "signal", signal, "by", r.from.conn.PID())
	return nil
}

// debug changes the next run of a job.
func (d *daemon) debug(r *call) error {
	j, err := d.controlled(r, "debug")
	if err != nil {
		return err
	}
	next, err := altered(j.file, r.m)
	if err != nil {
		return err
	}
	j.next = next
	return nil
}

// altered is the job with what the request changes; nil if it changes nothing.
func altered(file *registry.Job, m *xpc.Dictionary) (*registry.Job, error) {
	next, changed := *file, false
	for key, to := range map[string]*string{
		bootstrap.KeyProgram:       &next.Program,
		bootstrap.KeyStandardIn:    &next.StandardInPath,
		bootstrap.KeyStandardOut:   &next.StandardOutPath,
		bootstrap.KeyStandardError: &next.StandardErrorPath,
	} {
		path := m.GetString(key)
		if path == "" {
			continue
		}
		if !filepath.IsAbs(path) && (key != bootstrap.KeyProgram || strings.Contains(path, "/")) {
			return nil, badRequest("the path %q under %q is not absolute", path, key)
		}
		*to, changed = path, true
	}
	if list := m.GetArray(bootstrap.KeyArguments); list.Count() > 0 {
		next.Arguments, changed = nil, true
		for _, o := range list.All() {
			text, ok := o.(xpc.String)
			if !ok {
				return nil, badRequest("%q is to have strings only", bootstrap.KeyArguments)
			}
			next.Arguments = append(next.Arguments, string(text))
		}
	}
	if more := m.GetDictionary(bootstrap.KeyEnvironment); more.Count() > 0 {
		changed = true
		if next.Environment = maps.Clone(next.Environment); next.Environment == nil {
			next.Environment = map[string]string{}
		}
		for name, o := range more.All() {
			text, ok := o.(xpc.String)
			if !ok {
				return nil, badRequest("%q is to have strings only", bootstrap.KeyEnvironment)
			}
			next.Environment[name] = string(text)
		}
	}
	if !changed {
		return nil, nil
	}
	return &next, nil
}
