package main

import (
	"fmt"
	"strings"
)

// scaleText is the report's part about many of something.
func scaleText(r *results) string {
	s := r.Scale
	if s == nil {
		return ""
	}
	var b strings.Builder
	b.WriteString("\n### Many of them\n\nOpenXPC alone.\n\n")
	if o := s.Idle; o.RoundTrip > 0 {
		fmt.Fprintf(&b, "- %d idle connections to one service, from two processes, which is what the %d descriptors of a process allow: each costs the service %s bytes of memory (%s resident), %s goroutines and %s threads; it holds %s bytes with them, %s resident. 50,000 would take %s bytes, as each costs the same. One more client gets its round trip in %s, against %s beside %d connections (%s), and connects with first reply in %s against %s (%s).\n",
			o.Connections, o.Connections+spareFiles, amount(o.Service.Memory), amount(o.Service.Resident), plain(o.Service.Goroutines), plain(o.Service.Threads),
			amount(o.ServiceMemory), amount(o.Resources), amount(50_000*o.Service.Memory),
			duration(o.RoundTrip), duration(o.RoundTripFew), o.Few, timesOf(o.RoundTrip, o.RoundTripFew),
			duration(o.Connect), duration(o.ConnectFew), timesOf(o.Connect, o.ConnectFew))
	}
	if o := s.Active; o.Rate > 0 {
		fmt.Fprintf(&b, "- %d connections of one process that all call at once: %s calls/s, against %s of 64 callers on one connection, with %d threads in the client and %d in the service.\n",
			o.Connections, amount(o.Rate), amount(o.RateOfOne), o.ClientThreads, o.ServiceThreads)
	}
	if o := s.Flood; o.Flooded > 0 {
		fmt.Fprintf(&b, "- Ten clients have round trips of %s; beside a client that floods the service with calls, 256 awaited, and one-way messages, %s a second in all, they have %s (%s), and in all %s calls a second after %s (%s).\n",
			duration(o.Alone), amount(o.FloodRate), duration(o.Flooded), timesOf(o.Flooded, o.Alone),
			amount(o.RateFlooded), amount(o.RateAlone), timesOf(o.RateFlooded, o.RateAlone))
	}
	if o := s.Names; o.LookUp > 0 {
		fmt.Fprintf(&b, "- A registry of %d names, ten of each job, answers %s s after its start, and takes %s resident bytes for each name, %s once it has been looked up. A look-up takes %s (the first one of a name, which makes its socket, %s), against %s in a registry of %d (%s).\n",
			o.Names, plain(o.Start), amount(o.Idle), amount(o.Used), duration(o.LookUp), duration(o.FirstLookUp), duration(o.LookUpFew), o.Few, timesOf(o.LookUp, o.LookUpFew))
	}
	return b.String()
}

func timesOf(a, b float64) string { return times(spreadOf([]float64{a / b})) }
