package main

import (
	"fmt"
	"slices"
	"strings"
)

// headline is the first line of output.
func headline(r *results) string {
	x := r.ratio(wRTT, ours, limit, p50)
	base := "raw C"
	against := limit
	if x.N == 0 { // no compiler here
		base, against = "blocking system calls in Go", rawGo.key
		x = r.ratio(wRTT, ours, against, p50)
	}
	if x.N == 0 {
		return ""
	}
	return fmt.Sprintf("64 B round trip through a named service: %.2f times %s (p10 %.2f, p90 %.2f of %d rounds): %s against %s\n",
		x.Median, base, x.P10, x.P90, x.N,
		duration(r.spread(wRTT, ours, p50).Median), duration(r.spread(wRTT, against, p50).Median))
}

// traceLine is the second one.
func traceLine(r *results) string {
	t, ok := r.Traces[ours]
	if !ok {
		return "system calls per round trip: not counted, see what could not be measured\n"
	}
	return fmt.Sprintf("system calls per round trip: client %v; service %v\n", t.Client, t.Server)
}

// tables is the whole report in Markdown.
func tables(r *results) string {
	var b strings.Builder
	run := "make bench"
	if r.Quick {
		run = "make bench BENCH=quick"
	}
	fmt.Fprintf(&b, "\n%s on %s, %d processors, %s, commit %s, %s; it took %d s.\n\n", run, r.Machine, r.Cores, r.Go, r.Commit, r.When, r.Seconds)
	b.WriteString(headline(r))
	b.WriteString(section(r, "Round trips", "Medians of the rounds, and in brackets their 10th and 90th percentile. p99 is of single calls.", roundTripColumns))
	b.WriteString(section(r, "Many at once", "64 B calls or messages per second over one connection; large echoes in bytes per second, counted once for both ways.", rateColumns))
	b.WriteString(section(r, "Connections", "", connectColumns))
	b.WriteString(section(r, "What a call costs", "Processor time and sleeps (voluntary context switches) are those of all processes together, daemons included. System calls are strace's count. It slows the processes down, and the Go runtime's own nanosleep, futex and epoll_pwait are many more than without it; sleeps are counted without it. On the socket those count that moved bytes; a reader of OpenXPC's looks for a short while before it sleeps, and what it asks in vain is among all calls. Allocations are for one 64 B call, and for OpenXPC for a dictionary of 8 fields.", costColumns))
	b.WriteString(budget(r))
	b.WriteString(launchText(r))
	b.WriteString(requirementReport(r))
	b.WriteString(scaleText(r))
	b.WriteString(traceList(r))
	b.WriteString(targetTable(r))
	b.WriteString(missingList(r))
	return b.String()
}

// column is one of a table.
type column struct {
	title string
	cell  func(r *results, system string) string
}

var roundTripColumns = []column{
	{"64 B", timeCell(wRTT, p50)},
	{"by raw C", func(r *results, s string) string { return times(r.ratio(wRTT, s, limit, p50)) }},
	{"p99", timeCell(wRTT, p99)},
	{"4 KiB", timeCell(wRTT4K, p50)},
	{"p99", timeCell(wRTT4K, p99)},
	{"1 MiB", timeCell(wMega, p50)},
	{"64 MiB", timeCell(wHuge, p50)},
}

var rateColumns = []column{
	{"64 callers", rateCell(wMany, 1)},
	{"256 callers", rateCell(wMany256, 1)},
	{"256 replies awaited", rateCell(wAsync, 1)},
	{"one-way", rateCell(wOneWay, 1)},
	{"1 MiB echo, B/s", rateCell(wMega, 1<<20)},
	{"64 MiB echo, B/s", rateCell(wHuge, 64<<20)},
}

var connectColumns = []column{
	{"connect + first reply", timeCell(wConnect, p50)},
	{"in its round trips", func(r *results, s string) string {
		return plain(inRoundTrips(wConnect, s, s)(r))
	}},
	{"idle: memory, client", idleCell(func(i idle) float64 { return i.Client.Memory })},
	{"server", idleCell(func(i idle) float64 { return i.Server.Memory })},
	{"resident, client", idleCell(func(i idle) float64 { return i.Client.Resident })},
	{"server", idleCell(func(i idle) float64 { return i.Server.Resident })},
	{"daemons", idleCell(func(i idle) float64 { return i.Brokers.Resident })},
	{"goroutines, client + server", idleCell(func(i idle) float64 { return i.Client.Goroutines + i.Server.Goroutines })},
	{"threads", idleCell(func(i idle) float64 { return i.Client.Threads + i.Server.Threads + i.Brokers.Threads })},
}

var costColumns = []column{
	{"processor time", timeCell(wRTT, cpu)},
	{"sleeps", func(r *results, s string) string { return plain(r.spread(wRTT, s, switches).Median) }},
	{"moved bytes: system calls, client", func(r *results, s string) string { return plain(r.Traces[s].Client.moving()) }},
	{"server", func(r *results, s string) string { return plain(r.Traces[s].Server.moving()) }},
	{"all, client", func(r *results, s string) string { return traceCell(r, s, func(t traces) traced { return t.Client }) }},
	{"server", func(r *results, s string) string { return traceCell(r, s, func(t traces) traced { return t.Server }) }},
	{"allocations, client", func(r *results, s string) string {
		return plain(r.spread(wAllocs, s, func(x round) float64 { return x.Allocs }).Median)
	}},
	{"server", func(r *results, s string) string {
		return plain(r.spread(wAllocs, s, func(x round) float64 { return x.ServerAllocs }).Median)
	}},
}

