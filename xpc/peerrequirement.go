package xpc

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/openxpc/openxpc/credentials"
	"github.com/openxpc/openxpc/credentials/requirement"
	"github.com/openxpc/openxpc/xpc/internal/lifecycle"
)

// PeerRequirement is what a connection's other side must be for its messages to
// count (xpc_peer_requirement_t). It never changes; connections and goroutines share
// it (R191). There is no zero value to use: each New function returns an error for
// what can never be met or understood.
//
// Unless the requirement itself says which assurance it wants, code that it asks for
// must be known by its image, and in a process of root by the kernel's own word
// (requirement.Granted).
type PeerRequirement struct {
	r     *requirement.Requirement
	needs requirement.Needs
	floor requirement.Assurance
}

// PeerRequirementError says which clause of a requirement was not met and why. It is the
// Cause of a [ConnectionError] whose Event is [ErrPeerCodeSigningRequirement]; of the
// side that was refused the cause is a plain [ErrUnfit].
type PeerRequirementError struct{ Mismatch *requirement.Mismatch }

// Error names the clause and the reason.
func (e *PeerRequirementError) Error() string {
	return "the peer requirement is not met: " + e.Mismatch.String()
}

// ErrUnfit is the cause when this process does not meet the other side's requirement.
// What that is the other side does not tell.
var ErrUnfit = errors.New("this process does not meet the peer's requirement")

// NewPeerRequirement makes one of any requirement: of those of package requirement
// that ask for user, group, unit, container and label, and of those joined by And, Or
// and Not. It is an extension.
func NewPeerRequirement(r *requirement.Requirement) (*PeerRequirement, error) {
	if r == nil || *r == (requirement.Requirement{}) {
		return nil, errors.New("xpc: a peer requirement of nothing")
	}
	if err := r.Supported(); err != nil {
		return nil, fmt.Errorf("xpc: %w", err)
	}
	p := &PeerRequirement{r: r, needs: r.Needs(), floor: requirement.Image}
	if os.Geteuid() == 0 {
		p.floor = requirement.Granted
	}
	return p, nil
}

func peerRequirement(r *requirement.Requirement, err error) (*PeerRequirement, error) {
	if err != nil {
		return nil, fmt.Errorf("xpc: %w", err)
	}
	return NewPeerRequirement(r)
}

// NewPeerCodeSigningRequirement makes one of a text in the code signing requirement
// language: see requirement.Parse.
func NewPeerCodeSigningRequirement(text string) (*PeerRequirement, error) {
	return peerRequirement(requirement.Parse(text))
}

// NewPeerEntitlementExistsRequirement is met by programs that have the entitlement,
// with any value but false (xpc_peer_requirement_create_entitlement_exists).
func NewPeerEntitlementExistsRequirement(entitlement string) (*PeerRequirement, error) {
	return peerRequirement(requirement.EntitlementExists(entitlement))
}

// NewPeerEntitlementMatchesValueRequirement is met by programs whose entitlement is v,
// a Bool, String or Int64 (xpc_peer_requirement_create_entitlement_matches_value).
func NewPeerEntitlementMatchesValueRequirement(entitlement string, v Object) (*PeerRequirement, error) {
	switch v.(type) {
	case Bool, String, Int64:
	default:
		return nil, fmt.Errorf("xpc: the value of entitlement %s must be a bool, a string or an int64", entitlement)
	}
	value, err := property(v)
	if err != nil {
		return nil, fmt.Errorf("xpc: the value of entitlement %s: %w", entitlement, err)
	}
	return peerRequirement(requirement.EntitlementMatches(entitlement, value))
}

// NewPeerTeamIdentityRequirement is met by programs of this process's own team and,
// unless signingIdentifier is "", of that name
// (xpc_peer_requirement_create_team_identity, R178). The registry is asked for the
// team; without one, or without a registry, there is an error.
func NewPeerTeamIdentityRequirement(signingIdentifier string) (*PeerRequirement, error) {
	team, err := ownTeam(theAttester)
	if err != nil {
		return nil, err
	}
	return peerRequirement(requirement.Team(team, signingIdentifier))
}

