package identity

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/openxpc/openxpc/credentials"
	"github.com/openxpc/openxpc/credentials/requirement"
)

// image verifies what the process runs and says how well that is known; own says that it
// is in this process's user namespace: in another one it can forge what /proc shows, and
// claim ids that are mapped into it. With an error nothing is known. What it returns holds
// if the pin does afterwards.
func (i *Identifier) image(ctx context.Context, f *requirement.Facts, pin *credentials.Pin, own bool) (*requirement.Code, requirement.Assurance, error) {
	none := requirement.CredentialsOnly
	if !own {
		return nil, none, errors.New("it is in another user namespace, where it can forge what it runs")
	}
	exe, err := i.open(pin)
	if err != nil {
		return nil, none, fmt.Errorf("its image cannot be opened: %w", err)
	}
	defer exe.Close()
	i.place(f, exe)
	if i.Verifier == nil {
		return nil, none, errors.New("no signatures are looked for: this registry has no trust store")
	}
	if err := i.step("verify"); err != nil {
		return nil, none, err
	}
	program, err := i.Verifier.Verify(ctx, exe)
	if err != nil {
		return nil, none, err
	}
	if program.Code == nil {
		return nil, none, errors.New("its signature says nothing")
	}
	if err := i.libraries(ctx, program.Code, exe, pin); err != nil {
		return nil, none, err
	}
	level := requirement.Granted
	if notGranted := i.granted(program.Marker, pin); notGranted != nil {
		level = requirement.Image
		if err := i.untouched(program.Code, pin); err != nil {
			return nil, none, err
		}
		if program.Code.Flags&requirement.Hardened != 0 && !i.Enforced {
			return nil, none, fmt.Errorf("its signature counts for nothing without its group: %w", notGranted)
		}
		if !i.Enforced {
			f.Why = "it does not hold its group: " + notGranted.Error()
		}
	}
	if i.Enforced {
		level = requirement.Enforced
	}
	return program.Code, level, nil
}

// granted is nil if the kernel gave the process the program's group at exec, which it
// withholds from who is traced, may gain no privileges, or runs a copy. Somebody who
// holds the group can be that program only if nobody gets it otherwise.
func (i *Identifier) granted(marker string, pin *credentials.Pin) error {
	if marker == "" {
		return errors.New("it has none: sign it with a marker and install it with xpcsign install")
	}
	if err := i.step("marker"); err != nil {
		return err
	}
	gid, err := i.groups.exclusive(i.Etc, marker)
	if err != nil {
		return err
	}
	egid, sgid, err := i.groupsOf(pin)
	if err != nil {
		return fmt.Errorf("its groups cannot be read: %w", err)
	}
	if egid != gid && sgid != gid {
		return fmt.Errorf("the kernel did not grant it %s (%d): it is a copy that was not installed, or it is traced or may gain no privileges", marker, gid)
	}
	return nil
}

// groupsOf asks the kernel, or where it has no such question its /proc.
func (i *Identifier) groupsOf(pin *credentials.Pin) (egid, sgid int, err error) {
	if err := i.step("groups"); err != nil {
		return -1, -1, err
	}
	egid, sgid, err = pin.Groups()
	if errors.Is(err, credentials.ErrUnsupported) {
		var s *status
		if s, err = i.status(pin); err == nil {
			egid, sgid = s.egid, s.sgid
		}
	}
	return egid, sgid, err
}

// untouched refuses what shows that it was tampered with. To whom the kernel granted its
// group others cannot do that.
func (i *Identifier) untouched(code *requirement.Code, pin *credentials.Pin) error {
	s, err := i.status(pin)
	if err != nil {
		return fmt.Errorf("its state cannot be read: %w", err)
	}
	if s.tracer != 0 && code.Flags&requirement.GetTaskAllow == 0 {
		return fmt.Errorf("process %d traces it, and its signature does not allow that", s.tracer)
	}
	return i.preloaded(pin)
}

func (i *Identifier) open(pin *credentials.Pin) (*os.File, error) {
	if err := i.step("open image"); err != nil {
		return nil, err
	}
	return openAt(pin.Directory(), "exe")
}
