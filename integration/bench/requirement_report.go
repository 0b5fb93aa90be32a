package main

import (
	"fmt"
	"strings"
)

// requirementReport is the report's part about code signing requirements.
func requirementReport(r *results) string {
	d := r.Demands
	if d == nil {
		return ""
	}
	var b strings.Builder
	b.WriteString("\n### Requirements\n\nA service that demands a signature, with a client whose program the registry has verified before. In brackets, what that is more than without a requirement, round by round.\n\n")
	if len(d.Services) > 0 {
		b.WriteString("| the service has | connect + first reply | p99 | 64 B round trip | its processor time |\n|---|---|---|---|---|\n")
	}
	for _, p := range demanding {
		x, ok := d.Services[p.key]
		switch {
		case !ok:
		case p.key == "open":
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", p.name, duration(x.Connect), duration(x.Connect99), duration(x.Message), duration(x.CPU))
		default:
			fmt.Fprintf(&b, "| %s | %s (%s) | %s (%s) | %s (%s) | %s (%s) |\n", p.name,
				duration(x.Connect), micros(x.AddsConnect.Median), duration(x.Connect99), micros(x.AddsConnect99.Median),
				duration(x.Message), micros(x.AddsMessage.Median), duration(x.CPU), micros(x.AddsCPU.Median))
		}
	}
	b.WriteString("\n")
	if d.Known.Calls > 0 {
		fmt.Fprintf(&b, "- To find out who a process is whose program is known takes %s, and %s at the 99th percentile of %d.\n", duration(d.Known.P50), duration(d.Known.P99), d.Known.Calls)
	}
	if d.Cold.Calls > 0 {
		fmt.Fprintf(&b, "- To verify a program of 1 MiB that was never seen takes %s (the median of %d).\n", duration(d.Cold.P50), d.Cold.Calls)
	}
	if d.FirstTogether > 0 {
		fmt.Fprintf(&b, "- %d connections at once of a program of %s bytes that the registry does not know take %s s of its processor time, and %s s when it does; to hash the program takes %s s.\n",
			firstConnections, amount(float64(d.Image)), digits(d.FirstTogether), digits(d.AgainTogether), digits(d.Hashing))
	}
	return b.String()
}

func demanded(of func(*demands) float64) func(*results) float64 {
	return func(r *results) float64 {
		if r.Demands == nil {
			return 0
		}
		return of(r.Demands)
	}
}
