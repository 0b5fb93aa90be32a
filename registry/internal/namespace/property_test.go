package namespace

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// model follows the changes as the daemon would, and knows less than the table:
// what it believes must agree with the table after every operation.
type model struct {
	tab     Table
	sockets map[string]bool
	watched map[string]bool
	owner   map[string]Client
	lookers map[string]map[Client]bool
	loaded  map[string][]string
}

func newModel() *model {
	return &model{
		sockets: map[string]bool{}, watched: map[string]bool{}, owner: map[string]Client{},
		lookers: map[string]map[Client]bool{}, loaded: map[string][]string{},
	}
}

func (m *model) apply(t *rapid.T, changes []Change) {
	for _, c := range changes {
		switch c.Kind {
		case CreateSocket:
			if m.sockets[c.Name] {
				t.Fatalf("%s has a socket already", c.Name)
			}
			m.sockets[c.Name] = true
		case CloseSocket:
			m.needSocket(t, c)
			delete(m.sockets, c.Name)
			delete(m.watched, c.Name)
			delete(m.owner, c.Name)
		case Watch:
			m.needSocket(t, c)
			m.watched[c.Name] = true
		case Unwatch:
			m.needSocket(t, c)
			delete(m.watched, c.Name)
		case Restamp:
			m.needSocket(t, c)
		case Gone:
			if !m.lookers[c.Name][c.Client] {
				t.Fatalf("client %d is told about %s, which it never looked up", c.Client, c.Name)
			}
			delete(m.lookers[c.Name], c.Client)
		}
	}
}

func (m *model) needSocket(t *rapid.T, c Change) {
	if !m.sockets[c.Name] {
		t.Fatalf("%v of %s, which has no socket", c.Kind, c.Name)
	}
}

// check compares beliefs with the table, and looks for entries that nobody needs.
func (m *model) check(t *rapid.T) {
	held := map[Client]bool{}
	for name, owner := range m.owner {
		if info, ok := m.tab.Get(name); !ok || info.Owner != owner {
			t.Fatalf("%s is owned by %d, the table says %+v", name, owner, info)
		}
		held[owner] = true
	}
	for name, set := range m.lookers {
		if len(set) == 0 {
			continue
		}
		info, ok := m.tab.Get(name)
		if !ok || info.Lookers != len(set) {
			t.Fatalf("%s: %d clients wait to hear of it, the table says %+v", name, len(set), info)
		}
		for c := range set {
			held[c] = true
		}
	}
	declared := 0
	for _, names := range m.loaded {
		declared += len(names)
	}
	if got := m.tab.Len(); got != declared+len(m.tab.Names("")) {
		t.Fatalf("%d entries, %d declared: an entry leaks", got, declared)
	}
	for _, name := range m.tab.Names("") {
		if info, _ := m.tab.Get(name); !held[info.Owner] && m.owner[name] == 0 {
			t.Fatalf("%s has no program: %+v", name, info)
		}
	}
	if len(m.tab.clients) > len(held) {
		t.Fatalf("%d clients remembered, %d have something", len(m.tab.clients), len(held))
	}
	for name := range m.watched {
		if info, _ := m.tab.Get(name); info.Active {
			t.Fatalf("%s is served and watched", name)
		}
	}
}

// TestNeverTwoOwnersAndNoLeaks plays hostile clients against the table: whoever
// is told "yours" is the only one, for as long as it has not given the name back.
func TestNeverTwoOwnersAndNoLeaks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel()
		client := rapid.Custom(func(t *rapid.T) Client { return Client(rapid.IntRange(1, 32).Draw(t, "client")) })
		name := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f"})
		job := rapid.SampledFrom([]string{"J", "K"})
		adHoc := map[string]bool{}
		release := func(n string) { delete(m.owner, n) }
		t.Repeat(map[string]func(*rapid.T){
			"look": func(t *rapid.T) {
				c, n := client.Draw(t, "c"), name.Draw(t, "n")
				changes, err := m.tab.LookUp(c, n)
				m.apply(t, changes)
				if err == nil {
					if m.lookers[n] == nil {
						m.lookers[n] = map[Client]bool{}
					}
					m.lookers[n][c] = true
				}
			},
			"check in": func(t *rapid.T) {
				n := name.Draw(t, "n")
				c := Caller{Client: client.Draw(t, "c"), AdHoc: rapid.Bool().Draw(t, "ad hoc")}
				// A client is of one job for life, as its socket is.
				if c.Client%3 == 0 {
					c.Job = fmt.Sprintf("%c", 'J'+rune(c.Client%2))
				}
				before, had := m.tab.Get(n)
				changes, err := m.tab.CheckIn(c, n)
				m.apply(t, changes)
				if err != nil {
					return
				}
				if had && (before.Active || before.Job != "" && before.Job != c.Job) {
					t.Fatalf("%+v took %s from %+v", c, n, before)
				}
				if prev := m.owner[n]; prev != 0 && prev != c.Client {
					t.Fatalf("%s has two owners, %d and %d", n, prev, c.Client)
				}
				m.owner[n] = c.Client
				adHoc[n] = !had || before.Job == ""
			},
			"check out": func(t *rapid.T) {
				c, n := client.Draw(t, "c"), name.Draw(t, "n")
				if err := m.tab.CheckOut(c, n); err == nil {
					if m.owner[n] != c {
						t.Fatalf("%d checked out %s of %d", c, n, m.owner[n])
					}
					if !adHoc[n] {
						release(n)
					}
				}
			},
			"gone": func(t *rapid.T) {
				c := client.Draw(t, "c")
				for _, set := range m.lookers {
					delete(set, c)
				}
				for n, o := range m.owner {
					if o == c && !adHoc[n] {
						release(n)
					}
				}
				m.apply(t, m.tab.ClientGone(c))
			},
			"load": func(t *rapid.T) {
				j := job.Draw(t, "j")
				names := rapid.SliceOfNDistinct(name, 0, 3, rapid.ID).Draw(t, "names")
				if m.loaded[j] == nil && m.tab.Declare(j, names) == nil {
					m.loaded[j] = names
				}
			},
			"ended": func(t *rapid.T) {
				j := job.Draw(t, "j")
				for _, n := range m.loaded[j] {
					release(n)
				}
				m.apply(t, m.tab.JobEnded(j))
			},
			"unload": func(t *rapid.T) {
				j := job.Draw(t, "j")
				for _, n := range m.loaded[j] {
					release(n)
				}
				m.apply(t, m.tab.Undeclare(j, "unloaded"))
				delete(m.loaded, j)
			},
			"": m.check,
		})
		for c := Client(1); c <= 32; c++ {
			m.tab.ClientGone(c)
		}
		m.tab.Undeclare("J", "")
		m.tab.Undeclare("K", "")
		if m.tab.Len() != 0 || len(m.tab.clients) != 0 {
			t.Fatalf("%d names and %d clients are left when all have gone", m.tab.Len(), len(m.tab.clients))
		}
	})
}
