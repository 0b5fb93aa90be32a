package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

const targetHelp = `

TARGET is a label, or one of the names that a job declares, looked for in the
nearest registry and then in the system's; or, as launchctl has it, system/LABEL,
user/UID/LABEL, gui/UID/LABEL (the same here), pid/PID for the job that runs as
that process, or pid/PID/NAME for the service that it has of its own.`

// target is what a command is about: a domain, a job in one, or a job in
// whichever domain has it.
type target struct {
	text   string
	domain string // "system", "user", "pid", or "" for a bare name
	id     int    // of the user or the process
	name   string // label or name of a service; "" for the domain itself
}

// parseTarget reads what stands on the command line as TARGET or DOMAIN.
func parseTarget(c *cobra.Command, text string) (target, error) {
	head, rest, slash := strings.Cut(text, "/")
	switch {
	case head == "system":
		return target{text: text, domain: "system", name: rest}, nil
	case head == "user" || head == "gui" || head == "pid":
		number, name, _ := strings.Cut(rest, "/")
		if head == "pid" {
			number, _, _ = strings.Cut(number, ".") // behind the point is one of the process's connections
		}
		id, err := strconv.ParseUint(number, 10, 31)
		if err != nil {
			return target{}, usageOf(c, fmt.Sprintf("target %q: %s/ wants a number", text, head))
		}
		if head == "gui" {
			head = "user"
		}
		return target{text, head, int(id), name}, nil
	case slash:
		return target{}, usageOf(c, fmt.Sprintf("target %q: the domains are system/, user/UID/, gui/UID/ and pid/PID/", text))
	}
	return target{text: text, name: text}, nil
}

// isDomain says whether it is a domain and nothing in it.
func (g target) isDomain() bool { return g.domain != "" && g.name == "" }

// parseDomain takes a domain only; "" is the nearest registry's.
func parseDomain(c *cobra.Command, text string) (target, error) {
	if text == "" {
		return target{}, nil
	}
	g, err := parseTarget(c, text)
	if err == nil && (!g.isDomain() || g.domain == "pid") {
		err = usageOf(c, fmt.Sprintf("%q is no domain: system, user/UID or gui/UID", text))
	}
	return g, err
}

// registries are the sockets where the target can be, the nearest first.
func (g target) registries() []string {
	given := os.Getenv(bootstrap.EnvRegistry) != ""
	switch own := bootstrap.Paths(); {
	case given || g.domain == "" || g.domain == "pid":
		return own
	case g.domain == "system":
		return []string{bootstrap.SystemPath()}
	case g.id == os.Geteuid():
		return own[:1]
	}
	uid := strconv.Itoa(g.id)
	path := filepath.Join("/run/user", uid, "xpc", bootstrap.SocketName)
	if _, err := os.Stat(path); err != nil {
		path = filepath.Join("/tmp/xpc-"+uid, bootstrap.SocketName)
	}
	return []string{path}
}

// each asks one registry after the other until one gives an answer that is neither
// "unknown" nor silence. The connection is the caller's to hang up; it is nil after an error.
func (g target) each(ctx context.Context, ask func(*xpc.Connection) error) (*xpc.Connection, error) {
	var last error
	for _, path := range g.registries() {
		conn, err := g.at(ctx, path, ask)
		if err == nil {
			return conn, nil
		}
		var no *registryError
		silent := errors.Is(err, xpc.ErrNoRegistry)
		if !silent && !(errors.As(err, &no) && no.code == bootstrap.UnknownService) {
			return nil, err
		}
		if last == nil || !silent {
			last = err
		}
	}
	return nil, last
}

// at asks the registry at one path.
func (g target) at(ctx context.Context, path string, ask func(*xpc.Connection) error) (*xpc.Connection, error) {
	before := os.Getenv(bootstrap.EnvRegistry)
	if err := os.Setenv(bootstrap.EnvRegistry, path); err != nil {
		return nil, err
	}
	conn := dial(bootstrap.RegistryName)
	err := g.check(ctx, conn)
	if err == nil {
		err = ask(conn)
	}
	if err == nil {
		return conn, nil
	}
	hangUp(conn)
	if errors.Is(err, xpc.ErrNoRegistry) && g.domain != "" && before == "" {
		return nil, fmt.Errorf("%s: %w", g.text, err) // with the path that was meant in the environment
	}
	os.Setenv(bootstrap.EnvRegistry, before)
	return nil, err
}

// check refuses a registry that was given and is another domain's.
func (g target) check(ctx context.Context, conn *xpc.Connection) error {
	if g.domain == "" || g.domain == "pid" {
		return nil
	}
	status, err := askOn(ctx, conn, request(bootstrap.OpStatus))
	if err != nil {
		return err
	}
	if is := domainOf(status); is != g.domain+"/"+strconv.Itoa(g.id) && is != g.domain {
		return &registryError{bootstrap.UnknownService, fmt.Sprintf("%q is not here: the registry at %s is the domain %s", g.text, status.GetString(bootstrap.KeyPath), is)}
	}
	return nil
}

