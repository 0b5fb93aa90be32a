package registry

import (
	"encoding/json"
	"fmt"

	"github.com/openxpc/openxpc/credentials/requirement"
)

// NameRequirement says which programs may have to do with a name, beside who may
// (Access). The zero NameRequirement lets every program. It is read-only by convention.
type NameRequirement struct {
	// LookUp must be met by who looks the name up; nil: nothing is required.
	LookUp *requirement.Requirement
	// Own must be met by the job's own process when it checks the name in; nil likewise.
	Own *requirement.Requirement
}

// requirementTexts is how a NameRequirement is written down.
type requirementTexts struct{ LookUp, Own *string }

// MarshalJSON writes the requirements as texts, so that the next xpcd has them too.
func (r NameRequirement) MarshalJSON() ([]byte, error) {
	var t requirementTexts
	for to, need := range map[**string]*requirement.Requirement{&t.LookUp: r.LookUp, &t.Own: r.Own} {
		if need != nil {
			text := need.String()
			*to = &text
		}
	}
	return json.Marshal(t)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (r *NameRequirement) UnmarshalJSON(b []byte) error {
	var t requirementTexts
	if err := json.Unmarshal(b, &t); err != nil {
		return err
	}
	*r = NameRequirement{}
	for text, to := range map[*string]**requirement.Requirement{t.LookUp: &r.LookUp, t.Own: &r.Own} {
		if text == nil {
			continue
		}
		need, err := requirement.Parse(*text)
		if err != nil {
			return fmt.Errorf("requirement %q: %w", *text, err)
		}
		*to = need
	}
	return nil
}

// require reads a service's Requirement: a text is who may look the name up.
func (c *checker) require(path, service string, n *node) {
	var r NameRequirement
	switch n.kind {
	case nullKind:
		return
	case stringKind:
		r.LookUp = c.requirement(path, n)
	case dictKind:
		for _, m := range n.members {
			name := join(path, m.key)
			switch {
			case m.key != "LookUp" && m.key != "Own":
				c.add(Error, m.pos, name, "unknown key %s of %q: it knows LookUp and Own", shorten(m.key), path)
			case m.value.kind == nullKind:
			case m.value.kind != stringKind:
				c.add(Error, m.value.pos, name, "%q must be a string, a requirement's text, not %s", m.key, m.value.kind.withArticle())
			case m.key == "LookUp":
				r.LookUp = c.requirement(name, m.value)
			default:
				r.Own = c.requirement(name, m.value)
			}
		}
	default:
		c.add(Error, n.pos, path, "\"Requirement\" must be a requirement's text, or a dictionary of LookUp and Own, not %s", n.kind.withArticle())
		return
	}
	if c.job.Requirements == nil {
		c.job.Requirements = map[string]NameRequirement{}
	}
	c.job.Requirements[service] = r
}

// requirement reads one text. A file has as many as it has names, and each costs time.
func (c *checker) requirement(path string, n *node) *requirement.Requirement {
	if c.count[Error] >= maxFindings {
		return nil
	}
	r, err := requirement.Parse(n.text)
	if err == nil {
		err = r.Supported()
	}
	if err != nil {
		c.add(Error, n.pos, path, "%q: %v", path, err)
		return nil
	}
	return r
}
