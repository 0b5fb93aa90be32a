package daemon

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/openxpc/openxpc/registry"
	"github.com/openxpc/openxpc/registry/internal/namespace"
)

// ownService is the full name of a service of the client's own program, from the
// folder beside that. It is loaded for this client alone, and unloaded when the
// client goes (R51, R227). Only who could load a job anyway, by being the
// registry's user, has such services.
func (d *daemon) ownService(c *client, folder, name string) (string, error) {
	if c.job != nil || c.conn.EUID() != d.uid || !filepath.IsAbs(folder) {
		return "", namespace.Unknown(name)
	}
	full := d.domainOf(c) + name
	if j := d.jobs[full]; j != nil {
		if j.client == nil { // an earlier daemon launched it for the same process
			j.client = c
			c.own = append(c.own, j)
		}
		return full, nil
	}
	file, err := registry.LoadService(folder, name, d.uid)
	if errors.Is(err, registry.ErrNoService) {
		return "", namespace.Unknown(name)
	}
	if err != nil {
		return "", asBadJob(err)
	}
	file.Label, file.MachServices = full, []string{full}
	if err := d.load(file); err != nil {
		return "", err
	}
	j := d.jobs[full]
	j.client = c
	c.own = append(c.own, j)
	return full, nil
}

// domainOf is where the names of the client's own services are: at its process,
// or at its connection if another connection of the process has that.
func (d *daemon) domainOf(c *client) string {
	if c.domain != "" {
		return c.domain
	}
	c.domain = namespace.Domain(c.conn.PID(), 0)
	for _, other := range d.clients {
		if other != c && other.domain == c.domain {
			c.domain = namespace.Domain(c.conn.PID(), c.id)
			break
		}
	}
	return c.domain
}

// endOwn unloads what was loaded for the client.
func (d *daemon) endOwn(c *client) {
	for _, j := range c.own {
		if d.jobs[j.file.Label] == j {
			d.unload(j, fmt.Sprintf("its program, pid %d, has ended", c.conn.PID()))
		}
	}
	c.own = nil
}

// isOwn says of a job that it is a program's own service.
func (j *job) isOwn() bool { return namespace.Public(j.file.Label) != j.file.Label }
