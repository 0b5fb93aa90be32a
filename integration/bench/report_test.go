package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

// sample is a run of two systems and one work.
func sample() *results {
	at := func(p50 float64) []round {
		return []round{{outcome: outcome{Calls: 10, Seconds: 1, P50: p50, P99: 2 * p50}}}
	}
	return &results{
		Rounds: map[string]map[string][]round{wRTT: {ours: at(13000), limit: at(10000)}},
		Traces: map[string]traces{ours: {
			Client: traced{PerCall: 2.5, Calls: map[string]float64{"recvmsg": 1, "sendto": 1, "futex": 0.5}},
			Server: traced{PerCall: 2, Calls: map[string]float64{"recvmsg": 1, "sendto": 1}},
		}},
		Missing: []missing{{"godbus", "", "dbus-daemon is not installed"}},
	}
}

func TestReportTellsTheRatioFirst(t *testing.T) {
	text := headline(sample())
	if !strings.HasPrefix(text, "64 B round trip through a named service: 1.30 times raw C") {
		t.Errorf("got %q, want the ratio of 13 to 10", text)
	}
}

func TestReportTellsWhatIsMissing(t *testing.T) {
	text := tables(sample())
	for _, want := range []string{
		"D-Bus, godbus: everything: dbus-daemon is not installed",
		"| 64 B round trip, by raw C's | at most 1.30 | 1.30 | met |",
		"| system calls on the socket of a round trip, client | at most 2.00 | 2.00 | met |", // futex moves nothing
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "NATS |") {
		t.Error("a system that was not measured has a line")
	}
}

// Whatever was not measured, nothing may divide by zero or index out of range.
func TestReportOfNothing(t *testing.T) {
	if text := tables(&results{}); !strings.Contains(text, "What was not measured") {
		t.Errorf("got %q", text)
	}
	plot(&results{})
}

func TestSpliceKeepsWhatIsWritten(t *testing.T) {
	page := splice("", "one")
	page = strings.Replace(page, end, end+"\nby hand", 1)
	page = splice("before\n"+page, "two")
	for text, want := range map[string]bool{"before": true, "by hand": true, "two": true, "one": false} {
		if strings.Contains(page, text) != want {
			t.Errorf("%q in the page: got %v, want %v\n%s", text, !want, want, page)
		}
	}
}

func TestPlotIsXML(t *testing.T) {
	d := xml.NewDecoder(strings.NewReader(plot(sample())))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestParseTrace(t *testing.T) {
	counts := parseTrace(`strace: Process 1 attached
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.000600           6       100           sendto
 40.00    0.000400           4       101         1 recvmsg
------ ----------- ----------- --------- --------- ----------------
100.00    0.001000           4       201         1 total
`)
	if len(counts) != 3 || counts["sendto"] != 100 || counts["recvmsg"] != 100 || counts["recvmsg"+inVain] != 1 {
		t.Errorf("got %v, want the two calls, what failed of them, and not their total", counts)
	}
}

func TestParseCommand(t *testing.T) {
	want := command{"rtt", 64, 1, 200}
	if got, err := parseCommand(want.String()); err != nil || got != want {
		t.Errorf("got %v, %v; want what was written", got, err)
	}
	if _, err := parseCommand("rtt 64"); err == nil {
		t.Error("half a command was taken for one")
	}
}

func TestNumbersForPeople(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{duration(1234), "1.23 µs"}, {duration(12.3e6), "12.3 ms"}, {duration(2e9), "2.00 s"}, {duration(0), "–"},
		{amount(9999), "9999"}, {amount(1.5e6), "1.50 M"}, {amount(3.2e9), "3.20 G"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}