func ownTeam(a Attester) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), attestPatience)
	defer cancel()
	p := Process{Handle: -1, Credentials: credentials.Credentials{PID: os.Getpid(), UID: os.Geteuid(), GID: os.Getegid()}}
	if fd, err := credentials.ProcessPidfd(os.Getpid()); err == nil {
		p.Handle = fd
		defer os.NewFile(uintptr(fd), "process").Close()
	}
	att, err := a.Attest(ctx, p)
	if err != nil {
		return "", fmt.Errorf("xpc: the team of this process is not known: %w", err)
	}
	defer att.close()
	switch code := att.Facts.Code; {
	case code == nil:
		return "", fmt.Errorf("xpc: the team of this process is not known: %s", att.Facts.Why)
	case code.Team == "":
		return "", fmt.Errorf("xpc: this process (%s) is signed without a team", code.Identifier)
	default:
		return code.Team, nil
	}
}

// NewPeerPlatformIdentityRequirement is met by programs of the platform and, unless
// signingIdentifier is "", of that name
// (xpc_peer_requirement_create_platform_identity, R178).
func NewPeerPlatformIdentityRequirement(signingIdentifier string) (*PeerRequirement, error) {
	return peerRequirement(requirement.Platform(signingIdentifier))
}

// NewPeerLightweightCodeRequirement makes one of the dictionary of a lightweight code
// requirement (xpc_peer_requirement_create_lwcr, R194): see requirement.LightweightCode.
func NewPeerLightweightCodeRequirement(lwcr *Dictionary) (*PeerRequirement, error) {
	if lwcr == nil {
		return nil, errors.New("xpc: a lightweight code requirement without a dictionary")
	}
	m, err := properties(lwcr)
	if err != nil {
		return nil, fmt.Errorf("xpc: lightweight code requirement: %w", err)
	}
	return peerRequirement(requirement.LightweightCode(m))
}

// NewPeerSameUserRequirement is met by processes of this process's effective user. It
// is an extension.
func NewPeerSameUserRequirement() (*PeerRequirement, error) {
	return peerRequirement(requirement.UID(os.Geteuid()))
}

// String is the requirement as a text.
func (p *PeerRequirement) String() string { return p.r.String() }

// judge returns nil if the facts meet the requirement.
func (p *PeerRequirement) judge(f *requirement.Facts) error {
	if p.needs.Code && !p.needs.Assurance {
		f = f.AtLeast(p.floor)
	}
	if v, m := p.r.Match(f); v != requirement.True {
		return &PeerRequirementError{m}
	}
	return nil
}

