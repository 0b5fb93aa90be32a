package registry

import (
	"slices"
	"time"
)

// MaxCalendar is how many entries a StartCalendarInterval may have.
const MaxCalendar = 1000

// Any in a field of a Calendar leaves the field open.
const Any = -1

// Calendar is one entry of StartCalendarInterval: the minutes whose fields are
// these, as in crontab(5). If both Day and Weekday are given, one of them is
// enough. The zero Calendar is of no use, as no month is 0; it is a plain value.
type Calendar struct {
	Minute  int // 0 to 59, or Any
	Hour    int // 0 to 23, or Any
	Day     int // of the month, 1 to 31, or Any
	Weekday int // 0 to 6 from Sunday, or Any
	Month   int // 1 to 12, or Any
}

// Next is the beginning of the first minute after now that is meant, in now's
// time zone, or the zero Time if there is none, as for February 30th. What falls
// into the hour that is left out in spring is left out.
func (c Calendar) Next(now time.Time) time.Time {
	const longest = 9 // years without a February 29th are at most eight
	t := now.Round(0).Truncate(time.Second).Add(-time.Duration(now.Second())*time.Second + time.Minute)
	for end := now.AddDate(longest, 0, 0); t.Before(end); {
		switch y, m, d := t.Date(); {
		case c.Month != Any && c.Month != int(m):
			t = later(t, time.Date(y, m+1, 1, 0, 0, 0, 0, t.Location()))
		case !c.onDay(t):
			t = later(t, time.Date(y, m, d+1, 0, 0, 0, 0, t.Location()))
		case c.Hour != Any && c.Hour != t.Hour():
			t = t.Add(time.Duration(60-t.Minute()) * time.Minute)
		case c.Minute != Any && c.Minute != t.Minute():
			t = t.Add(time.Minute)
		default:
			return t
		}
	}
	return time.Time{}
}

func (c Calendar) onDay(t time.Time) bool {
	day, weekday := c.Day == t.Day(), c.Weekday == int(t.Weekday())
	switch {
	case c.Day == Any && c.Weekday == Any:
		return true
	case c.Day == Any:
		return weekday
	case c.Weekday == Any:
		return day
	}
	return day || weekday
}

// later is next, or an hour after t: where a day begins without a midnight,
// next may lie before t.
func later(t, next time.Time) time.Time {
	if next.After(t) {
		return next
	}
	return t.Add(time.Hour)
}

// NextStart is the first minute after now that one of the entries of
// StartCalendarInterval means, or the zero Time.
func (j *Job) NextStart(now time.Time) time.Time {
	var first time.Time
	for _, c := range j.StartCalendar {
		if t := c.Next(now); !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}

// calendar reads a dictionary or an array of them.
func (c *checker) calendar(m member) {
	entries := m.value.items
	if m.value.kind == dictKind {
		entries = []*node{m.value}
	}
	if len(entries) > MaxCalendar {
		c.add(Error, m.value.pos, m.key, "%q has %d entries, the limit is %d", m.key, len(entries), MaxCalendar)
		return
	}
	for _, e := range entries {
		switch e.kind {
		case dictKind:
			c.calendarEntry(m.key, e)
		case nullKind:
		default:
			c.add(Error, e.pos, m.key, "%q is a dictionary or an array of dictionaries, not of %s", m.key, e.kind)
		}
	}
}

type calendarField struct {
	name        string
	least, most int64
	of          func(*Calendar) *int
}

var calendarFields = []calendarField{
	{"Minute", 0, 59, func(c *Calendar) *int { return &c.Minute }},
	{"Hour", 0, 23, func(c *Calendar) *int { return &c.Hour }},
	{"Day", 1, 31, func(c *Calendar) *int { return &c.Day }},
	{"Weekday", 0, 7, func(c *Calendar) *int { return &c.Weekday }},
	{"Month", 1, 12, func(c *Calendar) *int { return &c.Month }},
}

func (c *checker) calendarEntry(path string, e *node) {
	entry := Calendar{Any, Any, Any, Any, Any}
	good := true
	for _, f := range e.members {
		name := join(path, f.key)
		i := slices.IndexFunc(calendarFields, func(k calendarField) bool { return k.name == f.key })
		switch {
		case i < 0:
			c.add(Error, f.pos, name, "unknown key %s of %q: it knows Minute, Hour, Day, Weekday and Month", shorten(f.key), path)
			good = false
		case !c.is(name, f, integerKind):
			good = false
		default:
			k := calendarFields[i]
			before := c.count[Error]
			*k.of(&entry) = int(c.number(f, k.least, k.most))
			good = good && c.count[Error] == before
		}
	}
	if entry.Weekday == 7 {
		entry.Weekday = 0 // both are Sunday
	}
	if good && entry.Next(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		c.add(Error, e.pos, path, "no month has such a day: correct Day and Month of %q", path)
		return
	}
	c.job.StartCalendar = append(c.job.StartCalendar, entry)
}

// paths reads an array of paths.
func (c *checker) paths(m member) []string {
	var paths []string
	if n := len(m.value.items); n > MaxConditions {
		c.add(Error, m.value.pos, m.key, "%q has %d entries, the limit is %d", m.key, n, MaxConditions)
		return nil
	}
	for i, item := range m.value.items {
		switch {
		case item.kind == nullKind:
		case item.kind != stringKind || item.text == "":
			c.add(Error, item.pos, m.key, "item %d of %q must be a path", i, m.key)
		default:
			paths = append(paths, item.text)
		}
	}
	return paths
}
