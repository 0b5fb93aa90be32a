package main

import (
	"fmt"
	"strings"
)

type options struct {
	quick bool
	only  []string
	works []string
	docs  string
}

func list(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

func orchestrate(o options) error {
	s, err := newSite()
	if err != nil {
		return err
	}
	defer s.close()
	var rs []*running
	for _, p := range peers {
		r, err := launch(s, p)
		if err != nil {
			return err
		}
		rs = append(rs, r)
	}
	p50 := map[string][]float64{}
	for range 9 {
		for _, r := range rs {
			out, err := r.ask(command{"rtt", 64, 1, 200})
			if err != nil {
				return err
			}
			p50[r.peer.key] = append(p50[r.peer.key], out.P50)
		}
	}
	x := spreadOf(ratios(p50[ours], p50[limit]))
	fmt.Printf("64 B round trip: %.2f times raw C (p10 %.2f, p90 %.2f)\n", x.Median, x.P10, x.P90)
	for _, r := range rs {
		fmt.Printf("%-6s %6.1f us\n", r.peer.key, spreadOf(p50[r.peer.key]).Median/1e3)
	}
	for _, r := range rs {
		c, sv, err := r.trace(200)
		fmt.Printf("%s: system calls per round trip: client %v; server %v; %v\n", r.peer.key, c, sv, err)
	}
	return nil
}
