// Package launch is the life of one job: when it is started, held back, stopped.
//
// It is pure: [Machine.Step] takes an event and the time, and answers with the
// effects that the daemon has to carry out, in order. Nothing here starts,
// signals, sleeps or reads a clock.
//
//	          Demand, Load(at load)
//	Idle ------------------------------> Starting --Started--> Running --Exited--> Idle
//	  |  `--too soon--> Waiting --Timer----^   |                  |
//	  |                                        `--Failed--> Idle  | Unload
//	  | Unload (also from Waiting, Starting)                      v
//	  `-----------------------> Gone <----Exited---- Stopping --Timer--> Killing
//
// Idle: no process; the registry watches the names. A waiting client is Demand.
//
// Waiting: a client waits, but the last start is too recent (R220).
//
// Starting: the daemon is starting the process and owes Started, Failed or Delayed.
//
// Running: there is a process. Demand means nothing: it is the job that accepts.
//
// Stopping: the job is unloaded and its process has been told to end.
//
// Killing: it had its time; only the kernel's notice is awaited, and not for ever (R226).
//
// Gone: terminal.
package launch

import (
	"cmp"
	"time"
)

// How long a process may take to end after it was told to, and after it was
// killed, before the daemon goes on without it; and how long after a start that
// the machine had no room for the next is tried (R226).
const (
	ExitTimeout  = 5 * time.Second
	KillTimeout  = 4 * time.Second
	RetryTimeout = time.Second
)

// State is where a job is; the package comment has a paragraph for each.
type State uint8

// The states. A new Machine is Idle.
const (
	Idle State = iota
	Waiting
	Starting
	Running
	Stopping
	Killing
	Gone
)

var stateNames = [...]string{"idle", "waiting", "starting", "running", "stopping", "killing", "gone"}

// String is the state in words.
func (s State) String() string { return stateNames[s] }

// Event is what happened.
type Event uint8

// The events. Each is ignored in a state that it means nothing to.
const (
	Load    Event = iota // the job is to run from the start, wanted or not (RunAtLoad)
	Demand               // a client waits for one of the names
	Started              // the process runs
	Failed               // the program cannot be executed
	Delayed              // the machine has no room for a process now
	Exited               // the process has ended
	Timer                // the armed time has come
	Unload               // the job is to end and be forgotten
)

var eventNames = [...]string{"load", "demand", "started", "failed", "delayed", "exited", "timer", "unload"}

// String is the event in words.
func (e Event) String() string { return eventNames[e] }

// Kind says what an Effect asks for.
type Kind uint8

// The kinds of effect.
const (
	Start     Kind = iota // start the process, and answer Started, Failed or Delayed
	Refuse                // tell the clients that wait why the program cannot be executed
	Watch                 // take the names back and watch them for clients
	Arm                   // send Timer at At
	Disarm                // forget the timer
	Terminate             // ask the process to end (SIGTERM)
	Kill                  // end it (SIGKILL)
	Remove                // the job is gone: forget it and its names
)

var kindNames = [...]string{"start", "refuse", "watch", "arm", "disarm", "terminate", "kill", "remove"}

// String is the kind in words.
func (k Kind) String() string { return kindNames[k] }

// Effect is one thing to do. At is set for Arm only.
type Effect struct {
	Kind Kind
	At   time.Duration
}

// Machine is one job. The zero Machine is Idle and starts as often as it is
// wanted. It is a plain value, for one goroutine at a time.
type Machine struct {
	Throttle    time.Duration // least time between two starts (R220)
	ExitTimeout time.Duration // from Terminate to Kill; 0 is the constant ExitTimeout

	state   State
	unload  bool // asked for while Starting
	ran     bool // last is the time of a start
	last    time.Duration
	timerAt time.Duration
}

// State is where the job is.
func (m *Machine) State() State { return m.state }

// Step takes what happened at now, the time since any fixed moment on a clock
// that only goes forward.
func (m *Machine) Step(now time.Duration, ev Event) []Effect {
	switch m.state {
	case Idle:
		return m.idle(now, ev)
	case Waiting:
		return m.waiting(now, ev)
	case Starting:
		return m.starting(now, ev)
	case Running:
		return m.running(now, ev)
	case Stopping, Killing:
		return m.ending(now, ev)
	}
	return nil
}

func (m *Machine) idle(now time.Duration, ev Event) []Effect {
	switch ev {
	case Load, Demand:
		if m.ran && now < m.last+m.Throttle {
			return m.wait(m.last + m.Throttle)
		}
		return m.start()
	case Unload:
		return m.gone()
	}
	return nil
}

func (m *Machine) waiting(now time.Duration, ev Event) []Effect {
	switch {
	case ev == Timer && now >= m.timerAt:
		return m.start()
	case ev == Unload:
		return append([]Effect{{Kind: Disarm}}, m.gone()...)
	}
	return nil
}

func (m *Machine) starting(now time.Duration, ev Event) []Effect {
	switch ev {
	case Unload:
		m.unload = true
	case Started:
		m.state, m.ran, m.last = Running, true, now
		if m.unload {
			return m.stop(now)
		}
	case Failed, Delayed:
		if m.unload {
			return m.gone()
		}
		if ev == Delayed {
			return m.wait(now + RetryTimeout)
		}
		// Not a start: when the program is there at last, nobody waits for the throttle.
		m.state = Idle
		return []Effect{{Kind: Refuse}, {Kind: Watch}}
	}
	return nil
}

func (m *Machine) running(now time.Duration, ev Event) []Effect {
	switch ev {
	case Exited:
		m.state = Idle
		return []Effect{{Kind: Watch}}
	case Unload:
		return m.stop(now)
	}
	return nil
}

func (m *Machine) ending(now time.Duration, ev Event) []Effect {
	switch {
	case ev == Exited:
		return append([]Effect{{Kind: Disarm}}, m.gone()...)
	case ev != Timer || now < m.timerAt:
		return nil
	case m.state == Killing:
		return m.gone()
	}
	m.state, m.timerAt = Killing, now+KillTimeout
	return []Effect{{Kind: Kill}, {Kind: Arm, At: m.timerAt}}
}

func (m *Machine) start() []Effect {
	m.state = Starting
	return []Effect{{Kind: Start}}
}

func (m *Machine) wait(until time.Duration) []Effect {
	m.state, m.timerAt = Waiting, until
	return []Effect{{Kind: Arm, At: until}}
}

func (m *Machine) stop(now time.Duration) []Effect {
	m.state, m.timerAt = Stopping, now+cmp.Or(m.ExitTimeout, ExitTimeout)
	return []Effect{{Kind: Terminate}, {Kind: Arm, At: m.timerAt}}
}

func (m *Machine) gone() []Effect {
	m.state = Gone
	return []Effect{{Kind: Remove}}
}
