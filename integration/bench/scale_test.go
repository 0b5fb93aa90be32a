package main

import (
	"strings"
	"testing"
)

// Only what was measured is told, and what is told says what it is compared with.
func TestScaleTellsWhatWasMeasured(t *testing.T) {
	r := &results{}
	if text := scaleText(r); text != "" {
		t.Errorf("nothing was measured and the report says %q", text)
	}
	r.Scale = &scale{Flood: floodScale{Alone: 10_000, Flooded: 20_000}}
	text := scaleText(r)
	if !strings.Contains(text, "2.00×") || strings.Contains(text, "idle connections") {
		t.Errorf("the report is %q, want the ratio of the flood alone", text)
	}
	if text := tables(r); !strings.Contains(text, "| ten clients beside a flooding one, by alone | at most 3.00 | 2.00 | met |") {
		t.Errorf("the targets lack the flood:\n%s", text)
	}
}

// The works about many of something are done by real processes, here with few.
func TestScaleWorks(t *testing.T) {
	s, err := newSite()
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	r, err := launch(s, xpcPeer)
	if err != nil {
		t.Fatal(err)
	}
	for _, cmd := range []command{{"active", 64, 20, 20}, {"flood", 64, 16, 20}} {
		if o, err := r.ask(cmd); err != nil || o.Calls < 20 {
			t.Errorf("%v: %d calls, %v", cmd, o.Calls, err)
		}
	}
	crowd, err := (&contest{site: s}).registryOf(20)
	if err != nil {
		t.Fatal(err)
	}
	if first, again, err := crowd.lookUp(20); err != nil || first == 0 || again == 0 {
		t.Errorf("look-ups took %v and %v, %v", first, again, err)
	}
	if _, _, err := crowd.lookUp(21); err == nil {
		t.Error("a name that no job has was found")
	}
}
