package transport

import (
	"slices"
	"testing"
)

// Callers leave the line in any order: as their replies come, or their contexts end.
func TestAnybodyMayLeaveTheLine(t *testing.T) {
	for _, leave := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 0, 2}, {1, 2, 0}} {
		var l line
		ws := []*Waiter{NewWaiter(), NewWaiter(), NewWaiter()}
		for _, w := range ws {
			l.add(w)
		}
		left := slices.Clone(ws)
		for _, i := range leave {
			if !l.remove(ws[i]) || l.remove(ws[i]) {
				t.Errorf("%v: %d leaves, want once: true, and false from then on", leave, i)
			}
			left = slices.DeleteFunc(left, func(w *Waiter) bool { return w == ws[i] })
			var forth, back []*Waiter
			for w := l.first; w != nil; w = w.behind {
				forth = append(forth, w)
			}
			for w := l.last; w != nil; w = w.ahead {
				back = append(back, w)
			}
			slices.Reverse(back)
			if !slices.Equal(forth, left) || !slices.Equal(back, left) {
				t.Errorf("%v: after %d left, the line is %v and from behind %v, want %v", leave, i, forth, back, left)
			}
		}
		l.add(ws[0])
		if l.first != ws[0] || l.last != ws[0] {
			t.Errorf("%v: who comes back is not first and last of an empty line", leave)
		}
	}
}
