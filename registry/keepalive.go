package registry

import (
	"slices"

	"golang.org/x/sys/unix"
)

// MaxConditions is how many paths and jobs the conditions of one KeepAlive may name.
const MaxConditions = 100

// KeepAlive says when a job is to run though no client wants it. Its conditions
// are OR-ed (R218). The zero KeepAlive never holds. It is read-only by
// convention: any number of goroutines may use one.
type KeepAlive struct {
	Always bool

	// How the last run ended: SuccessfulExit true is code 0, false anything else;
	// Crashed true is by a signal that tells of a fault of the program, false
	// anything else. A job that has not run yet meets both. nil is no condition.
	SuccessfulExit, Crashed *bool

	PathState       map[string]bool // absolute paths that are to exist (true) or not
	OtherJobEnabled map[string]bool // labels of jobs that are to be loaded (true) or not
}

// Holds says whether one of the conditions is met. ran tells whether the job has
// ended before, and status how: an exit code, or the negative signal. exists and
// loaded are asked about paths and labels; they are not called if no condition
// names one.
func (k *KeepAlive) Holds(ran bool, status int, exists, loaded func(string) bool) bool {
	return k.Always ||
		meets(k.SuccessfulExit, ran, status == 0) ||
		meets(k.Crashed, ran, crashed(status)) ||
		anyIs(k.PathState, exists) ||
		anyIs(k.OtherJobEnabled, loaded)
}

func meets(want *bool, ran, is bool) bool { return want != nil && (!ran || is == *want) }

func anyIs(want map[string]bool, is func(string) bool) bool {
	for what, yes := range want {
		if is(what) == yes {
			return true
		}
	}
	return false
}

// crashed tells the signals of a fault from those that somebody sends.
func crashed(status int) bool {
	return slices.Contains([]unix.Signal{unix.SIGILL, unix.SIGTRAP, unix.SIGABRT, unix.SIGBUS,
		unix.SIGFPE, unix.SIGSEGV, unix.SIGSYS}, unix.Signal(-status))
}

// keepAlive reads the value of KeepAlive.
func (c *checker) keepAlive(m member) {
	if m.value.kind == boolKind {
		if m.value.text == "true" {
			c.job.KeepAlive = &KeepAlive{Always: true}
		}
		return
	}
	k := &KeepAlive{}
	c.job.KeepAlive = k
	for _, o := range m.value.members {
		path := join(m.key, o.key)
		switch o.key {
		case "SuccessfulExit":
			k.SuccessfulExit = c.condition(path, o)
		case "Crashed":
			k.Crashed = c.condition(path, o)
		case "PathState":
			k.PathState = c.states(path, o)
		case "OtherJobEnabled":
			k.OtherJobEnabled = c.states(path, o)
		case "NetworkState", "AfterInitialDemand":
			c.add(Warning, o.pos, path, "key %q is not acted on: launchd has given it up", o.key)
		default:
			c.add(Error, o.pos, path, "unknown key %s of \"KeepAlive\": it knows SuccessfulExit, Crashed, PathState and OtherJobEnabled", shorten(o.key))
		}
	}
}

func (c *checker) condition(path string, o member) *bool {
	if !c.is(path, o, boolKind) {
		return nil
	}
	yes := o.value.text == "true"
	return &yes
}

// states reads a dictionary of booleans.
func (c *checker) states(path string, o member) map[string]bool {
	if !c.is(path, o, dictKind) {
		return nil
	}
	if n := len(o.value.members); n > MaxConditions {
		c.add(Error, o.value.pos, path, "%q has %d entries, the limit is %d", o.key, n, MaxConditions)
		return nil
	}
	states := map[string]bool{}
	for _, s := range o.value.members {
		if s.key == "" {
			c.add(Error, s.pos, path, "%q has an empty entry: remove it", o.key)
		} else if yes := c.condition(join(path, s.key), s); yes != nil {
			states[s.key] = *yes
		}
	}
	return states
}

// onDemand tells what has replaced the key; it is read when all others are (R218).
func (c *checker) onDemand(m member) {
	instead := "use KeepAlive"
	if m.value.text == "true" {
		instead = obsolete
	}
	c.add(Warning, m.pos, m.key, "key \"OnDemand\" is obsolete: %s", instead)
}

// is says whether a value has the kind that its key wants, and complains if not.
func (c *checker) is(path string, m member, want kind) bool {
	if m.value.kind != want && m.value.kind != nullKind {
		c.add(Error, m.value.pos, path, "%q must be %s, not %s", m.key, want.withArticle(), m.value.kind.withArticle())
	}
	return m.value.kind == want
}
