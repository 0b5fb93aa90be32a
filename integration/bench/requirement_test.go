package main

import (
	"strings"
	"testing"
)

// Only what was measured is told.
func TestRequirementsTellWhatWasMeasured(t *testing.T) {
	r := &results{}
	if text := requirementReport(r); text != "" {
		t.Errorf("nothing was measured and the report says %q", text)
	}
	r.Demands = &demands{Services: map[string]demand{"looks": {Connect: 200e3, AddsMessage: spread{Median: 4e3, N: 3}}}}
	text := tables(r)
	if !strings.Contains(text, "right to look at the client | 200 µs") || strings.Contains(text, "never seen takes") {
		t.Errorf("the report is %q, want the service that looks alone", text)
	}
	if !strings.Contains(text, "| a requirement adds to a message, median | at most 5.00 µs | 4.00 µs | met |") {
		t.Errorf("the targets lack the message:\n%s", text)
	}
}

// A client whose program is signed meets the requirement of both services.
func TestRequirementsAreMet(t *testing.T) {
	s, err := newSite()
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	c := &contest{site: s}
	root, signer, err := c.trust()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := sign(root, signer, s.self); err != nil {
		t.Fatal(err)
	}
	clients, err := c.demandingClients(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range clients {
		for _, cmd := range []command{{"connect", 64, 1, 20}, {"rtt", 64, 1, 20}} {
			if o, err := r.ask(cmd); err != nil || o.Calls == 0 {
				t.Errorf("%s, %v: %d calls, %v", r.peer.name, cmd, o.Calls, err)
			}
		}
		if _, err := r.ask(command{"open-together", 64, 20, 0}); err != nil {
			t.Errorf("%s: %v", r.peer.name, err)
		}
	}
}
