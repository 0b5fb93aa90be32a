package lifecycle

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// situation is a state and a usual way into it, with one call (1), one barrier
// (2) or one message (7) where the state has use for them.
type situation struct {
	name string
	path []Event
}

var (
	activate = Event{Op: Activate}
	lookedUp = Event{Op: LookedUp}
	call1    = Event{Op: Send, ID: 1, Call: true}
	dialed1  = Event{Op: Dialed, Epoch: 1}
	lost1    = Event{Op: Lost, Epoch: 1}
	message7 = Event{Op: Received, Epoch: 1, ID: 7}
	barrier2 = Event{Op: Barrier, ID: 2}
	begin    = Event{Op: Begin}
)

var situations = map[Kind][]situation{
	Named: {
		{"Inactive, call 1 queued", []Event{call1}},
		{"Looking, call 1 queued", []Event{activate, call1}},
		{"Ready", []Event{activate, lookedUp}},
		{"Dialing e1 for call 1", []Event{activate, lookedUp, call1}},
		{"Open e1, call 1 written", []Event{activate, lookedUp, call1, dialed1}},
		{"Open e1, barrier 2 awaits its flush", []Event{activate, lookedUp, call1, dialed1, barrier2}},
		{"Open e1, message 7 scheduled", []Event{activate, lookedUp, call1, dialed1, message7}},
		{"Open e1, message 7 handled", []Event{activate, lookedUp, call1, dialed1, message7, begin}},
		{"Ready after e1, INTERRUPTED scheduled", []Event{activate, lookedUp, call1, dialed1, lost1}},
		{"Invalid, INVALID scheduled", []Event{activate, {Op: LookUpFailed}}},
	},
	Endpoint: {
		{"Ready", []Event{activate}},
		{"Probing e2, call 1 unwound", []Event{activate, call1, dialed1, lost1}},
	},
	Accepted: {
		{"Inactive e1, message 7 waits", []Event{message7}},
		{"Open e1, call 1 written", []Event{activate, call1}},
	},
	Listener: {
		{"Inactive", nil},
		{"Looking", []Event{activate}},
		{"Open, peer 7 scheduled", []Event{activate, lookedUp, {Op: Arrived, ID: 7}}},
	},
}

// every is one event of each sort, about the present epoch e.
func every(e Epoch) []Event {
	return []Event{
		activate, {Op: Suspend}, {Op: Resume}, {Op: Cancel},
		{Op: Send, ID: 3}, {Op: Send, ID: 3, Call: true}, {Op: Reply, ID: 3, Epoch: e}, {Op: Barrier, ID: 3}, {Op: Forget, ID: 1},
		lookedUp, {Op: LookUpFailed}, {Op: Gone},
		{Op: Dialed, Epoch: e}, {Op: DialFailed, Epoch: e}, {Op: Refused, Epoch: e}, {Op: TurnedAway, Epoch: e}, {Op: Unfit, Epoch: e}, {Op: Lost, Epoch: e},
		{Op: Received, Epoch: e, ID: 8}, {Op: Arrived, ID: 8}, {Op: Answered, Epoch: e, ID: 1}, {Op: Noticed, ID: 9}, {Op: Flushed, Epoch: e, ID: 2},
		begin, {Op: HandlerDone}, {Op: BarrierDone, ID: 2},
	}
}

// possible leaves out what cannot come in that situation.
func possible(k Kind, name string, s State, ev Event) bool {
	switch ev.Op {
	case HandlerDone:
		return strings.Contains(name, "handled")
	case BarrierDone:
		return false
	case Begin:
		return strings.Contains(name, "scheduled")
	case Resume:
		return s == Inactive
	case LookedUp, LookUpFailed:
		return s == Looking
	case Dialed, DialFailed, Refused:
		return s == Dialing || s == Probing
	case Unfit:
		return s == Dialing
	case TurnedAway, Received, Lost, Answered, Reply, Flushed:
		return (s == Open || s == Inactive && k == Accepted) && k != Listener
	case Arrived:
		return k == Listener
	}
	return true
}

// TestTransitions prints what each event does in each situation; the table is
// meant to be read.
func TestTransitions(t *testing.T) {
	const file = "testdata/transitions.golden"
	var b strings.Builder
	fmt.Fprintln(&b, "What an event does, by kind and situation. Every line is: event -> effects -> new state.\n"+
		"\"(waits)\" changes the machine and has no effect yet. Events that cannot come in a situation are left out.")
	for k := Named; k <= Listener; k++ {
		for _, s := range situations[k] {
			fmt.Fprintf(&b, "\n%v: %s\n", k, s.name)
			tabulate(&b, k, s)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil && !*update {
		t.Fatal(err)
	}
	golden(t, file, string(want), b.String())
}

func tabulate(b *strings.Builder, k Kind, s situation) {
	start := New(k)
	for _, ev := range s.path {
		start.Step(ev)
	}
	var none []string
	for _, ev := range every(start.Epoch()) {
		if !possible(k, s.name, start.State(), ev) {
			continue
		}
		var m Machine
		start.copyTo(&m)
		before := string(m.encode(nil))
		var what []string
		for _, e := range m.Step(ev) {
			what = append(what, e.String())
		}
		if len(what) == 0 && string(m.encode(nil)) == before {
			none = append(none, ev.String())
			continue
		}
		if len(what) == 0 && m.State() == start.State() {
			what = []string{"(waits)"}
		}
		line := fmt.Sprintf("    %-20s", ev)
		if len(what) > 0 {
			line += " -> " + strings.Join(what, ", ")
		}
		if m.State() != start.State() {
			line += fmt.Sprintf(" -> %v", m.State())
		}
		fmt.Fprintln(b, line)
	}
	if len(none) > 0 {
		fmt.Fprintf(b, "    no effect: %s\n", strings.Join(none, ", "))
	}
}
