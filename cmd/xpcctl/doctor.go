package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/registry"
	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// enoughDescriptors is what a registry and its clients get by with: each
// connection and each name in use takes one or two.
const enoughDescriptors = 1024

// How it is with something.
const (
	fine   = "ok"
	warned = "warn"
	failed = "fail"
)

// diagnosis is one thing that was looked at, and the command that mends it.
type diagnosis struct{ status, about, text, remedy string }

func (t *tool) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Say what is wrong on this machine, and what mends it",
		Long: `doctor looks at the registries, their folders, the limits and the kernel, and at
the files of the loaded jobs. Each line is ok, warn or fail, what was looked at,
what was found and, after an arrow, the command that mends it. The exit code is 1
if a line says fail.`,
		Example: "  xpcctl doctor\n  xpcctl doctor --json",
		Args:    exactly(0),
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, cancel := t.deadline(c.Context())
			defer cancel()
			found := examine(ctx)
			if err := t.printDiagnoses(found); err != nil {
				return err
			}
			bad := 0
			for _, d := range found {
				if d.status == failed {
					bad++
				}
			}
			if bad > 0 {
				return fmt.Errorf("%d of %d checks failed", bad, len(found))
			}
			return nil
		},
	}
}

func (t *tool) printDiagnoses(found []diagnosis) error {
	list := xpc.NewArray()
	for _, d := range found {
		if !t.json {
			line := fmt.Sprintf("%-5s %-18s %s", d.status, oneLine(d.about), oneLine(d.text))
			if d.remedy != "" {
				line += "  -> " + oneLine(d.remedy)
			}
			if _, err := fmt.Fprintln(t.out, line); err != nil {
				return err
			}
			continue
		}
		one := xpc.NewDictionary()
		one.SetString("status", d.status)
		one.SetString("about", d.about)
		one.SetString("text", d.text)
		one.SetString("remedy", d.remedy)
		list.Append(one)
	}
	if !t.json {
		return nil
	}
	out := versioned()
	out.SetArray("checks", list)
	return t.printJSON(out)
}

// examine looks at everything. It changes nothing.
func examine(ctx context.Context) []diagnosis {
	var found []diagnosis
	for i, path := range bootstrap.Paths() {
		found = append(found, folderCheck(path)...)
		found = append(found, registryCheck(ctx, path, i == 0)...)
	}
	found = append(found, runtimeCheck()...)
	found = append(found, descriptorCheck())
	return append(found, systemChecks()...)
}

// folderCheck is about the socket's folder: others must not be able to put
// something else there. xpcd makes a folder that is missing.
func folderCheck(path string) []diagnosis {
	dir := filepath.Dir(path)
	bad := func(text, remedy string) []diagnosis {
		return []diagnosis{{failed, "folder " + dir, text, remedy}}
	}
	info, err := os.Lstat(dir)
	switch {
	case err != nil:
		return nil
	case !info.IsDir():
		return bad("it is no folder", "rm "+dir)
	}
	owner := -1
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		owner = int(st.Uid)
	}
	if owner != 0 && owner != os.Geteuid() {
		return bad(fmt.Sprintf("it belongs to user %d", owner), "rmdir "+dir+" and start xpcd again")
	}
	if mode := info.Mode(); mode.Perm()&0o022 != 0 && mode&fs.ModeSticky == 0 {
		return bad(fmt.Sprintf("others can write to it (mode %04o)", mode.Perm()), "chmod go-w "+dir)
	}
	return []diagnosis{{fine, "folder", fmt.Sprintf("%s (mode %04o, user %d)", dir, info.Mode().Perm(), owner), ""}}
}

