package requirement

import (
	"fmt"
	"strings"
)

// unknowable is a clause of Apple's that no system but theirs can judge. It has its
// text, and the reason says what to write in its place.
type unknowable struct{ clause, reason string }

func (u unknowable) eval(*Facts) Verdict      { return Indeterminate }
func (u unknowable) why(*Facts) string        { return u.reason }
func (u unknowable) write(b *strings.Builder) { b.WriteString(u.clause) }
func (u unknowable) need(*Needs)              {}

// Supported is nil if some process could meet the requirement on this system. The
// error names the clause that nobody can judge here, and what to write instead. Who
// sets a requirement asks, so that one that nobody meets is told at once (R196c).
func (r *Requirement) Supported() error {
	if r == nil || r.top == nil {
		return nil
	}
	if _, best := bounds(r.top); best != Indeterminate {
		return nil
	}
	n := hopeless(r.top, true)
	return fmt.Errorf("requirement: nobody can meet it on this system: %s: %s", shorten(text(n), mostWords), n.why(&Facts{}))
}

// bounds are the worst and the best verdict that any facts can bring about.
func bounds(n node) (worst, best Verdict) {
	switch n := n.(type) {
	case and:
		worst, best = True, True
		for _, x := range n {
			w, b := bounds(x)
			worst, best = min(worst, w), min(best, b)
		}
		return worst, best
	case or:
		worst, best = False, False
		for _, x := range n {
			w, b := bounds(x)
			worst, best = max(worst, w), max(best, b)
		}
		return worst, best
	case not:
		worst, best = bounds(n.x)
		return -best, -worst
	case lightweight:
		return bounds(n.top)
	case optional:
		worst, best = bounds(n.x)
		return n.of(worst), n.of(best)
	case isIn:
		if n.fact.never {
			return Indeterminate, Indeterminate
		}
	case unknowable:
		return Indeterminate, Indeterminate
	case never:
		return False, False
	case origin:
		if n == notarized || n == legacy {
			return False, False
		}
	}
	return False, True
}

// hopeless is the first leaf that leaves a bound of n, the best one or the worst, unknown.
func hopeless(n node, best bool) node {
	var parts []node
	switch x := n.(type) {
	case and:
		parts = x
	case or:
		parts = x
	case lightweight:
		parts = []node{x.top}
	case not:
		return hopeless(x.x, !best)
	}
	for _, x := range parts {
		if w, b := bounds(x); best && b == Indeterminate || !best && w == Indeterminate {
			return hopeless(x, best)
		}
	}
	return n
}
