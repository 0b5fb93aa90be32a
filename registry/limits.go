package registry

import (
	"maps"
	"slices"
	"strings"
)

// limitNames are the resources of SoftResourceLimits and HardResourceLimits;
// their numbers are setrlimit(2)'s, in bytes, seconds or pieces.
var limitNames = []string{"CPU", "Core", "Data", "FileSize", "MemoryLock", "NumberOfFiles", "NumberOfProcesses", "ResidentSetSize", "Stack"}

// limits reads a dictionary of numbers.
func (c *checker) limits(m member) map[string]uint64 {
	limits := map[string]uint64{}
	for _, l := range m.value.members {
		path := join(m.key, l.key)
		if !slices.Contains(limitNames, l.key) {
			c.add(Error, l.pos, path, "unknown resource %s of %q: there are %s", shorten(l.key), m.key, strings.Join(limitNames, ", "))
			continue
		}
		if !c.is(path, l, integerKind) {
			continue
		}
		n, err := integer(l.value.text)
		if err != nil || n < 0 {
			c.add(Error, l.value.pos, path, "the limit %q is a number from 0, not %s", l.key, shorten(l.value.text))
			continue
		}
		limits[l.key] = uint64(n)
	}
	return limits
}

// limitOrder finds soft limits above the hard ones, which no system accepts.
func (c *checker) limitOrder(soft *node) {
	for _, name := range slices.Sorted(maps.Keys(c.job.SoftLimits)) {
		hard, both := c.job.HardLimits[name]
		if !both || c.job.SoftLimits[name] <= hard {
			continue
		}
		for _, l := range soft.members {
			if l.key == name {
				c.add(Error, l.value.pos, join("SoftResourceLimits", name), "the soft limit %d of %q is above the hard one, %d", c.job.SoftLimits[name], name, hard)
			}
		}
	}
}