// MatchReceivedMessage returns nil if the sender of a received message or reply meets
// the requirement, whatever the connection's own is
// (xpc_peer_requirement_match_received_message, R192); else why not, or ctx's error.
// It may ask the registry, and challenge the sender.
func (p *PeerRequirement) MatchReceivedMessage(ctx context.Context, m *Dictionary) error {
	if m == nil || m.in == nil || m.in.isReply {
		return errors.New("xpc: the dictionary is no message that was received")
	}
	in := m.in
	c, sender := in.link.c, in.sender()
	c.mu.Lock()
	who := in.link.other()
	if sender.PID != 0 && sender.PID != who.PID {
		c.mu.Unlock()
		return p.judge(&requirement.Facts{Credentials: sender,
			Why: fmt.Sprintf("process %d wrote it, and process %d is the other side", sender.PID, who.PID)})
	}
	if p.needs.CredentialsOnly() {
		c.mu.Unlock()
		return p.judge(&requirement.Facts{Credentials: who})
	}
	if c.link != in.link {
		c.mu.Unlock()
		return p.judge(&requirement.Facts{Credentials: who, Why: "the connection has ended"})
	}
	w := in.link.identify()
	c.unlock()
	select {
	case <-w.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	c.mu.Lock()
	f, att := w.facts, w.att
	c.mu.Unlock()
	if f.Code != nil {
		if att == nil {
			f = w.unknown("the connection has ended")
		} else if err := att.check(); err != nil {
			f = w.unknown(err.Error())
		}
	}
	return p.judge(f)
}

// SetPeerRequirement has every message that comes be checked: what p does not let
// pass reaches no handler (xpc_connection_set_peer_requirement, R173). On a client a
// reply, or the whole connection, of a server that does not meet it ends in
// [ErrPeerCodeSigningRequirement], also for the event handler, and nothing is sent to
// such a server; the connection stays, and the next message tries again (R126, R174).
// A listener hands its requirement on to its peers: one that does not meet it never
// appears, what it sends is dropped and counted ([Connection.Rejections]), and its
// calls end with ErrPeerCodeSigningRequirement (R175 to R177). On a peer that a
// listener has just delivered it works as on a listener.
//
// It is set once, before the connection is activated; anything else is misuse
// (R171, R172), and so is nil.
func (c *Connection) SetPeerRequirement(p *PeerRequirement) {
	if p == nil {
		misuse("a peer requirement must not be nil")
	}
	c.mu.Lock()
	words := ""
	switch {
	case c.rare.guard != nil:
		words = "only one peer requirement may be set per connection."
	case c.m.State() != lifecycle.Inactive && c.m.State() != lifecycle.Invalid:
		words = "a peer requirement must be set before the connection is activated."
	default:
		c.rarely().guard = &guard{need: p}
		if l := c.link; l != nil && l.greeted {
			if w := l.identify(); w.settled {
				w.unfit = p.judge(w.facts)
			}
		}
	}
	c.unlock()
	if words != "" {
		misuse("%s", words)
	}
}

func (c *Connection) setRequirement(p *PeerRequirement, err error) error {
	if err != nil {
		return err
	}
	c.SetPeerRequirement(p)
	return nil
}

// SetPeerCodeSigningRequirement sets the requirement that a text says, as
// SetPeerRequirement does (xpc_connection_set_peer_code_signing_requirement, R170).
// With an error nothing was set.
func (c *Connection) SetPeerCodeSigningRequirement(text string) error {
	return c.setRequirement(NewPeerCodeSigningRequirement(text))
}

// SetPeerEntitlementExistsRequirement is
// xpc_connection_set_peer_entitlement_exists_requirement.
func (c *Connection) SetPeerEntitlementExistsRequirement(entitlement string) error {
	return c.setRequirement(NewPeerEntitlementExistsRequirement(entitlement))
}

// SetPeerEntitlementMatchesValueRequirement is
// xpc_connection_set_peer_entitlement_matches_value_requirement.
func (c *Connection) SetPeerEntitlementMatchesValueRequirement(entitlement string, v Object) error {
	return c.setRequirement(NewPeerEntitlementMatchesValueRequirement(entitlement, v))
}

// SetPeerTeamIdentityRequirement is xpc_connection_set_peer_team_identity_requirement.
// It asks the registry for this process's own team.
func (c *Connection) SetPeerTeamIdentityRequirement(signingIdentifier string) error {
	return c.setRequirement(NewPeerTeamIdentityRequirement(signingIdentifier))
}

// SetPeerPlatformIdentityRequirement is
// xpc_connection_set_peer_platform_identity_requirement.
func (c *Connection) SetPeerPlatformIdentityRequirement(signingIdentifier string) error {
	return c.setRequirement(NewPeerPlatformIdentityRequirement(signingIdentifier))
}

// SetPeerLightweightCodeRequirement is
// xpc_connection_set_peer_lightweight_code_requirement.
func (c *Connection) SetPeerLightweightCodeRequirement(lwcr *Dictionary) error {
	return c.setRequirement(NewPeerLightweightCodeRequirement(lwcr))
}

// Rejections is how often the connection's requirement refused something, and the
// last reason, a [*PeerRequirementError] that names the clause; nil if it never did. A
// listener counts for its peers. It is an extension, for logs.
func (c *Connection) Rejections() (n uint64, last error) {
	g := c.rareGuard()
	if g == nil {
		return 0, nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.rejected, g.last
}
