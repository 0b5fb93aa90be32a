package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// options are those of the command line.
type options struct {
	quick bool
	only  []string // keys of systems; nil means all
	works []string // keys of works; nil means all
	docs  string   // folder; "" means none
}

// list splits at commas; "" is nil.
func list(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

func (o options) compares(system string) bool {
	return o.only == nil || slices.Contains(o.only, system)
}

func (o options) wants(work string) bool { return o.works == nil || slices.Contains(o.works, work) }

// contest is one run.
type contest struct {
	options
	site    *site
	systems []*running
	results results
}

// orchestrate runs everything, prints it, and writes the documents.
func orchestrate(o options) error {
	s, err := newSite()
	if err != nil {
		return err
	}
	defer s.close()
	s.closeOnSignal()
	start := time.Now()
	c := &contest{options: o, site: s, results: results{
		When: start.UTC().Format("2006-01-02 15:04 UTC"), Machine: machine(), Cores: runtime.NumCPU(),
		Go: runtime.Version(), Commit: commit(), Quick: o.quick,
		Rounds: map[string]map[string][]round{}, Traces: map[string]traces{}, Idle: map[string]idle{},
	}}
	if err := c.launchAll(); err != nil {
		return err
	}
	c.measure()
	c.results.Seconds = int(time.Since(start).Seconds())
	fmt.Print(tables(&c.results))
	if o.docs == "" {
		return nil
	}
	return writeDocs(o.docs, &c.results)
}

func commit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

func (c *contest) launchAll() error {
	for _, key := range c.only {
		if _, err := findPeer(key); err != nil {
			return err
		}
	}
	for _, p := range peers {
		if !c.compares(p.key) {
			continue
		}
		progress("starting %s", p.name)
		r, err := launch(c.site, p)
		if err == nil {
			c.systems = append(c.systems, r)
			continue
		}
		if !skipped(err) {
			fmt.Fprintf(os.Stderr, "%s cannot be started: %v\n", p.name, err)
		}
		c.miss(p.key, "", err)
	}
	if len(c.systems) == 0 {
		return errors.New("bench: nothing to compare")
	}
	return nil
}

// progress keeps a person informed; results go to standard output.
func progress(format string, a ...any) {
	fmt.Fprintf(os.Stderr, "bench: "+format+"\n", a...)
}

// miss notes each reason once.
func (c *contest) miss(system, work string, err error) {
	m := missing{system, work, err.Error()}
	if !slices.Contains(c.results.Missing, m) {
		c.results.Missing = append(c.results.Missing, m)
	}
}

// measure does the round trip and its system calls first: they are what the
// first two lines of output tell.
func (c *contest) measure() {
	if c.wants(wRTT) {
		c.rounds(plan[0])
		fmt.Print(headline(&c.results))
	}
	if c.wants(wTrace) {
		progress("system calls of a round trip")
		c.measureTraces()
		fmt.Print(traceLine(&c.results))
	}
	for _, w := range plan[1:] {
		if c.wants(w.key) {
			c.rounds(w)
		}
	}
	if c.wants(wIdle) {
		c.measureIdle()
	}
	if c.wants(wDemand) && c.compares(ours) {
		c.measureRequirement()
	}
	if c.wants(wScale) {
		c.measureScale()
	}
}

// rounds lets the systems take turns.
func (c *contest) rounds(w work) {
	n := w.rounds
	if c.quick {
		n = w.quick
	}
	if n == 0 {
		return
	}
	progress("%s", w.title)
	systems := c.contenders(w)
	warm(systems, w.cmd)
	by := map[string][]round{}
	c.results.Rounds[w.key] = by
	for i := range n {
		for j := range systems {
			// Who comes after whom changes with each round.
			r := systems[(i+j)%len(systems)]
			key := r.peer.key
			one, err := r.once(w.cmd)
			if err != nil {
				c.miss(key, w.title, err)
			}
			by[key] = append(by[key], one)
		}
	}
}

// hugeLimit is how long an echo of 64 MiB may be expected to take.
const hugeLimit = 2e9 // ns

// contenders are the systems that take part. Who would need minutes for the
// largest echo, judged by the one before it, does not.
func (c *contest) contenders(w work) []*running {
	var rs []*running
	for _, r := range c.systems {
		mega := c.results.spread(wMega, r.peer.key, p50).Median
		switch {
		case w.own && r.peer.key != ours:
		case w.key == wHuge && 64*mega > hugeLimit:
			c.miss(r.peer.key, w.title, fmt.Errorf("left out, as 1 MiB took %s", duration(mega)))
		default:
			rs = append(rs, r)
		}
	}
	return rs
}

// warm asks each system once without looking at the answer.
func warm(systems []*running, cmd command) {
	cmd.ms = min(cmd.ms, 20)
	for _, r := range systems {
		r.ask(cmd)
	}
}

// once is one turn, with the processor time and the sleeps of all processes.
// Of the service that xpcd launches anew in a cold launch they are not known.
func (r *running) once(cmd command) (round, error) {
	before, usageErr := r.usage()
	o, err := r.ask(cmd)
	if err != nil || o.Calls == 0 {
		return round{}, err
	}
	one := round{outcome: o}
	if after, err := r.usage(); err == nil && usageErr == nil && cmd.work != "cold" {
		one.CPU = (after.cpu - before.cpu) / float64(o.Calls)
		one.Switches = (after.switches - before.switches) / float64(o.Calls)
	}
	return one, nil
}

// measureTraces counts system calls.
func (c *contest) measureTraces() {
	for _, r := range c.systems {
		client, server, err := r.trace(traceTime)
		if err != nil {
			c.miss(r.peer.key, "system calls", err)
			continue
		}
		c.results.Traces[r.peer.key] = traces{client, server}
	}
}

// measureIdle holds many connections of each system, one system after another.
func (c *contest) measureIdle() {
	n := idleConnections
	if c.quick {
		n = idleConnectionsQuick
	}
	for _, r := range c.systems {
		progress("%d idle connections of %s", n, r.peer.name)
		one, err := r.idle(n)
		if err != nil {
			c.miss(r.peer.key, "idle connections", err)
			continue
		}
		c.results.Idle[r.peer.key] = one
	}
}
