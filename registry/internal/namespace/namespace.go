// Package namespace is the registry's table of service names: who declares a
// name, who serves it, and who has looked it up.
//
// It is pure. Methods take ids and answer with [Change] records that say what
// the daemon has to do (make a socket, watch it, tell a client); nothing here
// sends, locks, sleeps or opens. A refused operation changes nothing.
//
// A name comes from one of two places:
//
//   - A job declares it. It exists, and can be looked up, from the job's load to
//     its unload, whether the job runs or not (R215). Only the job may check in.
//   - A program that no job launched registers it (ad hoc). It is the program's
//     until the program's connection to the registry ends.
//
// At any time a name has at most one owner: the client that checked in.
// A [Table] is for one goroutine at a time.
package namespace

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// What one client can make the table hold.
const (
	MaxAdHocNames = 256  // names registered by one client
	MaxLookUps    = 4096 // names that one client has looked up
)

// Client is one connection to the registry. Zero is nobody.
type Client uint64

// Caller is who asks to check in.
type Caller struct {
	Client Client
	Job    string // label of the job whose bootstrap socket the client holds, or ""
	AdHoc  bool   // whether the client may register a name that no job declares
	Again  bool   // whether it asks once more for what it may have been given already
}

// Kind says what a Change asks for.
type Kind uint8

// The kinds of change. A socket is asked for before anything else is done with it.
const (
	CreateSocket Kind = iota + 1 // make the name's listening socket
	CloseSocket                  // close it, and stop watching it
	Watch                        // tell the job when a client waits on the socket; again if it is watched already
	Unwatch                      // the owner accepts now
	Restamp                      // listen again, so that clients do not see the process that has ended
	Gone                         // tell Client that the name is gone for good, and why
)

var kindNames = [...]string{"", "create-socket", "close-socket", "watch", "unwatch", "restamp", "gone"}

// String is the kind in words, for logs and tests.
func (k Kind) String() string { return kindNames[k] }

// Change is one thing to do. Client and Reason are set for Gone only.
type Change struct {
	Kind   Kind
	Name   string
	Client Client
	Reason string
}

// Error is a refusal. Reason is a sentence for the caller.
type Error struct {
	Code   bootstrap.Code
	Reason string
}

// Error is the reason.
func (e *Error) Error() string { return e.Reason }

func refuse(code bootstrap.Code, format string, args ...any) error {
	return &Error{Code: code, Reason: fmt.Sprintf(format, args...)}
}

// entry is one name. Its states: declared and unserved, declared and active,
// ad hoc and active, ad hoc and checked out (kept for its owner).
type entry struct {
	name    string
	job     string // label, or "" for an ad-hoc name
	owner   Client // who checked in; of an ad-hoc name also after check-out
	active  bool   // checked in
	socket  bool
	watched bool
	lookers map[Client]struct{}
}

// holdings is what one client has in the table.
type holdings struct {
	looked map[*entry]struct{}
	owned  map[*entry]struct{}
	adHoc  int
}

// Table holds the names. The zero Table is empty and ready.
type Table struct {
	entries map[string]*entry
	jobs    map[string][]*entry // what each job declares, of up to 100,000 names
	clients map[Client]*holdings
}

// Declare adds the names of a job, all of them or none.
func (t *Table) Declare(job string, names []string) error {
	for i, name := range names {
		if err := checkName(name); err != nil {
			return refuse(bootstrap.BadRequest, "%v", err)
		}
		if e := t.entries[name]; e != nil {
			return refuse(bootstrap.NameInUse, "%q is in use by %s", name, e.holder())
		}
		if slices.Contains(names[:i], name) {
			return refuse(bootstrap.NameInUse, "%q is declared twice", name)
		}
	}
	for _, name := range names {
		t.add(&entry{name: name, job: job})
	}
	return nil
}

// Undeclare removes the names of a job; the clients that looked them up are told reason.
func (t *Table) Undeclare(job, reason string) []Change {
	var out []Change
	for _, e := range t.of(job) {
		out = append(out, t.remove(e, reason)...)
	}
	delete(t.jobs, job)
	return out
}

// LookUp subscribes c to the name. The first look-up makes the socket (design: names are cheap).
func (t *Table) LookUp(c Client, name string) ([]Change, error) {
	if err := checkName(name); err != nil {
		return nil, refuse(bootstrap.BadRequest, "%v", err)
	}
	e := t.entries[name]
	if e == nil {
		return nil, Unknown(name)
	}
	h := t.client(c)
	if _, ok := h.looked[e]; !ok {
		if len(h.looked) >= MaxLookUps {
			return nil, refuse(bootstrap.OverQuota, "this client has looked up %d names, the limit", MaxLookUps)
		}
		h.looked[e] = struct{}{}
		if e.lookers == nil {
			e.lookers = map[Client]struct{}{}
		}
		e.lookers[c] = struct{}{}
	}
	return e.prepare(), nil
}