// domainOf is a registry's domain as a target names it. A private registry is of the
// user's domain.
func domainOf(status *xpc.Dictionary) string {
	if status.GetString(bootstrap.KeyPath) == bootstrap.SystemPath() {
		return "system"
	}
	return "user/" + strconv.FormatInt(status.GetInt64(bootstrap.KeyUID), 10)
}

// locate finds a loaded job. The connection, to the registry that has it, is the
// caller's to hang up; it is nil after an error.
func locate(ctx context.Context, c *cobra.Command, text string) (conn *xpc.Connection, job *xpc.Dictionary, err error) {
	g, err := parseTarget(c, text)
	if err != nil {
		return nil, nil, err
	}
	if g.isDomain() && g.domain != "pid" {
		return nil, nil, usageOf(c, fmt.Sprintf("target %q is a domain: %s/LABEL is a job in it", text, strings.TrimSuffix(text, "/")))
	}
	conn, err = g.each(ctx, func(conn *xpc.Connection) (err error) {
		job, err = g.describe(ctx, conn)
		return err
	})
	return conn, job, err
}

// describe looks for a label first, then for a name; for pid/ by the process.
func (g target) describe(ctx context.Context, conn *xpc.Connection) (*xpc.Dictionary, error) {
	label := g.name
	if g.domain == "pid" {
		var err error
		if label, err = g.inProcess(ctx, conn); err != nil {
			return nil, err
		}
	}
	reply, err := askOn(ctx, conn, request(bootstrap.OpPrint, bootstrap.KeyLabel, label))
	var no *registryError
	if errors.As(err, &no) && no.code == bootstrap.UnknownService {
		reply, err = askOn(ctx, conn, request(bootstrap.OpPrint, bootstrap.KeyName, label))
	}
	if errors.As(err, &no) && no.code == bootstrap.UnknownService {
		no.reason = fmt.Sprintf("no job has the label or the name %q; xpcctl list shows what is loaded", g.text)
		if g.domain != "" {
			no.reason = fmt.Sprintf("%q: no job there has this label or name; xpcctl list shows what is loaded", g.text)
		}
	}
	if err != nil {
		return nil, err
	}
	job := reply.GetDictionary(bootstrap.KeyJob)
	if job == nil {
		return nil, errors.New("the registry's answer lacks the job")
	}
	return job, nil
}

// inProcess is the label of the service that the process has of its own, or of the
// job whose process it is.
func (g target) inProcess(ctx context.Context, conn *xpc.Connection) (string, error) {
	reply, err := askOn(ctx, conn, request(bootstrap.OpList))
	if err != nil {
		return "", err
	}
	found, hint := "", ""
	for job := range dictionaries(reply.GetArray(bootstrap.KeyJobs)) {
		label := job.GetString(bootstrap.KeyLabel)
		switch {
		case label == g.text:
			return label, nil
		case job.GetInt64(bootstrap.KeyPID) == int64(g.id) && (g.name == "" || g.name == label):
			found = label
		case g.name == "" && strings.HasPrefix(label, fmt.Sprintf("pid/%d/", g.id)):
			hint += "; a service of its own is " + label
		}
	}
	if found == "" {
		return "", &registryError{bootstrap.UnknownService, fmt.Sprintf("%q: no such job has the process %d%s", g.text, g.id, hint)}
	}
	return found, nil
}

// onJob runs a request about one loaded job; add gives it more keys, and may be nil.
func (t *tool) onJob(c *cobra.Command, text, op string, add func(*xpc.Dictionary)) (label string, reply *xpc.Dictionary, err error) {
	ctx, cancel := t.deadline(c.Context())
	defer cancel()
	conn, job, err := locate(ctx, c, text)
	if err != nil {
		return "", nil, err
	}
	defer hangUp(conn)
	label = job.GetString(bootstrap.KeyLabel)
	m := request(op, bootstrap.KeyLabel, label)
	if add != nil {
		add(m)
	}
	reply, err = askOn(ctx, conn, m)
	return label, reply, err
}

// inDomain asks a domain's registry, the nearest for "".
func (t *tool) inDomain(c *cobra.Command, g target, m *xpc.Dictionary) (reply *xpc.Dictionary, err error) {
	ctx, cancel := t.deadline(c.Context())
	defer cancel()
	conn, err := g.each(ctx, func(conn *xpc.Connection) (err error) {
		reply, err = askOn(ctx, conn, m)
		return err
	})
	if err == nil {
		hangUp(conn)
	}
	return reply, err
}