// registryCheck asks the registry at a path, and then about its jobs. needed says
// that without it there is nothing to work with.
func registryCheck(ctx context.Context, path string, needed bool) []diagnosis {
	kind := "registry"
	if path == bootstrap.SystemPath() {
		kind = "system's registry"
	}
	var status, list *xpc.Dictionary
	before := os.Getenv(bootstrap.EnvRegistry)
	conn, err := target{}.at(ctx, path, func(conn *xpc.Connection) (err error) {
		if status, err = askOn(ctx, conn, request(bootstrap.OpStatus)); err != nil {
			return err
		}
		list, err = askOn(ctx, conn, request(bootstrap.OpList))
		return err
	})
	if err != nil {
		bad := diagnosis{warned, kind, "none answers at " + path, startCommand(path)}
		if needed {
			bad.status = failed
		}
		if _, err := os.Lstat(path); err == nil {
			bad.text += ", where a socket is"
		}
		return []diagnosis{bad}
	}
	os.Setenv(bootstrap.EnvRegistry, before)
	defer hangUp(conn)
	found := []diagnosis{{fine, kind, fmt.Sprintf("%s (xpcd %s, pid %d, user %d, %d jobs)", path, status.GetString(bootstrap.KeyVersion),
		status.GetInt64(bootstrap.KeyPID), status.GetInt64(bootstrap.KeyUID), status.GetInt64(bootstrap.KeyJobCount)), ""}}
	for job := range dictionaries(list.GetArray(bootstrap.KeyJobs)) {
		reply, err := askOn(ctx, conn, request(bootstrap.OpPrint, bootstrap.KeyLabel, job.GetString(bootstrap.KeyLabel)))
		if err == nil { // else it was unloaded meanwhile
			found = append(found, jobCheck(reply.GetDictionary(bootstrap.KeyJob))...)
		}
	}
	return found
}

// startCommand starts the registry of a path, or has the system do so.
func startCommand(path string) string {
	switch system := path == bootstrap.SystemPath(); {
	case os.Getenv(bootstrap.EnvRegistry) != "" && !system:
		return "xpcd --socket " + path + " & or: unset " + bootstrap.EnvRegistry
	case hasSystemd() && system:
		return "sudo systemctl enable --now xpcd.socket"
	case hasSystemd():
		return "systemctl --user enable --now xpcd.socket"
	case system && os.Geteuid() != 0:
		return "sudo xpcd &"
	}
	return "xpcd &"
}

// jobCheck tells what keeps a loaded job from running, and what its file says in vain.
func jobCheck(job *xpc.Dictionary) []diagnosis {
	var found []diagnosis
	label, path := job.GetString("label"), job.GetString("path")
	if why := job.GetString("last failure"); why != "" {
		found = append(found, diagnosis{failed, "job " + label, why, ""})
	}
	if path == "" {
		return found
	}
	findings, err := inspect(path)
	if err != nil {
		return append(found, diagnosis{warned, "job " + label, "its file cannot be read now: " + err.Error(), ""})
	}
	for _, f := range findings {
		d := diagnosis{warned, "job " + label, path + ":" + f.String(), ""}
		if f.Severity == registry.Error {
			d.status = failed
		}
		found = append(found, d)
	}
	return found
}

// runtimeCheck is about where the user's registry is.
func runtimeCheck() []diagnosis {
	if os.Geteuid() == 0 || os.Getenv(bootstrap.EnvRegistry) != "" {
		return nil
	}
	dir := os.Getenv("XDG_RUNTIME_DIR")
	if !filepath.IsAbs(dir) {
		return []diagnosis{{warned, "XDG_RUNTIME_DIR", "is not set: the registry is in " + filepath.Dir(bootstrap.Paths()[0]), ""}}
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return []diagnosis{{failed, "XDG_RUNTIME_DIR", dir + " is no folder: xpcd cannot start", "unset XDG_RUNTIME_DIR"}}
	}
	return []diagnosis{{fine, "XDG_RUNTIME_DIR", dir, ""}}
}

func descriptorCheck() diagnosis {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return diagnosis{warned, "descriptors", err.Error(), ""}
	}
	text := fmt.Sprintf("%d per process, at most %d", limit.Cur, limit.Max)
	if uint64(limit.Cur) < enoughDescriptors {
		return diagnosis{warned, "descriptors", text, fmt.Sprintf("ulimit -n %d", min(uint64(limit.Max), 4*enoughDescriptors))}
	}
	return diagnosis{fine, "descriptors", text, ""}
}