// Unknown is the answer to a look-up of a name that there is not; a daemon that
// hides a name must give the same.
func Unknown(name string) error {
	return refuse(bootstrap.UnknownService, "no job declares %q and no program has registered it", name)
}

// Domain is what stands before the names of services that one process has for
// itself (R210): of the process pid, or of its connection number if that is not 0.
// No program can say such a name.
func Domain(pid int, number Client) string {
	if number == 0 {
		return fmt.Sprintf("%s%d/", processes, pid)
	}
	return fmt.Sprintf("%s%d.%d/", processes, pid, number)
}

// Public is the name without its domain.
func Public(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }

const processes = "pid/"

func checkName(name string) error {
	if strings.HasPrefix(name, processes) {
		name = Public(name)
	}
	return bootstrap.CheckName(name)
}

// NotRegistered is the answer to a check-out of a name that there is not.
func NotRegistered(name string) error {
	return refuse(bootstrap.UnknownService, "%q is not registered", name)
}

// NotYours is the answer to who may not register names and whose job does not
// declare this one, whether another does or not.
func NotYours(name string) error {
	return refuse(bootstrap.NotPrivileged, "no loaded job declares %q, and this program may not register names", name)
}

// CheckIn makes the caller the one that serves the name (R214).
func (t *Table) CheckIn(c Caller, name string) ([]Change, error) {
	if err := checkName(name); err != nil {
		return nil, refuse(bootstrap.BadRequest, "%v", err)
	}
	e := t.entries[name]
	if err := t.mayCheckIn(c, e, name); err != nil {
		return nil, err
	}
	if e == nil {
		e = t.add(&entry{name: name})
		t.client(c.Client).adHoc++
	}
	e.owner, e.active = c.Client, true
	t.client(c.Client).owned[e] = struct{}{}
	var out []Change
	if !e.socket {
		e.socket = true
		out = append(out, Change{Kind: CreateSocket, Name: name})
	}
	if e.watched {
		e.watched = false
		out = append(out, Change{Kind: Unwatch, Name: name})
	}
	return out, nil
}

func (t *Table) mayCheckIn(c Caller, e *entry, name string) error {
	switch {
	case e == nil && !c.AdHoc:
		return NotYours(name)
	case e == nil && t.adHocCount(c.Client) >= MaxAdHocNames:
		return refuse(bootstrap.OverQuota, "this client has registered %d names, the limit", MaxAdHocNames)
	case e == nil:
		return nil
	case e.job != "" && e.job != c.Job:
		return refuse(bootstrap.NotPrivileged, "%q belongs to %s", name, e.holder())
	case e.owner == c.Client && c.Again:
		return nil
	case e.active, e.job == "" && e.owner != c.Client:
		return refuse(bootstrap.ServiceActive, "%q is served by %s already", name, e.holder())
	}
	return nil
}

// Restore puts a name back as an earlier table had it: with a socket, and if owner is
// not zero checked in by that client, or if not active, checked out. A job's name was
// declared before; any other is ad hoc, and owner's.
func (t *Table) Restore(name string, owner Client, active bool) []Change {
	e := t.entries[name]
	if e == nil {
		e = t.add(&entry{name: name})
		t.client(owner).adHoc++
	}
	e.socket = true
	if owner != 0 {
		e.owner, e.active = owner, active
		t.client(owner).owned[e] = struct{}{}
		return nil
	}
	e.watched = true
	return []Change{{Kind: Restamp, Name: name}, {Kind: Watch, Name: name}}
}

// Reclaim makes a name of one client another's, who may check it in then: the same
// program, over a new connection.
func (t *Table) Reclaim(to Client, name string) {
	e := t.entries[name]
	if e == nil || e.owner == 0 {
		return
	}
	from := t.clients[e.owner]
	delete(from.owned, e)
	if e.job == "" {
		from.adHoc--
		t.client(to).adHoc++
	}
	t.tidy(e.owner, from)
	e.owner, e.active = to, false
	t.client(to).owned[e] = struct{}{}
}

// CheckOut ends the caller's service of the name. The name stays, and its
// clients queue until somebody checks in again (R110).
func (t *Table) CheckOut(c Client, name string) error {
	e := t.entries[name]
	if e == nil {
		return NotRegistered(name)
	}
	if !e.active || e.owner != c {
		return refuse(bootstrap.NotPrivileged, "%q was not checked in by this client", name)
	}
	t.checkOut(e)
	return nil
}

func (t *Table) checkOut(e *entry) {
	e.active = false
	if e.job == "" {
		return
	}
	if h := t.clients[e.owner]; h != nil {
		delete(h.owned, e)
		t.tidy(e.owner, h)
	}
	e.owner = 0
}

// ClientGone forgets a client: its look-ups, what it serves, and the names that it registered.
func (t *Table) ClientGone(c Client) []Change {
	h := t.clients[c]
	if h == nil {
		return nil
	}
	for e := range h.looked {
		delete(e.lookers, c)
	}
	clear(h.looked)
	var out []Change
	for _, e := range sorted(h.owned) {
		if e.job != "" {
			t.checkOut(e)
			continue
		}
		out = append(out, t.remove(e, fmt.Sprintf("the program that registered %q has ended", e.name))...)
	}
	delete(t.clients, c)
	return out
}

