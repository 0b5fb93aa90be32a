package registry

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// ErrNoService is LoadService's error when the folder has no service of that name.
var ErrNoService = errors.New("no such service")

// serviceThrottle is the ThrottleInterval of a program's own service: the one
// client that there is waits for it.
const serviceThrottle = time.Second

// LoadService reads the service name from the folder of a program's own services
// (R51, R227), for a registry that runs as the user uid. It is looked for in
//
//	NAME.xpc/Contents/Info.plist    the program is in NAME.xpc/Contents/MacOS
//	NAME.xpc/Info.plist             the program is beside it, and so below
//	NAME.plist, NAME.json
//
// and must be as trustworthy as LoadTrusted wants it. The job that it answers with
// has the name for a label and for its one service, and ends by its transactions.
// Errors: ErrNoService, ErrUntrusted, *JobError, those of the file system.
func LoadService(folder, name string, uid int) (*Job, error) {
	if err := bootstrap.CheckName(name); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoService, err)
	}
	for _, place := range []struct{ file, programs string }{
		{name + ".xpc/Contents/Info.plist", "MacOS"}, {name + ".xpc/Info.plist", "."},
		{name + ".plist", "."}, {name + ".json", "."},
	} {
		path := filepath.Join(folder, place.file)
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		data, err := readTrusted(path, uid)
		if err != nil {
			return nil, err
		}
		return ParseService(path, data, name, place.programs)
	}
	return nil, fmt.Errorf("%w: %s has no %q", ErrNoService, folder, name)
}

// ParseService parses data, the content of the file path, as that of the service
// name; a relative CFBundleExecutable is relative to programs, and that to the
// file's folder. The error is a *JobError.
func ParseService(path string, data []byte, name, programs string) (*Job, error) {
	root, decode, err := read(data)
	if err != nil {
		return nil, &JobError{path, Findings{asFinding(err)}}
	}
	c := &checker{}
	c.service(root, name)
	c.found.sort()
	if len(c.found.Errors()) > 0 {
		return nil, &JobError{path, c.found}
	}
	var doc serviceDocument
	if err := decode(data, &doc); err != nil {
		return nil, &JobError{path, append(c.found, asFinding(err))}
	}
	doc.Label = name
	doc.MachServices = map[string]any{name: true}
	doc.Program = cmp.Or(doc.Program, filepath.Join(programs, doc.CFBundleExecutable))
	if doc.EnvironmentVariables == nil {
		doc.EnvironmentVariables = map[string]any{}
	}
	for k, v := range doc.XPCService.EnvironmentVariables {
		doc.EnvironmentVariables[k] = v
	}
	job := &c.job
	if err := job.complete(path, &doc.document); err != nil {
		return nil, &JobError{path, append(c.found, asFinding(err))}
	}
	job.EnableTransactions, job.EnablePressuredExit = true, true // R183
	if doc.ThrottleInterval == nil {
		job.ThrottleInterval = serviceThrottle
	}
	job.Warnings = c.found.Warnings()
	return job, nil
}

type serviceDocument struct {
	document
	CFBundleExecutable string
	XPCService         struct{ EnvironmentVariables map[string]any }
}

// serviceKeys are those of a job file that a service may have too: what its
// process is. When it starts and ends is not its own choice.
var serviceKeys = []string{
	"Program", "ProgramArguments", "EnvironmentVariables", "WorkingDirectory", "StandardInPath", "StandardOutPath",
	"StandardErrorPath", "ThrottleInterval", "ExitTimeOut", "Umask", "Nice", "SoftResourceLimits", "HardResourceLimits",
	"ProcessType", "LowPriorityIO", "WaitForDebugger", "Debug", "SessionCreate",
}

// bundlePrefixes begin the keys that an Info.plist has for others.
var bundlePrefixes = []string{"CF", "NS", "LS", "DT", "UI", "MD", "BuildMachine"}

// service holds the document of a program's own service against the rules.
func (c *checker) service(root *node, name string) {
	if root.kind != dictKind {
		c.add(Error, root.pos, "", "a service is a dictionary, not %s", root.kind.withArticle())
		return
	}
	c.tree(root, "")
	top := map[string]*node{}
	for _, m := range root.members {
		top[m.key] = m.value
		switch {
		case m.key == "CFBundleIdentifier" || m.key == "CFBundlePackageType" || m.key == "CFBundleExecutable":
			c.bundleText(m, name)
		case m.key == "XPCService":
			c.xpcService(m)
		case slices.Contains(serviceKeys, m.key):
			c.key(m)
		case slices.ContainsFunc(bundlePrefixes, func(p string) bool { return strings.HasPrefix(m.key, p) }):
		case keys[m.key].kinds != nil || keys[m.key].note != "":
			c.add(Error, m.pos, m.key, "key %q is for job files: a program's own service is started by its one client, and ends with it; remove it", m.key)
		default:
			c.unknown(m)
		}
	}
	if top["CFBundleIdentifier"] == nil {
		c.add(Error, root.pos, "CFBundleIdentifier", "\"CFBundleIdentifier\" is missing: it is the service's name, %s", shorten(name))
	}
	if top["CFBundleExecutable"] == nil && top["Program"] == nil {
		c.add(Error, root.pos, "CFBundleExecutable", "\"CFBundleExecutable\" is missing: it names the program")
	}
	c.together(top)
}

func (c *checker) bundleText(m member, name string) {
	if !c.is(m.key, m, stringKind) {
		return
	}
	switch text := m.value.text; {
	case m.key == "CFBundleIdentifier" && text != name:
		c.add(Error, m.value.pos, m.key, "%q is %s, and the file is that of %s", m.key, shorten(text), shorten(name))
	case m.key == "CFBundlePackageType" && text != "XPC!":
		c.add(Error, m.value.pos, m.key, "%q is %s: a service has XPC!", m.key, shorten(text))
	case text == "":
		c.add(Error, m.value.pos, m.key, "%q is empty: name the program", m.key)
	}
}

// xpcService reads the dictionary of that name (R227).
func (c *checker) xpcService(m member) {
	if !c.is(m.key, m, dictKind) {
		return
	}
	for _, o := range m.value.members {
		path := join(m.key, o.key)
		switch o.key {
		case "ServiceType":
			if c.is(path, o, stringKind) && o.value.text != "Application" {
				c.add(Error, o.value.pos, path, "\"ServiceType\" %s is not served: an instance for each client program is Application; for one that many share write a job file", shorten(o.value.text))
			}
		case "RunLoopType":
			if c.is(path, o, stringKind) && o.value.text != "dispatch_main" && o.value.text != "NSRunLoop" && o.value.text != "_UIApplicationMain" {
				c.add(Error, o.value.pos, path, "\"RunLoopType\" is dispatch_main or NSRunLoop, not %s; here both are the same", shorten(o.value.text))
			}
		case "JoinExistingSession":
			if c.is(path, o, boolKind) && o.value.text == "true" {
				c.add(Warning, o.pos, path, "key %q is not acted on: every service has a session of its own, in the sense of setsid(2)", o.key)
			}
		case "EnvironmentVariables":
			if c.is(path, o, dictKind) {
				c.environment(o)
			}
		default:
			if strings.HasPrefix(o.key, "_") {
				c.add(Warning, o.pos, path, "key %q is not acted on: it is Apple's own", o.key)
				continue
			}
			c.add(Error, o.pos, path, "unknown key %s of \"XPCService\": it knows ServiceType, RunLoopType, JoinExistingSession and EnvironmentVariables", shorten(o.key))
		}
	}
}
