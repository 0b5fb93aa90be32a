package requirement

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Requirement is what must be true of a process (a SecRequirementRef, or the inside
// of an xpc_peer_requirement_t). It never changes, and any goroutine may use it.
// Compare two by their String. A nil or zero Requirement is never met.
type Requirement struct{ top node }

// Needs says which facts a requirement asks for, so that nobody finds out more
// than he must. What it does not name can be left unknown in [Facts].
type Needs struct {
	// Code: the signature of the program, and with it an [Assurance] of its own choice
	// by who asks, unless the requirement has one:
	Code bool
	// Assurance: the requirement itself says how well all must be known.
	Assurance bool
	// System: how and from where the program was started (launch-type, is-init-proc, volumes).
	System bool
	// Unit, Cgroup, Label, Container: the fields of that name; Host goes with Container.
	Unit, Cgroup, Label, Container bool
}

// CredentialsOnly says that user, group and process id are enough.
func (n Needs) CredentialsOnly() bool { return n == Needs{} }

// Mismatch says why a requirement is not met.
type Mismatch struct {
	// Clause is the part of the requirement that failed, in the text language.
	Clause string
	// Why says in a clause of words what was found in its place.
	Why string
	// Verdict is False, or Indeterminate if nobody knows.
	Verdict Verdict
}

// String is one line: the clause, and why it is not met. It is "met" for nil.
func (m *Mismatch) String() string {
	if m == nil {
		return "met"
	}
	return m.Clause + ": " + m.Why
}

// Match says whether the facts meet the requirement: only True does. Otherwise it
// names the clause that failed.
func (r *Requirement) Match(f *Facts) (Verdict, *Mismatch) {
	if r == nil || r.top == nil {
		return False, &Mismatch{"", "there is no requirement that could be met", False}
	}
	if f == nil {
		return Indeterminate, &Mismatch{r.String(), "nothing is known of the process", Indeterminate}
	}
	v := r.top.eval(f)
	if v == True {
		return v, nil
	}
	return v, mismatch(r.top, f)
}

// Explain tells the verdict on every clause, a line each, indented as they nest.
func (r *Requirement) Explain(f *Facts) string {
	if r == nil || r.top == nil {
		return "no requirement\n"
	}
	var b strings.Builder
	explain(&b, r.top, f, 0)
	return b.String()
}

// Needs says which facts it asks for.
func (r *Requirement) Needs() Needs {
	var n Needs
	if r != nil && r.top != nil {
		r.top.need(&n)
	}
	return n
}

// String is the requirement in the text language; Parse makes an equal one of it.
func (r *Requirement) String() string {
	if r == nil || r.top == nil {
		return "never"
	}
	return text(r.top)
}

// And is met by who meets all; by nobody if there are none.
func And(all ...*Requirement) *Requirement { return &Requirement{join(all, false)} }

// Or is met by who meets at least one; by nobody if there are none.
func Or(all ...*Requirement) *Requirement { return &Requirement{join(all, true)} }

// Not is met by who is known not to meet r: not by somebody of whom too little is
// known. Not of nil is met by nobody, too.
func Not(r *Requirement) *Requirement {
	if r == nil || r.top == nil {
		return &Requirement{never{}}
	}
	return &Requirement{negate(r.top)}
}

func join(all []*Requirement, or bool) node {
	list := make([]node, 0, len(all))
	for _, r := range all {
		if r == nil || r.top == nil {
			list = append(list, never{})
			continue
		}
		list = append(list, r.top)
	}
	switch {
	case len(list) == 0:
		return never{}
	case or:
		return anyOf(list)
	}
	return allOf(list)
}

// EntitlementExists is met by code whose entitlements have name, with any value but false.
func EntitlementExists(name string) (*Requirement, error) {
	if err := checkText("an entitlement's name", name); err != nil {
		return nil, err
	}
	return &Requirement{property{key: name}}, nil
}

// EntitlementMatches is met by code whose entitlement name is v: a bool, a string
// or an int64.
func EntitlementMatches(name string, v any) (*Requirement, error) {
	if err := checkText("an entitlement's name", name); err != nil {
		return nil, err
	}
	var op int64
	switch v := v.(type) {
	case bool:
		op = matchBool
	case string:
		op = matchString
		if !utf8.ValidString(v) || strings.ContainsRune(v, 0) {
			return nil, fmt.Errorf("requirement: the value of entitlement %s is not text", name)
		}
	case int64:
		op = matchInteger
	default:
		return nil, fmt.Errorf("requirement: the value of entitlement %s is a %T; it can be a bool, a string or an int64", name, v)
	}
	return LightweightCode(map[string]any{"entitlements": map[string]any{
		"$query": []any{[]any{int64(selectKey), name}, []any{op, v}},
	}})
}

// Team is met by code that team has signed under an anchor of the trust store, and,
// unless identifier is "", that is called so.
func Team(team, identifier string) (*Requirement, error) {
	if team == "" {
		return nil, errors.New("requirement: a team is needed: a program without one has no team to compare with")
	}
	return LightweightCode(identified(map[string]any{
		"team-identifier":     team,
		"validation-category": map[string]any{"$in": []any{int64(2), int64(3), int64(4), int64(5), int64(6)}},
	}, identifier))
}

// Platform is met by code of the platform itself and, unless identifier is "", that
// is called so.
func Platform(identifier string) (*Requirement, error) {
	return LightweightCode(identified(map[string]any{"validation-category": int64(1)}, identifier))
}

func identified(m map[string]any, identifier string) map[string]any {
	if identifier != "" {
		m["signing-identifier"] = identifier
	}
	return m
}

func checkText(what, s string) error {
	switch {
	case s == "":
		return fmt.Errorf("requirement: %s is empty", what)
	case !utf8.ValidString(s) || strings.ContainsRune(s, 0):
		return fmt.Errorf("requirement: %s is not text", what)
	}
	return nil
}