func traceCell(r *results, system string, of func(traces) traced) string {
	return plain(of(r.Traces[system]).PerCall)
}

func timeCell(work string, of func(round) float64) func(*results, string) string {
	return func(r *results, system string) string {
		s := r.spread(work, system, of)
		if s.N == 0 {
			return "–"
		}
		if s.N < 3 {
			return duration(s.Median)
		}
		return fmt.Sprintf("%s (%s–%s)", duration(s.Median), duration(s.P10), duration(s.P90))
	}
}

func rateCell(work string, unit float64) func(*results, string) string {
	return func(r *results, system string) string {
		s := r.spread(work, system, rate)
		if s.N == 0 {
			return "–"
		}
		return fmt.Sprintf("%s (%s–%s)", amount(s.Median*unit), amount(s.P10*unit), amount(s.P90*unit))
	}
}

func idleCell(of func(idle) float64) func(*results, string) string {
	return func(r *results, system string) string {
		i, ok := r.Idle[system]
		if !ok {
			return "–"
		}
		return amount(of(i))
	}
}

// section is a table with a line per system. It is left out when nothing in it
// was measured, and so are columns and lines.
func section(r *results, title, text string, columns []column) string {
	columns = slices.DeleteFunc(slices.Clone(columns), func(c column) bool { return emptyColumn(r, c) })
	if len(columns) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n### %s\n\n", title)
	if text != "" {
		fmt.Fprintf(&b, "%s\n\n", text)
	}
	b.WriteString("| |")
	for _, c := range columns {
		fmt.Fprintf(&b, " %s |", c.title)
	}
	fmt.Fprintf(&b, "\n|---|%s\n", strings.Repeat("---|", len(columns)))
	for _, p := range peers {
		var cells []string
		for _, c := range columns {
			cells = append(cells, c.cell(r, p.key))
		}
		if slices.ContainsFunc(cells, func(s string) bool { return s != "–" }) {
			fmt.Fprintf(&b, "| %s | %s |\n", p.name, strings.Join(cells, " | "))
		}
	}
	return b.String()
}

func emptyColumn(r *results, c column) bool {
	return !slices.ContainsFunc(peers, func(p *peer) bool { return c.cell(r, p.key) != "–" })
}

// budget tells what each layer adds to the round trip.
func budget(r *results) string {
	layers := []struct{ key, text string }{
		{limit, "the kernel: two wake-ups, two copies each way"},
		{rawGo.key, "the Go runtime around a blocking system call"},
		{transportPeer.key, "transport: framing, roles, credentials"},
		{ours, "xpc: objects, wire, connection, handler"},
	}
	var b strings.Builder
	below, cpuBelow := 0.0, 0.0
	for _, l := range layers {
		now, used := r.spread(wRTT, l.key, p50).Median, r.spread(wRTT, l.key, cpu).Median
		if now == 0 {
			return ""
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", l.text, micros(now-below), micros(used-cpuBelow))
		below, cpuBelow = now, used
	}
	return "\n### Where a 64 B round trip goes\n\nWhat each layer adds to the one above it in this table, both processes together.\n\n| layer | time | processor time |\n|---|---|---|\n" + b.String()
}

func launchText(r *results) string {
	cold := r.spread(wCold, ours, p50)
	if cold.N == 0 {
		return ""
	}
	return fmt.Sprintf("\n### Launch on demand\n\nFrom the first message to a service that does not run to its reply: %s, which is %s of fork and exec of the same program to its first line of output (%s). This is OpenXPC's only; the others find their server running.\n",
		duration(cold.Median), times(spreadOf(ratios(r.values(wCold, ours, p50), r.values(wCold, ours, baseP50)))), duration(r.spread(wCold, ours, baseP50).Median))
}

func traceList(r *results) string {
	if len(r.Traces) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("\n### System calls of one 64 B round trip\n\nThose of the other systems are in performance/results.json.\n\n")
	for _, p := range []*peer{xpcPeer, rawC, rawGo} {
		if t, ok := r.Traces[p.key]; ok {
			fmt.Fprintf(&b, "- %s: client %v; server %v\n", p.name, t.Client, t.Server)
		}
	}
	return b.String()
}

func targetTable(r *results) string {
	var b strings.Builder
	for _, t := range targets {
		if line := t.line(r); line != "" {
			b.WriteString(line)
		}
	}
	if b.Len() == 0 {
		return ""
	}
	return "\n### Targets\n\n| target | wanted | measured | |\n|---|---|---|---|\n" + b.String()
}

func missingList(r *results) string {
	var b strings.Builder
	b.WriteString("\n### What was not measured\n\n")
	offered := map[string][]string{}
	for _, m := range r.Missing {
		if m.Reason == errNotOffered.Error() {
			offered[m.System] = append(offered[m.System], m.Work)
			continue
		}
		work := m.Work
		if work == "" {
			work = "everything"
		}
		fmt.Fprintf(&b, "- %s: %s: %s\n", name(m.System), work, m.Reason)
	}
	for _, p := range peers {
		if len(offered[p.key]) > 0 {
			fmt.Fprintf(&b, "- %s has no counterpart of: %s\n", p.name, strings.Join(offered[p.key], "; "))
		}
	}
	b.WriteString("- OpenXPC's typed calls and its C library: they do not exist yet.\n")
	b.WriteString("\nHow to read the lines:\n\n")
	for _, p := range peers {
		fmt.Fprintf(&b, "- %s: %s.\n", p.name, p.note)
	}
	return b.String()
}

func name(key string) string {
	if p, err := findPeer(key); err == nil {
		return p.name
	}
	return key
}
