package lifecycle

import "strconv"

// The names below are those of traces, golden files and scenarios.

var kindNames = [...]string{"named", "endpoint", "accepted", "listener"}

var stateNames = [...]string{"Inactive", "Looking", "Ready", "Dialing", "Open", "Probing", "Invalid"}

var outcomeNames = [...]string{"replied", "interrupted", "invalidated", "unqualified"}

var whatNames = [...]string{"message", "peer", "INTERRUPTED", "INVALID", "notice"}

var opNames = [...]string{
	Activate: "activate", Suspend: "suspend", Resume: "resume", Cancel: "cancel",
	Send: "send", Reply: "reply", Barrier: "barrier", Forget: "forget",
	LookedUp: "looked-up", LookUpFailed: "look-up-failed", Gone: "gone",
	Dialed: "dialed", DialFailed: "dial-failed", Refused: "refused", TurnedAway: "turned-away", Unfit: "unfit", Lost: "lost",
	Received: "received", Arrived: "arrived", Answered: "answered", Noticed: "noticed", Flushed: "flushed",
	Begin: "begin", HandlerDone: "handler-done", BarrierDone: "barrier-done",
}

var doNames = [...]string{
	LookUp: "look-up", Dial: "dial", Close: "close", Write: "write", Discard: "discard",
	Complete: "complete", Flush: "flush", RunBarrier: "run-barrier", Schedule: "schedule",
	Run: "run", Drop: "drop", Finish: "finish", OverResume: "over-resume",
}

func name(names []string, i uint8) string {
	if int(i) < len(names) {
		return names[i]
	}
	return strconv.Itoa(int(i))
}

func (k Kind) String() string    { return name(kindNames[:], uint8(k)) }
func (s State) String() string   { return name(stateNames[:], uint8(s)) }
func (o Outcome) String() string { return name(outcomeNames[:], uint8(o)) }
func (w What) String() string    { return name(whatNames[:], uint8(w)) }
func (o Op) String() string      { return name(opNames[:], uint8(o)) }
func (d Do) String() string      { return name(doNames[:], uint8(d)) }

// String is the event in the notation of testdata: "send 3 call", "answered e1 3 replied".
func (ev Event) String() string {
	s := ev.Op.String()
	switch ev.Op {
	case Reply, Dialed, DialFailed, Refused, TurnedAway, Unfit, Lost, Received, Answered, Flushed:
		s += epochText(ev.Epoch)
	}
	switch ev.Op {
	case Send, Reply, Barrier, Forget, Received, Arrived, Answered, Noticed, Flushed, BarrierDone:
		s += idText(ev.ID)
	}
	switch {
	case ev.Op == Send && ev.Call:
		s += " call"
	case ev.Op == Answered:
		s += " " + ev.Outcome.String()
	}
	return s
}

// String is the effect in the notation of testdata: "write e1 3", "run message 7".
func (e Effect) String() string {
	s := e.Do.String()
	switch e.Do {
	case Dial, Close, Write, Flush:
		s += epochText(e.Epoch)
	case Run, Drop:
		s += " " + e.What.String()
	}
	switch {
	case e.Do == Run && (e.What == InterruptedEvent || e.What == InvalidEvent):
	case e.Do == Write, e.Do == Discard, e.Do == Complete, e.Do == Flush, e.Do == RunBarrier, e.Do == Run, e.Do == Drop:
		s += idText(e.ID)
	}
	if e.Do == Complete {
		s += " " + e.Outcome.String()
	}
	return s
}

func epochText(e Epoch) string { return " e" + strconv.FormatUint(uint64(e), 10) }

func idText(id ID) string { return " " + strconv.FormatUint(uint64(id), 10) }
