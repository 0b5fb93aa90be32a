package daemon

import (
	"fmt"
	"path/filepath"

	"github.com/openxpc/openxpc/registry"
	"github.com/openxpc/openxpc/registry/internal/namespace"
	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

func (d *daemon) notAllowed(c *client, op operation, what string) error {
	if c.job != nil {
		return &namespace.Error{Code: bootstrap.NotPrivileged,
			Reason: fmt.Sprintf("a job's own socket cannot %s jobs: connect to the registry's", what)}
	}
	if d.policy().allows(subjectOf(c), op, nil) {
		return nil
	}
	return &namespace.Error{Code: bootstrap.NotPrivileged,
		Reason: fmt.Sprintf("user %d may not %s jobs here: only user %d and root may", c.conn.EUID(), what, d.uid)}
}

// loadRequest loads a job from a file or from the request itself.
func (d *daemon) loadRequest(r *call) error {
	if err := d.notAllowed(r.from, loadJob, "load"); err != nil {
		return err
	}
	file, err := d.requestedJob(r.m)
	if err != nil {
		return err
	}
	if err := d.enabled(file); err != nil {
		return err
	}
	if err := d.load(file); err != nil {
		return err
	}
	r.out.SetString(bootstrap.KeyLabel, file.Label)
	if found := file.WarningsFor(d.uid); len(found) > 0 {
		warnings := xpc.NewArray()
		for _, w := range found {
			warnings.AppendString(fmt.Sprintf("%s:%v", origin(file), w))
		}
		r.out.Set(bootstrap.KeyWarnings, warnings)
	}
	return nil
}

func (d *daemon) requestedJob(m *xpc.Dictionary) (*registry.Job, error) {
	path := m.GetString(bootstrap.KeyPath)
	if path != "" && !filepath.IsAbs(path) {
		return nil, badRequest("the job file's path %q is not absolute", path)
	}
	if document, ok := m.Get(bootstrap.KeyDocument).(*xpc.Data); ok {
		return registry.ParseJob(path, document.Bytes())
	}
	if path == "" {
		return nil, badRequest("a load needs %q or %q", bootstrap.KeyPath, bootstrap.KeyDocument)
	}
	file, err := registry.LoadTrusted(path, d.uid)
	if err != nil {
		return nil, asBadJob(err)
	}
	return file, nil
}

// asBadJob makes a file that cannot be read what it is to the caller: a bad job file.
func asBadJob(err error) error {
	return &namespace.Error{Code: bootstrap.BadJob, Reason: err.Error()}
}

// unloadRequest answers when the job's process has ended.
func (d *daemon) unloadRequest(r *call) error {
	if err := d.notAllowed(r.from, unloadJob, "unload"); err != nil {
		return err
	}
	label := r.m.GetString(bootstrap.KeyLabel)
	j := d.jobs[label]
	if j == nil {
		return noJob("label", label)
	}
	j.removed = append(j.removed, r.send)
	d.unload(j, fmt.Sprintf("by pid %d", r.from.conn.PID()))
	return errLater
}

func noJob(kind, value string) error {
	return &namespace.Error{Code: bootstrap.UnknownService, Reason: fmt.Sprintf("no loaded job has the %s %q", kind, value)}
}