// JobEnded gives the job's names back to the registry: nobody serves them, and
// every socket is stamped anew and watched. It serves after an exit and after a failed start.
func (t *Table) JobEnded(job string) []Change {
	var out []Change
	for _, e := range t.of(job) {
		if e.active {
			t.checkOut(e)
		}
		if !e.socket {
			continue
		}
		e.watched = true
		out = append(out, Change{Kind: Restamp, Name: e.name}, Change{Kind: Watch, Name: e.name})
	}
	return out
}

// Reset ends a declared name as if its job were unloaded, and declares it anew.
func (t *Table) Reset(name, reason string) []Change {
	e := t.entries[name]
	if e == nil || e.job == "" {
		return nil
	}
	out := t.remove(e, reason)
	t.add(&entry{name: name, job: e.job})
	return out
}

// Names lists the names that job declares, sorted; "" lists the ad-hoc ones.
func (t *Table) Names(job string) []string {
	var out []string
	for _, e := range t.of(job) {
		out = append(out, e.name)
	}
	return out
}

// Info is what is known of a name.
type Info struct {
	Job     string // label, or "" for an ad-hoc name
	Owner   Client // who checked in, or zero
	Active  bool   // an owner has checked in
	Lookers int    // clients that have looked it up
}

// Get describes a name; ok is false if there is none.
func (t *Table) Get(name string) (info Info, ok bool) {
	e := t.entries[name]
	if e == nil {
		return Info{}, false
	}
	return Info{Job: e.job, Owner: e.owner, Active: e.active, Lookers: len(e.lookers)}, true
}

// Len is the number of names.
func (t *Table) Len() int { return len(t.entries) }

func (t *Table) add(e *entry) *entry {
	if t.entries == nil {
		t.entries, t.jobs = map[string]*entry{}, map[string][]*entry{}
	}
	t.entries[e.name] = e
	if e.job != "" {
		t.jobs[e.job] = append(t.jobs[e.job], e)
	}
	return e
}

// remove takes a name off the table, for good.
func (t *Table) remove(e *entry, reason string) []Change {
	var out []Change
	if e.socket {
		out = append(out, Change{Kind: CloseSocket, Name: e.name})
	}
	for _, c := range slices.Sorted(maps.Keys(e.lookers)) {
		out = append(out, Change{Kind: Gone, Name: e.name, Client: c, Reason: reason})
		h := t.clients[c]
		delete(h.looked, e)
		t.tidy(c, h)
	}
	if h := t.clients[e.owner]; h != nil {
		delete(h.owned, e)
		if e.job == "" {
			h.adHoc--
		}
		t.tidy(e.owner, h)
	}
	delete(t.entries, e.name)
	if e.job != "" {
		t.jobs[e.job] = slices.DeleteFunc(t.jobs[e.job], func(x *entry) bool { return x == e })
	}
	return out
}

func (t *Table) client(c Client) *holdings {
	if t.clients == nil {
		t.clients = map[Client]*holdings{}
	}
	h := t.clients[c]
	if h == nil {
		h = &holdings{looked: map[*entry]struct{}{}, owned: map[*entry]struct{}{}}
		t.clients[c] = h
	}
	return h
}

// tidy forgets a client that holds nothing any more.
func (t *Table) tidy(c Client, h *holdings) {
	if len(h.looked) == 0 && len(h.owned) == 0 {
		delete(t.clients, c)
	}
}

func (t *Table) adHocCount(c Client) int {
	if h := t.clients[c]; h != nil {
		return h.adHoc
	}
	return 0
}

// of lists a job's entries by name; "" lists the ad-hoc ones.
func (t *Table) of(job string) []*entry {
	found := map[*entry]struct{}{}
	for _, e := range t.jobs[job] {
		found[e] = struct{}{}
	}
	if job == "" {
		for _, e := range t.entries {
			if e.job == "" {
				found[e] = struct{}{}
			}
		}
	}
	return sorted(found)
}

func sorted(set map[*entry]struct{}) []*entry {
	return slices.SortedFunc(maps.Keys(set), func(a, b *entry) int {
		if a.name < b.name {
			return -1
		}
		return 1
	})
}

// prepare makes the socket that a look-up needs, watched while a job is to be launched for it.
func (e *entry) prepare() []Change {
	if e.socket {
		return nil
	}
	e.socket = true
	out := []Change{{Kind: CreateSocket, Name: e.name}}
	if e.job != "" && !e.active {
		e.watched = true
		out = append(out, Change{Kind: Watch, Name: e.name})
	}
	return out
}

func (e *entry) holder() string {
	if e.job != "" {
		return fmt.Sprintf("job %q", e.job)
	}
	return "a program that no job launched"
}
