package registry

import (
	"fmt"
	"strconv"
	"time"
)

// NoExitTimeout is the ExitTimeout of a job that may take as long as it likes to end.
const NoExitTimeout time.Duration = -1

// maxSeconds is a year: a longer time was meant otherwise.
const maxSeconds = 365 * 24 * 60 * 60

// Values of Nice, those of setpriority(2).
const (
	minNice = -20
	maxNice = 20
)

// setting reads the keys that are no document's.
func (c *checker) setting(m member) {
	yes := m.value.text == "true"
	switch m.key {
	case "KeepAlive":
		c.keepAlive(m)
	case "OnDemand":
		c.onDemand(m)
	case "AbandonProcessGroup":
		c.job.AbandonProcessGroup = yes
	case "Disabled":
		c.job.Disabled = yes
	case "LaunchOnlyOnce":
		c.job.LaunchOnlyOnce = yes
	case "EnableTransactions":
		c.job.EnableTransactions = c.job.EnableTransactions || yes
	case "EnablePressuredExit":
		c.job.EnablePressuredExit = yes
		c.job.EnableTransactions = c.job.EnableTransactions || yes
	case "ExitTimeOut":
		if c.job.ExitTimeout = c.seconds(m, 0); c.job.ExitTimeout == 0 {
			c.job.ExitTimeout = NoExitTimeout
		}
	case "StartInterval":
		c.job.StartInterval = c.seconds(m, 1)
	case "StartCalendarInterval":
		c.calendar(m)
	case "WatchPaths":
		c.job.WatchPaths = c.paths(m)
	case "QueueDirectories":
		c.job.QueueDirectories = c.paths(m)
	case "Sockets":
		c.sockets(m)
	case "inetdCompatibility":
		c.inetd(m)
	case "Umask":
		c.umask(m)
	case "Nice":
		c.job.Nice = int(c.number(m, minNice, maxNice))
	case "SoftResourceLimits":
		c.job.SoftLimits = c.limits(m)
	case "HardResourceLimits":
		c.job.HardLimits = c.limits(m)
	case "UserName", "GroupName":
		c.account(m)
	case "InitGroups":
		c.job.NoInitGroups = !yes
	case "RootDirectory":
		c.rootDirectory(m)
	case "Debug":
		c.job.Debug = yes
	case "WaitForDebugger":
		c.job.WaitForDebugger = yes
	case "ProcessType":
		c.processType(m)
	case "LowPriorityIO":
		c.job.LowPriorityIO = yes
	case "EnableGlobbing":
		if yes {
			c.add(Error, m.value.pos, m.key, "\"EnableGlobbing\" is refused: what the arguments are must not depend on which files there are; write them out")
		}
	}
}

// number reads an integer within bounds; one that is not is an error and reads as 0.
func (c *checker) number(m member, least, most int64) int64 {
	n, err := integer(m.value.text)
	if err != nil || n < least || n > most {
		c.add(Error, m.value.pos, m.key, "%q goes from %d to %d, not %s", m.key, least, most, shorten(m.value.text))
		return 0
	}
	return n
}

func (c *checker) seconds(m member, least int64) time.Duration {
	n, err := integer(m.value.text)
	if err != nil || n < least || n > maxSeconds {
		c.add(Error, m.value.pos, m.key, "%q is in seconds, from %d to %d", m.key, least, maxSeconds)
		return 0
	}
	return time.Duration(n) * time.Second
}

// umask reads an integer, or a string as strtoul(3) does: 0 in front is octal.
func (c *checker) umask(m member) {
	n, err := strconv.ParseUint(m.value.text, 0, 16)
	if m.value.kind == integerKind {
		var i int64
		i, err = integer(m.value.text)
		n = uint64(i)
	}
	if err != nil || n > 0o777 {
		c.add(Error, m.value.pos, m.key, "\"Umask\" goes from 0 to 511, or is a string from \"0\" to \"0777\", not %s", shorten(m.value.text))
		return
	}
	mask := int(n)
	c.job.Umask = &mask
	if m.value.kind == integerKind && octal(m.value.text) {
		c.add(Warning, m.value.pos, m.key, "\"Umask\" %s is decimal, that is octal %04o: write the string \"0%s\" if octal is meant", m.value.text, mask, m.value.text)
	}
}

// octal says whether an integer looks as if its author thought in octal, as 22 and 77 do.
func octal(text string) bool {
	switch text {
	case "22", "27", "77", "37", "33", "26", "66", "222", "277", "177":
		return true
	}
	return false
}

// account takes down whom the job is to run as. Who that is, is found out at
// each start; here a name that nobody has is told.
func (c *checker) account(m member) {
	named, field, what := userID, &c.job.UserName, "user"
	if m.key == "GroupName" {
		named, field, what = groupID, &c.job.GroupName, "group"
	}
	if m.value.text == "" {
		c.add(Error, m.value.pos, m.key, "%q is empty: name a %s or remove the key", m.key, what)
		return
	}
	*field = m.value.text
	if _, err := parseID(m.value.text, named); err != nil {
		c.add(Warning, m.value.pos, m.key, "%v; until then the job cannot be started", err)
	}
	c.rootOnly(m, "is not acted on: only root's registry starts programs as somebody else")
}

// rootOnly warns of a key for those whose registry is not root's.
func (c *checker) rootOnly(m member, text string) {
	c.job.RootOnly = append(c.job.RootOnly, Finding{Line: m.pos.line, Column: m.pos.column, Severity: Warning, Key: m.key,
		Text: fmt.Sprintf("key %q %s", m.key, text)})
}

// rootDirectory takes down where the job is locked in. Without the right to do
// that the job must not run: it would see what it was not meant to.
func (c *checker) rootDirectory(m member) {
	if m.value.text == "" {
		c.add(Error, m.value.pos, m.key, "%q is empty: give a path or remove the key", m.key)
		return
	}
	c.job.RootDirectory = m.value.text
	c.rootOnly(m, "keeps the job from being started: only root's registry can change the root folder")
}

// Values of ProcessType.
const (
	Background  = "Background"
	standard    = "Standard"
	adaptive    = "Adaptive"
	interactive = "Interactive"
)

func (c *checker) processType(m member) {
	switch m.value.text {
	case Background, standard, interactive:
		c.job.ProcessType = m.value.text
	case adaptive:
		c.add(Warning, m.value.pos, m.key, "\"ProcessType\" Adaptive is Standard here: no priority follows the messages")
	default:
		c.add(Error, m.value.pos, m.key, "\"ProcessType\" is %s, %s, %s or %s, not %s", Background, standard, adaptive, interactive, shorten(m.value.text))
	}
}
