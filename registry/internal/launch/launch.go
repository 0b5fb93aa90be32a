// Package launch is the life of one job: when it is started, held back, stopped.
//
// It is pure: [Machine.Step] takes an event and the time, and answers with the
// effects that the daemon has to carry out, in order. Nothing here starts,
// signals, sleeps or reads a clock.
//
//	       Demand, Run, Want
//	Idle ------------------------------> Starting --Started--> Running --Exited--> Idle
//	  |  `--too soon--> Waiting --Timer----^   |                  |  `-Failed-> Idle
//	  |                                        `--Failed--> Idle  | Unload
//	  | Unload (also from Waiting, Starting)                      v
//	  `-----------------------> Gone <----Exited---- Stopping --Timer--> Killing
//
// Idle: no process; the registry watches the names. A waiting client is Demand.
//
// Waiting: the job is to run, but the last start is too recent (R220).
//
// Starting: the daemon is starting the process and owes Started, Failed or Delayed.
//
// Running: there is a process. Demand means nothing: it is the job that accepts.
//
// Stopping: the job is unloaded, or restarted, and its process has been told to
// end. A restarted job goes from here, or from Killing, to Starting.
//
// Killing: it had its time; only the kernel's notice is awaited, and not for ever (R226).
//
// Gone: terminal.
//
// Kick starts a job from Idle and Waiting whatever the throttle says.
//
// Besides, a job is wanted or not: Want and Unwant say so in any state (KeepAlive,
// R218). A wanted job goes from Idle to Starting or Waiting by itself.
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
	Run     Event = iota // the job is to run once, client or not (RunAtLoad, timers)
	Demand               // a client waits for one of the names
	Want                 // the job is to be kept running from now on (KeepAlive)
	Unwant               // it need not be any longer; what runs goes on
	Started              // the process runs
	Failed               // the program cannot be executed; may come after Started, in place of Exited
	Delayed              // the machine has no room for a process now
	Exited               // the process has ended
	Timer                // the armed time has come
	Unload               // the job is to end and be forgotten
	Kick                 // the job is to run now (kickstart)
	Restart              // likewise; a process that runs is ended first (kickstart -k)
	Retired              // the process was idle and the daemon has ended it; no start was wasted (R188)
)

var eventNames = [...]string{"run", "demand", "want", "unwant", "started", "failed", "delayed", "exited", "timer", "unload", "kick", "restart", "retired"}

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
	ExitTimeout time.Duration // from Terminate to Kill; 0 is the constant ExitTimeout, negative is for ever (R221)
	Pace        time.Duration // least time between starts that nobody waits for, if longer than Throttle; 0 is RetryTimeout
	Once        bool          // the job is removed when its first process ends (R223)

	state     State
	unload    bool          // asked for while Starting
	again     bool          // to be started when the process that is told to end has ended
	wanted    bool          // is to be kept running
	asked     bool          // somebody waits for a start
	notBefore time.Duration // of a start that somebody waits for
	keepAfter time.Duration // of a start that nobody waits for
	timerAt   time.Duration // valid while the timer is armed
}

// State is where the job is.
func (m *Machine) State() State { return m.state }

// Step takes what happened at now, the time since any fixed moment on a clock
// that only goes forward.
func (m *Machine) Step(now time.Duration, ev Event) []Effect {
	switch ev {
	case Want, Unwant:
		m.wanted = ev == Want
	case Run, Demand, Kick, Restart:
		m.asked = m.state == Idle || m.state == Waiting || m.state == Starting
	}
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
	case Run, Demand, Want:
		return m.begin(now)
	case Kick, Restart:
		return m.start()
	case Unload:
		return m.gone()
	}
	return nil
}

func (m *Machine) waiting(now time.Duration, ev Event) []Effect {
	disarm := Effect{Kind: Disarm}
	switch {
	case ev == Timer && now >= m.timerAt:
		return m.start()
	case ev == Kick || ev == Restart:
		return append([]Effect{disarm}, m.start()...)
	case (ev == Run || ev == Demand) && m.notBefore < m.timerAt:
		return append([]Effect{disarm}, m.begin(now)...)
	case ev == Unwant && !m.asked:
		m.state = Idle
		return []Effect{disarm, {Kind: Watch}}
	case ev == Unload:
		return append([]Effect{disarm}, m.gone()...)
	}
	return nil
}

