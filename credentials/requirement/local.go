package requirement

import (
	"errors"
	"fmt"
	"strings"
)

// UID is met by processes of one of the users; by nobody if there are none.
func UID(ids ...int) (*Requirement, error) { return idsOf(false, ids) }

// GID is met by processes whose effective or supplementary groups have one of the
// groups. Where the kernel does not tell of supplementary groups they count as none.
func GID(ids ...int) (*Requirement, error) { return idsOf(true, ids) }

func idsOf(group bool, ids []int) (*Requirement, error) {
	list := make([]node, len(ids))
	for i, n := range ids {
		if n < 0 || int64(n) >= 1<<32-1 {
			return nil, fmt.Errorf("requirement: %d is no user or group id", n)
		}
		list[i] = id{group, n}
	}
	if len(list) == 0 {
		return &Requirement{never{}}, nil
	}
	return &Requirement{anyOf(list)}, nil
}

// Unit is met by processes of the systemd unit name ("sshd.service").
func Unit(name string) (*Requirement, error) { return placed(unit, equal, name) }

// Cgroup is met by processes in the control group path or one below it
// ("/system.slice").
func Cgroup(path string) (*Requirement, error) {
	if !strings.HasPrefix(path, "/") {
		return nil, fmt.Errorf("requirement: a control group's path begins with a slash, not as %q", path)
	}
	path = strings.TrimRight(path, "/")
	self, _ := placed(cgroup, equal, path+"/")
	below, err := placed(cgroup, begins, path+"/")
	if path != "" && err == nil {
		self, err = placed(cgroup, equal, path)
	}
	if err != nil {
		return nil, err
	}
	return Or(self, below), nil
}

// Label is met by processes that the system's security module (SELinux, AppArmor)
// calls so.
func Label(name string) (*Requirement, error) { return placed(label, equal, name) }

// Container is met by processes in the container of that name; with "", in any.
func Container(name string) (*Requirement, error) {
	if name == "" {
		return &Requirement{place{container, match{}}}, nil
	}
	return placed(container, equal, name)
}

// Host is met by processes that are in no container.
func Host() *Requirement { return &Requirement{host{}} }

// MinAssurance is met by processes that are known at least so well.
func MinAssurance(a Assurance) (*Requirement, error) {
	if a > Enforced {
		return nil, fmt.Errorf("requirement: no assurance is numbered %d", uint8(a))
	}
	return &Requirement{assured(a)}, nil
}

func placed(k placeKind, o op, name string) (*Requirement, error) {
	if err := checkText("the name of a "+k.String(), name); err != nil {
		return nil, err
	}
	return &Requirement{place{k, match{o, name}}}, nil
}

type id struct {
	group bool
	n     int
}

func (i id) eval(f *Facts) Verdict {
	c := f.Credentials
	switch {
	case !i.group && c.UID == -1:
		return Indeterminate
	case !i.group:
		return verdict(c.UID == i.n)
	case c.GID == i.n || c.Groups.Has(i.n):
		return True
	case c.GID == -1:
		return Indeterminate
	}
	return False
}
func (i id) why(f *Facts) string { return "it is " + f.Credentials.String() }
func (i id) write(b *strings.Builder) {
	word := "uid"
	if i.group {
		word = "gid"
	}
	fmt.Fprintf(b, "%s %d", word, i.n)
}
func (i id) need(*Needs) {}

type placeKind uint8

const (
	unit placeKind = iota
	cgroup
	label
	container
)

var places = [...]string{"unit", "cgroup", "label", "container"}

func (k placeKind) String() string { return places[k] }

// place is where a process lives, or what it is called there.
type place struct {
	kind  placeKind
	match match
}

func (p place) value(f *Facts) string {
	return [...]string{f.Unit, f.Cgroup, f.Label, f.Container}[p.kind]
}

func (p place) eval(f *Facts) Verdict {
	v := p.value(f)
	switch {
	case v != "":
		return verdict(p.match.holds(v, true))
	case p.kind == container && f.Host != nil && *f.Host:
		return False
	}
	return Indeterminate
}
func (p place) why(f *Facts) string {
	v := p.value(f)
	if v == "" {
		return "its " + p.kind.String() + " is not known, or it has none"
	}
	return found(v, true)
}
func (p place) write(b *strings.Builder) {
	b.WriteString(p.kind.String())
	if p.match.op != exists {
		p.match.write(b)
	}
}
func (p place) need(n *Needs) {
	*[...]*bool{&n.Unit, &n.Cgroup, &n.Label, &n.Container}[p.kind] = true
}

type host struct{}

func (host) eval(f *Facts) Verdict { return known(f.Host) }
func (host) why(f *Facts) string {
	if f.Host == nil {
		return "whether it is in a container is not known"
	}
	return "it is in a container: " + f.Container
}
func (host) write(b *strings.Builder) { b.WriteString("host") }
func (host) need(n *Needs)            { n.Container = true }

func known(b *bool) Verdict {
	if b == nil {
		return Indeterminate
	}
	return verdict(*b)
}

type assured Assurance

func (a assured) eval(f *Facts) Verdict { return verdict(f.Assurance >= Assurance(a)) }
func (a assured) why(f *Facts) string {
	if f.Why != "" {
		return "it is " + f.Assurance.String() + ": " + f.Why
	}
	return "it is " + f.Assurance.String()
}
func (a assured) write(b *strings.Builder) { b.WriteString("assurance " + Assurance(a).String()) }
func (a assured) need(n *Needs)            { n.Assurance = true }

func assuranceOf(word string) (Assurance, error) {
	for a := CredentialsOnly; a <= Enforced; a++ {
		if a.String() == word {
			return a, nil
		}
	}
	return 0, errors.New("an assurance is credentials, image, granted or enforced")
}
