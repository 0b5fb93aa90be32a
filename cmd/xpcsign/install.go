package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/openxpc/openxpc/credentials/codesign"
	"github.com/openxpc/openxpc/credentials/identity"
)

func (t *tool) installCommand() *cobra.Command {
	var signature string
	c := &cobra.Command{
		Use:   "install [flags] PROGRAM [DESTINATION]",
		Short: "Install a signed program: signature, marker group, modes",
		Long: `install verifies PROGRAM, copies it to DESTINATION (a file or a folder), puts its
signature into the system's store, and gives it the group that marks it: the kernel
grants this group to whoever executes the file, and takes it from traced and preloaded
processes, so that services can rely on it. The group is made if it is not there.

The signature is that in --signature, else in PROGRAM.xsig, else in the stores. Without
DESTINATION the program stays where it is, and must be root's already.`,
		Example: `  sudo xpcsign install --signature tool.xsig ./tool /usr/local/bin/tool`,
		Args:    between(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			if t.ofUser() {
				return errors.New("only root installs: sudo xpcsign install, or --root for a package")
			}
			return t.install(args[0], append(args, args[0])[1], signature)
		},
	}
	c.Flags().StringVar(&signature, "signature", "", "the `file` of the signature")
	return c
}

func (t *tool) install(from, to, signature string) error {
	places, mine, err := t.places()
	if err != nil {
		return err
	}
	if info, err := os.Stat(to); err == nil && info.IsDir() {
		to = filepath.Join(to, filepath.Base(from))
	}
	if to, err = filepath.Abs(to); err != nil {
		return err
	}
	e, err := findSignature(places, from, signature)
	if err != nil {
		return err
	}
	target, err := t.place(mine, from, to)
	if err != nil {
		return err
	}
	defer target.close()
	p, err := codesign.LoadTrust(places).Check(e, target.digest, target.size, now())
	if err != nil {
		return err
	}
	if err := t.mark(target, p.Manifest.Marker, mine.Owner); err != nil {
		return err
	}
	stored, err := codesign.StoreSignature(mine.Store, e)
	if err != nil {
		return err
	}
	if err := target.commit(to); err != nil {
		return err
	}
	if t.json {
		d := verdictJSON(to, p, nil)
		d["marker"], d["signatures"] = p.Manifest.Marker, stored
		return t.printJSON(d)
	}
	t.printf("%s: installed, %s, marker %s\n", to, summary(p), or(p.Manifest.Marker, "none"))
	return nil
}

// findSignature looks where sign may have put it.
func findSignature(places []codesign.Place, path, signature string) (*codesign.Envelope, error) {
	if signature == "" && exists(path+".xsig") {
		signature = path + ".xsig"
	}
	if signature != "" {
		return codesign.ReadEnvelope(signature)
	}
	p, err := openProgram(path)
	if err != nil {
		return nil, err
	}
	defer p.file.Close()
	found := codesign.Signatures(places, p.digest)
	if len(found) == 0 {
		return nil, &statusError{exitUnsigned, fmt.Errorf("%s has no signature in the system's stores and there is no %s.xsig: --signature names its file", path, path)}
	}
	return codesign.ReadEnvelope(found[0])
}

// target is the file that becomes the installed program: a new one beside the
// destination, or the program itself.
type target struct {
	program
	temporary string
}

// place makes the target. A copy is a new file that nobody else has open, so that what
// is verified stays; a file in place must have been root's alone.
func (t *tool) place(mine codesign.Place, from, to string) (*target, error) {
	if err := codesign.CheckOwner(filepath.Dir(to), mine.Owner); err != nil {
		return nil, &statusError{exitRefused, err}
	}
	if same(from, to) {
		if err := codesign.CheckOwner(to, mine.Owner); err != nil {
			return nil, &statusError{exitRefused, fmt.Errorf("%w; or name a DESTINATION to copy it to", err)}
		}
		p, err := openProgram(to)
		return &target{program: p}, err
	}
	source, err := os.Open(from)
	if err != nil {
		return nil, err
	}
	defer source.Close()
	temporary, err := os.CreateTemp(filepath.Dir(to), ".xpcsign-*")
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(temporary, io.LimitReader(source, codesign.MaxImage+1))
	err = errors.Join(err, temporary.Chmod(0o755), temporary.Sync(), temporary.Close())
	x := &target{temporary: temporary.Name()}
	if err == nil {
		x.program, err = openProgram(temporary.Name())
	}
	if err != nil {
		x.close()
		return nil, err
	}
	return x, nil
}

func same(a, b string) bool {
	x, err := os.Stat(a)
	y, err2 := os.Stat(b)
	return err == nil && err2 == nil && os.SameFile(x, y)
}

func (x *target) close() {
	if x.file != nil {
		x.file.Close()
	}
	if x.temporary != "" {
		os.Remove(x.temporary)
	}
}

// commit gives the program its name.
func (x *target) commit(to string) error {
	if x.temporary == "" {
		return nil
	}
	defer func() { x.temporary = "" }()
	return os.Rename(x.temporary, to)
}

// mark gives the file its group and modes. The kernel must be able to grant the group.
func (t *tool) mark(x *target, marker string, owner int) error {
	mode, gid := os.FileMode(0o755), 0
	if marker != "" {
		if err := canGrant(x.file); err != nil {
			return &statusError{exitRefused, err}
		}
		var err error
		if gid, err = t.group(marker); err != nil {
			return err
		}
		mode |= os.ModeSetgid
	}
	if err := x.file.Chown(owner, gid); err != nil {
		return err
	}
	return x.file.Chmod(mode) // after chown, which takes set-group-id away
}

// group gives the marker's id, of a group that is made if it is not there.
func (t *tool) group(marker string) (int, error) {
	etc := filepath.Join("/", t.root, "etc")
	if gid, err := identity.MarkerGroup(etc, marker); err == nil || !errors.Is(err, identity.ErrNoGroup) {
		return gid, err
	}
	if err := t.addGroup(marker); err != nil {
		return -1, err
	}
	return identity.MarkerGroup(etc, marker)
}

// addGroup runs the system's own tool, which knows its files and their locks.
func (t *tool) addGroup(name string) error {
	for _, command := range [][]string{{"groupadd", "--system"}, {"pw", "groupadd"}, {"addgroup", "-S"}} {
		if _, err := exec.LookPath(command[0]); err != nil {
			continue
		}
		args := command[1:]
		if t.root != "" && command[0] == "groupadd" {
			args = append(args, "--prefix", t.root)
		} else if t.root != "" {
			continue
		}
		out, err := exec.Command(command[0], append(args, name)...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("making the group %s: %s: %w: %s", name, command[0], err, out)
		}
		return nil
	}
	return fmt.Errorf("no program to make the group %s with (groupadd, pw or addgroup): make it, without members, and try again", name)
}