func (m *Machine) starting(now time.Duration, ev Event) []Effect {
	switch {
	case ev == Unload:
		m.unload = true
	case ev == Started:
		m.state, m.asked = Running, false
		m.notBefore, m.keepAfter = now+m.Throttle, now+m.pace()
		if m.unload {
			return m.stop(now)
		}
	case (ev == Failed || ev == Delayed) && m.unload:
		return m.gone()
	case ev == Failed:
		return m.failed(now)
	case ev == Delayed:
		m.notBefore, m.keepAfter = now+RetryTimeout, now+RetryTimeout
		if m.asked || m.wanted {
			return m.begin(now)
		}
		return m.idleAgain(now)
	}
	return nil
}

func (m *Machine) running(now time.Duration, ev Event) []Effect {
	switch {
	case ev == Failed:
		return m.failed(now)
	case (ev == Exited || ev == Retired) && m.Once:
		return m.gone()
	case ev == Retired:
		m.notBefore, m.keepAfter = now, now
		return m.idleAgain(now)
	case ev == Exited:
		return m.idleAgain(now)
	case ev == Unload:
		return m.stop(now)
	case ev == Restart:
		m.again = !m.Once
		return m.stop(now)
	}
	return nil
}

func (m *Machine) ending(now time.Duration, ev Event) []Effect {
	switch {
	case ev == Unload:
		m.again = false
		return nil
	case (ev == Exited || ev == Retired || ev == Failed) && m.patient():
		return m.ended()
	case ev == Exited || ev == Retired || ev == Failed:
		return append([]Effect{{Kind: Disarm}}, m.ended()...)
	case ev != Timer || m.patient() || now < m.timerAt:
		return nil
	case m.state == Killing:
		return m.gone()
	}
	m.state, m.timerAt = Killing, now+KillTimeout
	return []Effect{{Kind: Kill}, {Kind: Arm, At: m.timerAt}}
}

// patient says that the process may take as long as it likes to end: no timer is armed.
func (m *Machine) patient() bool { return m.ExitTimeout < 0 }

// begin starts the job, at once or when it is time.
func (m *Machine) begin(now time.Duration) []Effect {
	at := m.keepAfter
	if m.asked {
		at = m.notBefore
	}
	if now >= at {
		return m.start()
	}
	m.state, m.timerAt = Waiting, at
	return []Effect{{Kind: Arm, At: at}}
}

func (m *Machine) start() []Effect {
	m.state = Starting
	return []Effect{{Kind: Start}}
}

// failed was no start: when the program is there at last, no client waits for
// the throttle. A job that is kept running is tried again all the same.
func (m *Machine) failed(now time.Duration) []Effect {
	m.asked, m.notBefore, m.keepAfter = false, now, now+m.pace()
	return append([]Effect{{Kind: Refuse}}, m.idleAgain(now)...)
}

// idleAgain gives the names back, and begins anew if the job is to run.
func (m *Machine) idleAgain(now time.Duration) []Effect {
	m.state = Idle
	effects := []Effect{{Kind: Watch}}
	if m.asked || m.wanted {
		effects = append(effects, m.begin(now)...)
	}
	return effects
}

// pace is the least time between starts that nobody waits for: without a
// throttle, a job that always fails would have the machine for itself.
func (m *Machine) pace() time.Duration { return max(m.Throttle, cmp.Or(m.Pace, RetryTimeout)) }

func (m *Machine) stop(now time.Duration) []Effect {
	m.state = Stopping
	effects := []Effect{{Kind: Terminate}}
	if m.patient() {
		return effects
	}
	m.timerAt = now + cmp.Or(m.ExitTimeout, ExitTimeout)
	return append(effects, Effect{Kind: Arm, At: m.timerAt})
}

// ended follows the end of a process that was told to end.
func (m *Machine) ended() []Effect {
	if !m.again {
		return m.gone()
	}
	m.again, m.asked = false, true
	return append([]Effect{{Kind: Watch}}, m.start()...)
}

func (m *Machine) gone() []Effect {
	m.state = Gone
	return []Effect{{Kind: Remove}}
}
