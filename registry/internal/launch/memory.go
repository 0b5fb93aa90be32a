package launch

import "time"

// Memory is what of a Machine outlives the daemon, whose clock goes on meanwhile.
// It is a plain value.
type Memory struct {
	State                         State
	Unload, Wanted, Asked, Again  bool
	NotBefore, KeepAfter, TimerAt time.Duration
}

// Memory is where the job is.
func (m *Machine) Memory() Memory {
	return Memory{m.state, m.unload, m.wanted, m.asked, m.again, m.notBefore, m.keepAfter, m.timerAt}
}

// Resume puts a new Machine where another one was. alive tells whether the job's
// process was found; if it was not, and there had been one, Exited follows.
func (m *Machine) Resume(k Memory, alive bool, now time.Duration) []Effect {
	m.state, m.unload, m.wanted, m.asked, m.again = k.State, k.Unload, k.Wanted, k.Asked, k.Again
	m.notBefore, m.keepAfter, m.timerAt = k.NotBefore, k.KeepAfter, k.TimerAt
	switch {
	case m.state == Gone: // the daemon ended before it had removed the job
		return m.gone()
	case m.state == Killing && alive: // perhaps it was not killed yet
		return []Effect{{Kind: Kill}, {Kind: Arm, At: m.timerAt}}
	case m.state == Stopping && !alive && m.patient():
		return nil
	case m.state == Waiting, m.state == Killing, m.state == Stopping && !alive:
		return []Effect{{Kind: Arm, At: m.timerAt}}
	case m.state == Starting && alive:
		return m.Step(now, Started)
	case m.state == Starting: // the daemon ended before it had made one
		return m.Step(now, Delayed)
	case m.state == Stopping && m.patient():
		return []Effect{{Kind: Terminate}}
	case m.state == Stopping: // who was asked before is asked again
		return []Effect{{Kind: Terminate}, {Kind: Arm, At: m.timerAt}}
	}
	return nil
}
