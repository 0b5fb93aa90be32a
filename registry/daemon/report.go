package daemon

import (
	"cmp"
	"maps"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/openxpc/openxpc/registry"
	"github.com/openxpc/openxpc/registry/internal/launch"
	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

func (d *daemon) ping(r *call) error {
	r.out.SetInt64(bootstrap.KeyPID, int64(os.Getpid()))
	return nil
}

func (d *daemon) status(r *call) error {
	running := 0
	for _, j := range d.jobs {
		if j.proc != nil {
			running++
		}
	}
	r.out.SetInt64(bootstrap.KeyPID, int64(os.Getpid()))
	r.out.SetInt64(bootstrap.KeyUID, int64(d.uid))
	r.out.SetString(bootstrap.KeyPath, d.home.path)
	r.out.SetString(bootstrap.KeyVersion, d.opts.Version)
	r.out.SetDate(bootstrap.KeyStarted, d.begun.UnixNano())
	r.out.SetInt64(bootstrap.KeyJobCount, int64(len(d.jobs)))
	r.out.SetInt64(bootstrap.KeyRunningCount, int64(running))
	r.out.SetInt64(bootstrap.KeyNameCount, int64(d.names.Len()))
	r.out.SetInt64(bootstrap.KeyClientCount, int64(len(d.clients)))
	return nil
}

func (d *daemon) list(r *call) error {
	jobs := xpc.NewArray()
	for _, label := range slices.Sorted(maps.Keys(d.jobs)) {
		j := d.jobs[label]
		e := xpc.NewDictionary()
		e.SetString(bootstrap.KeyLabel, label)
		e.SetString(bootstrap.KeyState, j.state())
		if j.proc != nil {
			e.SetInt64(bootstrap.KeyPID, int64(j.proc.pid))
		}
		if j.exited {
			e.SetInt64(bootstrap.KeyStatus, int64(j.status))
		}
		jobs.Append(e)
	}
	r.out.Set(bootstrap.KeyJobs, jobs)
	names := xpc.NewArray()
	for _, name := range d.names.Names("") {
		e := xpc.NewDictionary()
		e.SetString(bootstrap.KeyName, name)
		e.SetInt64(bootstrap.KeyPID, int64(d.pidOf(name)))
		names.Append(e)
	}
	r.out.Set(bootstrap.KeyNames, names)
	return nil
}

// pidOf is the process that registered the name, or 0.
func (d *daemon) pidOf(name string) int {
	info, _ := d.names.Get(name)
	if c := d.clients[info.Owner]; c != nil {
		return c.conn.PID()
	}
	return 0
}

func (j *job) state() string {
	switch j.machine.State() {
	case launch.Waiting:
		return bootstrap.StateWaiting
	case launch.Running, launch.Starting:
		return bootstrap.StateRunning
	case launch.Stopping, launch.Killing:
		return bootstrap.StateStopping
	}
	return bootstrap.StateNotRunning
}

// print describes a job with launchctl's words and in its order.
func (d *daemon) print(r *call) error {
	label := r.m.GetString(bootstrap.KeyLabel)
	j := d.jobs[label]
	if name := r.m.GetString(bootstrap.KeyName); name != "" {
		info, _ := d.names.Get(name)
		if j = d.jobs[info.Job]; j == nil || d.hidden(r.from, name) {
			return noJob("name", name)
		}
	}
	if j == nil {
		return noJob("label", label)
	}
	r.out.Set(bootstrap.KeyJob, d.describe(r.from, j))
	return nil
}

// describe leaves out the names that the client may not know of.
func (d *daemon) describe(c *client, j *job) *xpc.Dictionary {
	e := xpc.NewDictionary()
	text := func(key, value string) {
		if value != "" {
			e.SetString(key, value)
		}
	}
	text("label", j.file.Label)
	text("path", j.file.Path)
	text("type", "LaunchAgent")
	if d.home.system {
		text("type", "LaunchDaemon")
	}
	if j.isOwn() {
		text("type", "XPCService")
	}
	text("state", j.state())
	text("program", j.file.Program)
	e.Set("arguments", stringsOf(j.file.Arguments))
	text("working directory", j.file.WorkingDirectory)
	text("stdout path", j.file.StandardOutPath)
	text("stderr path", j.file.StandardErrorPath)
	if len(j.file.Environment) > 0 {
		e.Set("environment", environmentOf(j))
	}
	e.SetInt64("minimum runtime", int64(j.file.ThrottleInterval/time.Second))
	e.SetInt64("exit timeout", int64(max(cmp.Or(j.file.ExitTimeout, launch.ExitTimeout), 0)/time.Second))
	e.SetInt64("runs", int64(j.runs))
	if j.proc != nil {
		e.SetInt64("pid", int64(j.proc.pid))
	}
	text("immediate reason", j.because)
	text("last exit code", j.lastExit())
	if j.failure != nil {
		text("last failure", j.failure.Error())
	}
	e.Set("endpoints", d.endpointsOf(c, j))
	if len(j.file.Sockets) > 0 {
		e.Set("sockets", socketsOf(j))
	}
	if t := d.triggersOf(j); t.Count() > 0 {
		e.Set("event triggers", t)
	}
	return e
}

func stringsOf(list []string) *xpc.Array {
	a := xpc.NewArray()
	for _, s := range list {
		a.AppendString(s)
	}
	return a
}

// socketsOf is, by the names of the file, where the registry listens for the job.
func socketsOf(j *job) *xpc.Dictionary {
	all := xpc.NewDictionary()
	for _, s := range j.file.Sockets {
		list := all.GetArray(s.Name)
		if list == nil {
			list = xpc.NewArray()
			all.Set(s.Name, list)
		}
		list.AppendString(s.Network + " " + s.Address)
	}
	return all
}

// triggersOf is what starts the job beside a client.
func (d *daemon) triggersOf(j *job) *xpc.Dictionary {
	t := xpc.NewDictionary()
	if k := j.file.KeepAlive; k != nil {
		t.Set("keep alive", conditionsOf(k))
	}
	if s := j.file.StartInterval; s > 0 {
		t.SetInt64("start interval", int64(s/time.Second))
	}
	if next := j.file.NextStart(d.wall()); !next.IsZero() {
		t.SetString("next calendar start", next.Format(time.RFC3339))
	}
	if paths := j.file.WatchPaths; len(paths) > 0 {
		t.Set("watch paths", stringsOf(paths))
	}
	if paths := j.file.QueueDirectories; len(paths) > 0 {
		t.Set("queue directories", stringsOf(paths))
	}
	return t
}

func conditionsOf(k *registry.KeepAlive) *xpc.Dictionary {
	e := xpc.NewDictionary()
	if k.Always {
		e.SetBool("always", true)
	}
	if k.SuccessfulExit != nil {
		e.SetBool("successful exit", *k.SuccessfulExit)
	}
	if k.Crashed != nil {
		e.SetBool("crashed", *k.Crashed)
	}
	if len(k.PathState) > 0 {
		e.Set("path state", statesOf(k.PathState))
	}
	if len(k.OtherJobEnabled) > 0 {
		e.Set("other job enabled", statesOf(k.OtherJobEnabled))
	}
	return e
}

func statesOf(states map[string]bool) *xpc.Dictionary {
	e := xpc.NewDictionary()
	for _, what := range slices.Sorted(maps.Keys(states)) {
		e.SetBool(what, states[what])
	}
	return e
}

func environmentOf(j *job) *xpc.Dictionary {
	e := xpc.NewDictionary()
	for _, name := range slices.Sorted(maps.Keys(j.file.Environment)) {
		e.SetString(name, j.file.Environment[name])
	}
	return e
}

// lastStatus is that of the last process, if it was told.
func (j *job) lastStatus() any {
	if j.exited {
		return j.status
	}
	return "unknown"
}

func (j *job) lastExit() string {
	switch {
	case !j.exited && j.runs > 0 && j.proc == nil:
		return "(unknown)" // it was the child of another, as after a crash of the registry
	case !j.exited:
		return "(never exited)"
	case j.status < 0:
		return "signal " + strconv.Itoa(-j.status)
	}
	return strconv.Itoa(j.status)
}

// endpointsOf tells of each name whether the job has checked in and how many clients looked it up.
func (d *daemon) endpointsOf(c *client, j *job) *xpc.Dictionary {
	all := xpc.NewDictionary()
	for _, name := range j.file.MachServices {
		if d.hidden(c, name) {
			continue
		}
		info, _ := d.names.Get(name)
		e := xpc.NewDictionary()
		e.SetBool("active", info.Active)
		e.SetInt64("clients", int64(info.Lookers))
		if slices.Contains(j.file.ResetAtClose, name) {
			e.SetBool("reset", true)
		}
		if slices.Contains(j.file.HideUntilCheckIn, name) {
			e.SetBool("hide", true)
		}
		need := j.file.Requirements[name]
		if need.LookUp != nil {
			e.SetString("look-up requirement", need.LookUp.String())
		}
		if need.Own != nil {
			e.SetString("owner requirement", need.Own.String())
		}
		all.Set(name, e)
	}
	return all
}
