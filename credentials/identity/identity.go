package identity

import (
	"context"
	"errors"
	"os"

	"github.com/openxpc/openxpc/credentials"
	"github.com/openxpc/openxpc/credentials/requirement"
)

// Verifier says which program an open file is.
type Verifier interface {
	// Verify looks for a valid signature of the file, which stays the caller's. The
	// error is one line that says what is wrong and what to do.
	Verify(ctx context.Context, image *os.File) (Program, error)
}

// Program is what a valid signature says of a file. It is shared: nobody changes it.
type Program struct {
	Code *requirement.Code
	// Marker is the name of the group that the kernel grants to the installed
	// program at exec; "" for none.
	Marker string
}

// Identifier finds out who processes are. The zero Identifier knows no signatures;
// it may be used by any goroutines, but not changed once it is in use.
type Identifier struct {
	// Verifier verifies signatures; nil: none is known.
	Verifier Verifier
	// Enforced is the administrator's word that this host's kernel executes no code
	// that is not signed (IPE, IMA appraisal, dm-verity). It cannot be found out.
	Enforced bool
	// Etc is the folder of group, passwd and subgid; "" is /etc.
	Etc string

	groups groupFile
	before func(step string) error // in tests: makes a step fail
}

// Peer is what was found out of one process. The zero Peer is of no use.
type Peer struct {
	// Facts must not be changed.
	Facts *requirement.Facts
	pin   *credentials.Pin
}

// errNotPinned is what Check says of a process that could not be held on to.
var errNotPinned = errors.New("identity: the process could not be held on to")

// Pinned says whether Check can ever be nil.
func (p *Peer) Pinned() bool { return p.pin != nil }

// Check is nil while the process is the one that Facts are about and runs the same
// image. It costs a few microseconds.
func (p *Peer) Check() error {
	if p.pin == nil {
		return errNotPinned
	}
	return p.pin.Check()
}

// Close lets go of the process.
func (p *Peer) Close() {
	if p.pin != nil {
		p.pin.Close()
	}
}

// Socket tells who is at the other end of the connected Unix socket fd, which stays
// the caller's. The caller must Close the Peer. There is an error, that of
// credentials.FromSocket, only if not even the credentials are known.
func (i *Identifier) Socket(ctx context.Context, fd int) (*Peer, error) {
	who, err := credentials.FromSocket(fd)
	if err != nil {
		return nil, err
	}
	label, _ := credentials.SecurityLabel(fd)
	err = i.step("pin")
	var pin *credentials.Pin
	if err == nil {
		pin, err = credentials.PinPeer(fd)
	}
	return i.identify(ctx, who, label, pin, err), nil
}

// Process tells who the process of pidfd is, which stays the caller's. who is what
// the kernel said of it to the caller, and goes into the facts; if its PID is another
// process's, nothing else does. The caller must Close the Peer.
func (i *Identifier) Process(ctx context.Context, pidfd int, who credentials.Credentials) *Peer {
	err := i.step("pin")
	var pin *credentials.Pin
	if err == nil {
		pin, err = credentials.PinProcess(pidfd)
	}
	return i.identify(ctx, who, "", pin, err)
}

// identify owns pin.
func (i *Identifier) identify(ctx context.Context, who credentials.Credentials, label string, pin *credentials.Pin, err error) *Peer {
	if err == nil && pin.PID() != who.PID {
		pin.Close()
		err = errors.New("the credentials are another process's")
	}
	if err != nil {
		return &Peer{Facts: &requirement.Facts{Credentials: who, Label: label, Why: "the process cannot be looked at: " + err.Error()}}
	}
	f := &requirement.Facts{Credentials: who, Label: label}
	own, err := i.ownNamespace(pin)
	i.surroundings(f, pin, own, err)
	var code *requirement.Code
	var level requirement.Assurance
	if err == nil {
		code, level, err = i.image(ctx, f, pin, own)
	}
	if err == nil {
		err = i.step("check again")
	}
	if err == nil {
		err = pin.Check()
	}
	if err != nil {
		f.Why = err.Error()
		return &Peer{Facts: f, pin: pin}
	}
	f.Code, f.Assurance = code, level
	return &Peer{Facts: f, pin: pin}
}

func (i *Identifier) step(name string) error {
	if i.before == nil {
		return nil
	}
	return i.before(name)
}
