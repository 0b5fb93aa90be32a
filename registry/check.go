package registry

import (
	"fmt"
	"slices"
	"strings"

	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// MaxLabel is the longest label in bytes.
const MaxLabel = 255

// maxFindings is how many errors, and how many warnings, of one file are kept.
const maxFindings = 100

// checker collects what is wrong with a job's tree, and in job what it reads by
// itself: all that the decoder does not put into a document.
type checker struct {
	job      Job
	found    Findings
	count    [2]int // by severity
	subjects int    // users and groups named so far
}

func (c *checker) add(s Severity, pos position, key, format string, args ...any) {
	if c.count[s]++; c.count[s] > maxFindings {
		return
	}
	c.found = append(c.found, Finding{Line: pos.line, Column: pos.column, Severity: s, Key: key, Text: fmt.Sprintf(format, args...)})
}

// check holds the whole document against the rules. job has the fields that are
// read here; newJob adds the others.
func check(root *node) (found Findings, job Job) {
	c := &checker{}
	if root.kind != dictKind {
		c.add(Error, root.pos, "", "a job is a dictionary, not %s", root.kind.withArticle())
		return c.found, c.job
	}
	c.tree(root, "")
	top := map[string]*node{}
	for _, m := range root.members {
		c.key(m)
		top[m.key] = m.value
	}
	c.identity(root, top)
	c.together(top)
	c.found.sort()
	return c.found, c.job
}

// tree checks what holds in every container: no key twice, no NUL, no null.
func (c *checker) tree(n *node, path string) {
	seen := map[string]position{}
	for _, m := range n.members {
		name := join(path, m.key)
		if first, ok := seen[m.key]; ok {
			c.add(Error, m.pos, name, "duplicate key %q (first at line %d)", m.key, first.line)
		} else {
			seen[m.key] = m.pos
		}
		c.tree(m.value, name)
	}
	for _, item := range n.items {
		c.tree(item, path)
	}
	switch {
	case n.kind == nullKind:
		c.add(Error, n.pos, path, "null is no value of a property list: leave %q out", path)
	case strings.ContainsRune(n.text, 0):
		c.add(Error, n.pos, path, "%q contains a NUL character", path)
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// key checks one key at the root and its value.
func (c *checker) key(m member) {
	spec, known := keys[m.key]
	switch {
	case !known:
		c.unknown(m)
	case spec.kinds == nil:
		note := ""
		if spec.note != "" {
			note = ": " + spec.note
		}
		c.add(Warning, m.pos, m.key, "key %q is not acted on%s", m.key, note)
	case !slices.Contains(spec.kinds, m.value.kind):
		if m.value.kind != nullKind {
			c.wrongType(m, spec.kinds[0])
		}
	default:
		c.value(m)
	}
}

func (c *checker) unknown(m member) {
	if c.count[Error] >= maxFindings {
		return
	}
	if s := similar(m.key); s != "" {
		c.add(Error, m.pos, m.key, "unknown key %s: did you mean %q?", shorten(m.key), s)
		return
	}
	c.add(Error, m.pos, m.key, "unknown key %s: remove it", shorten(m.key))
}

func (c *checker) wrongType(m member, want kind) {
	c.add(Error, m.value.pos, m.key, "%q must be %s, not %s", m.key, want.withArticle(), m.value.kind.withArticle())
}

// value checks a value of the right type further.
func (c *checker) value(m member) {
	switch m.key {
	case "Label":
		c.label(m)
	case "ProgramArguments":
		c.arguments(m)
	case "MachServices":
		c.services(m)
	case "EnvironmentVariables":
		c.environment(m)
	case "ThrottleInterval":
		c.seconds(m, 0)
	case "Program", "WorkingDirectory", "StandardInPath", "StandardOutPath", "StandardErrorPath":
		if m.value.text == "" {
			c.add(Error, m.value.pos, m.key, "%q is empty: give a path or remove the key", m.key)
		}
	default:
		c.setting(m)
	}
}

func (c *checker) label(m member) {
	text := m.value.text
	switch {
	case text == "":
		c.add(Error, m.value.pos, m.key, "\"Label\" is empty: it must be the job's own, such as com.example.echo")
	case len(text) > MaxLabel:
		c.add(Error, m.value.pos, m.key, "\"Label\" has %d bytes, the limit is %d", len(text), MaxLabel)
	case strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != 0 || r == 0x7f || r == '/' }):
		c.add(Error, m.value.pos, m.key, "\"Label\" contains a slash or a control character")
	}
}

func (c *checker) arguments(m member) {
	if len(m.value.items) == 0 {
		c.add(Error, m.value.pos, m.key, "%q is empty: its first item is the program", m.key)
	}
	for i, item := range m.value.items {
		switch {
		case item.kind == nullKind:
		case item.kind != stringKind:
			c.add(Error, item.pos, m.key, "item %d of %q must be a string, not %s", i, m.key, item.kind.withArticle())
		case i == 0 && item.text == "":
			c.add(Error, item.pos, m.key, "item 0 of %q is empty: it is the program", m.key)
		}
	}
}

func (c *checker) services(m member) {
	for _, s := range m.value.members {
		if err := bootstrap.CheckName(s.key); err != nil {
			c.add(Error, s.pos, join(m.key, s.key), "%v", err)
		}
		switch s.value.kind {
		case boolKind, nullKind:
		case dictKind:
			c.serviceOptions(join(m.key, s.key), s)
		default:
			c.add(Error, s.value.pos, join(m.key, s.key), "service %s must be true or a dictionary, not %s", shorten(s.key), s.value.kind.withArticle())
		}
	}
}

func (c *checker) serviceOptions(path string, service member) {
	for _, o := range service.value.members {
		switch {
		case o.key == "LookUp":
			c.restrict(join(path, o.key), service.key, o.value)
		case o.key == "Requirement":
			c.require(join(path, o.key), service.key, o.value)
		case o.key != "ResetAtClose" && o.key != "HideUntilCheckIn":
			c.add(Error, o.pos, join(path, o.key), "unknown key %s of a service: there are LookUp, Requirement, and launchd's ResetAtClose and HideUntilCheckIn", shorten(o.key))
		case o.value.kind != boolKind && o.value.kind != nullKind:
			c.add(Error, o.value.pos, join(path, o.key), "%q must be a boolean, not %s", o.key, o.value.kind.withArticle())
		case o.value.text != "true":
		case o.key == "ResetAtClose":
			c.job.ResetAtClose = append(c.job.ResetAtClose, service.key)
		default:
			c.job.HideUntilCheckIn = append(c.job.HideUntilCheckIn, service.key)
		}
	}
}

// restrict takes down who may look a service up.
func (c *checker) restrict(path, service string, who *node) {
	if who.kind != dictKind {
		if who.kind != nullKind {
			c.add(Error, who.pos, path, "\"LookUp\" must be a dictionary of Users and Groups, not %s", who.kind.withArticle())
		}
		return
	}
	if c.job.LookUp == nil {
		c.job.LookUp = map[string]Access{}
	}
	c.job.LookUp[service] = c.access(path, who)
}

// ownVariables are the registry's to set.
var ownVariables = []string{bootstrap.EnvRegistry, bootstrap.EnvBootstrapFD, bootstrap.EnvBootstrapReturn, bootstrap.EnvListener, bootstrap.EnvTransactions, bootstrap.EnvTally}

func (c *checker) environment(m member) {
	for _, v := range m.value.members {
		name := join(m.key, v.key)
		switch {
		case v.key == "" || strings.ContainsAny(v.key, "=\x00"):
			c.add(Error, v.pos, name, "%s is no name of an environment variable", shorten(v.key))
		case slices.Contains(ownVariables, v.key):
			c.add(Error, v.pos, name, "%q is set by the registry: remove it", v.key)
		case v.value.kind != stringKind && v.value.kind != nullKind:
			c.add(Warning, v.value.pos, name, "environment variable %q is ignored: it must be a string, not %s", v.key, v.value.kind.withArticle())
		}
	}
}

// identity checks what only the whole tells: a job needs a label and a program.
func (c *checker) identity(root *node, top map[string]*node) {
	if top["Label"] == nil {
		c.add(Error, root.pos, "Label", "\"Label\" is missing: every job needs a name of its own")
	}
	if top["Program"] == nil && top["ProgramArguments"] == nil {
		c.add(Error, root.pos, "Program", "neither \"Program\" nor \"ProgramArguments\" is there: one of them must name the program")
	}
}

// together checks keys that mean something only beside others.
func (c *checker) together(top map[string]*node) {
	if n := top["SoftResourceLimits"]; n != nil {
		c.limitOrder(n)
	}
	if n := top["inetdCompatibility"]; n != nil && c.job.Inetd != nil {
		c.inetdSocket(n)
	}
	if k := c.job.KeepAlive; k != nil && k.Always && c.job.EnablePressuredExit {
		c.job.EnablePressuredExit = false
		c.add(Warning, top["EnablePressuredExit"].pos, "EnablePressuredExit", "\"EnablePressuredExit\" has no effect beside \"KeepAlive\": what always runs is not ended; remove one of them")
	}
	if n := top["OnDemand"]; n != nil && n.kind == boolKind && n.text == "false" && c.job.KeepAlive == nil {
		c.job.KeepAlive = &KeepAlive{Always: true}
	}
}
