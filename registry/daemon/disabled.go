package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/openxpc/openxpc/registry"
	"github.com/openxpc/openxpc/registry/internal/namespace"
	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// MaxDisabled is how many labels the registry keeps what OpEnable and OpDisable said of.
const MaxDisabled = 10000

const maxLabel = 255

// disabledFile is the file's name in the state folder. It is JSON, an object of
// booleans by label.
const disabledFile = "disabled.json"

// overrides is which jobs somebody has enabled or disabled, whatever their files
// say. It is kept outside the job files, which may be a package's.
type overrides struct {
	path   string // of the file; "" for none
	byUser map[string]bool
	broken error // why the file could not be read: it is left as it is then
}

func readOverrides(dir string) *overrides {
	o := &overrides{byUser: map[string]bool{}}
	if dir == "" {
		return o
	}
	o.path = filepath.Join(dir, disabledFile)
	text, err := os.ReadFile(o.path)
	if errors.Is(err, fs.ErrNotExist) {
		return o
	}
	if err == nil {
		err = json.Unmarshal(text, &o.byUser)
	}
	if err == nil && o.byUser == nil {
		err = errors.New("it has no JSON object")
	}
	if err != nil {
		o.byUser = map[string]bool{}
		o.broken = fmt.Errorf("which jobs are disabled cannot be read from %s: mend the file or remove it, and start xpcd again (%v)", o.path, err)
	}
	return o
}

// disabled says whether the job may not be loaded, and why.
func (o *overrides) disabled(file *registry.Job) (why string, yes bool) {
	off, said := o.byUser[file.Label]
	switch {
	case said && off:
		return "somebody has disabled it", true
	case !said && file.Disabled:
		return "its file says Disabled", true
	}
	return "", false
}

// set is complete on the disk when it returns, or has changed nothing.
func (o *overrides) set(label string, off bool) error {
	if o.broken != nil {
		return o.broken
	}
	next := maps.Clone(o.byUser)
	next[label] = off
	if len(next) > MaxDisabled {
		return &namespace.Error{Code: overQuota, Reason: fmt.Sprintf("%d labels are enabled or disabled, the limit", MaxDisabled)}
	}
	if o.path != "" {
		if err := replace(o.path, next); err != nil {
			return fmt.Errorf("cannot keep which jobs are disabled: %w", err)
		}
	}
	o.byUser = next
	return nil
}

// replace writes a new file and puts it in the old one's place.
func replace(path string, what map[string]bool) error {
	text, err := json.MarshalIndent(what, "", "\t")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), disabledFile+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // is not there any more if all goes well
	_, err = f.Write(append(text, '\n'))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// enabled refuses a job that is disabled.
func (d *daemon) enabled(file *registry.Job) error {
	if why, yes := d.overrides.disabled(file); yes {
		return &namespace.Error{Code: bootstrap.Disabled, Reason: fmt.Sprintf("job %q is disabled (%s): xpcctl enable %s", file.Label, why, file.Label)}
	}
	return nil
}

func (d *daemon) enable(r *call) error  { return d.setDisabled(r, false) }
func (d *daemon) disable(r *call) error { return d.setDisabled(r, true) }

func (d *daemon) setDisabled(r *call, off bool) error {
	if err := d.notAllowed(r.from, controlJob, "enable or disable"); err != nil {
		return err
	}
	label := r.m.GetString(bootstrap.KeyLabel)
	if label == "" || len(label) > maxLabel {
		return badRequest("%q is to be a label of 1 to %d bytes", bootstrap.KeyLabel, maxLabel)
	}
	if err := d.overrides.set(label, off); err != nil {
		return err
	}
	d.log.Info("enabled or disabled", "job", label, "disabled", off, "by", r.from.conn.PID())
	if d.overrides.path == "" {
		warnings := xpc.NewArray()
		warnings.AppendString("forgotten when the registry ends: it has no state folder (xpcd --state-dir)")
		r.out.Set(bootstrap.KeyWarnings, warnings)
	}
	return nil
}

func (d *daemon) printDisabled(r *call) error {
	all := xpc.NewDictionary()
	for _, label := range slices.Sorted(maps.Keys(d.overrides.byUser)) {
		all.SetBool(label, d.overrides.byUser[label])
	}
	r.out.Set(bootstrap.KeyDisabled, all)
	return nil
}
