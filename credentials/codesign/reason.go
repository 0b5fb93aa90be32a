package codesign

import (
	"errors"
	"fmt"
)

// Reason is why a program has no valid signature. It is an error, for errors.Is.
type Reason string

// The reasons.
const (
	// ErrUnsigned: no store has a signature for this program.
	ErrUnsigned Reason = "unsigned"
	// ErrMalformed: a manifest, envelope, anchor or list is not what it should be.
	ErrMalformed Reason = "malformed"
	// ErrDigest: the manifest does not list this program.
	ErrDigest Reason = "digest"
	// ErrSignature: the leaf certificate's key did not sign the manifest.
	ErrSignature Reason = "signature"
	// ErrChain: the certificates do not lead from the signature to the anchor.
	ErrChain Reason = "chain"
	// ErrAnchor: no anchor of the trust store vouches for the certificates.
	ErrAnchor Reason = "anchor"
	// ErrExpired: a certificate was not valid when it had to be, or the manifest is from the future.
	ErrExpired Reason = "expired"
	// ErrTeam: the team is not the leaf's, or the anchor may not vouch for it.
	ErrTeam Reason = "team"
	// ErrEntitlement: the anchor may not grant one of the entitlements.
	ErrEntitlement Reason = "entitlement"
	// ErrDenied: the deny list names the signature, its key, its team or the program.
	ErrDenied Reason = "denied"
	// ErrImage: the file is none that can be verified: not regular, on a file
	// system that others control, too large, or it changed meanwhile.
	ErrImage Reason = "image"
	// ErrTrust: what decides on trust cannot be read, or others can write to it.
	ErrTrust Reason = "trust"
)

// Error is "codesign: " and the reason's word.
func (r Reason) Error() string { return "codesign: " + string(r) }

// Error says what is wrong with a signature, a program or the trust store.
type Error struct {
	// Reason is the condition that it is.
	Reason Reason
	// Text is one clause that names the thing, the place and the remedy.
	Text string
	// Err is the cause; nil if there is no other.
	Err error
}

// Error is the text.
func (e *Error) Error() string { return e.Text }

// Unwrap gives the reason and the cause.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Reason}
	}
	return []error{e.Reason, e.Err}
}

func fail(r Reason, format string, a ...any) *Error {
	err := fmt.Errorf(format, a...)
	return &Error{Reason: r, Text: err.Error(), Err: errors.Unwrap(err)}
}
