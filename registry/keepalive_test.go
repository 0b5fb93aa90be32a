package registry

import (
	"fmt"
	"strings"
	"testing"
)

func TestHolds(t *testing.T) {
	yes, no := true, false
	is := func(what string) bool { return what == "there" }
	tests := []struct {
		why    string
		k      KeepAlive
		ran    bool
		status int
		want   bool
	}{
		{"no condition, no reason", KeepAlive{}, true, 0, false},
		{"always", KeepAlive{Always: true}, true, 0, true},
		{"a success is wanted, and was", KeepAlive{SuccessfulExit: &yes}, true, 0, true},
		{"a success is wanted, and was not", KeepAlive{SuccessfulExit: &yes}, true, 1, false},
		{"a failure is wanted, and was a signal", KeepAlive{SuccessfulExit: &no}, true, -15, true},
		{"it must have run to tell how it ends", KeepAlive{SuccessfulExit: &yes}, false, 0, true},
		{"a crash", KeepAlive{Crashed: &yes}, true, -11, true},
		{"to be ended is no crash", KeepAlive{Crashed: &yes}, true, -9, false},
		{"neither is an exit code", KeepAlive{Crashed: &yes}, true, 11, false},
		{"anything but a crash", KeepAlive{Crashed: &no}, true, 1, true},
		{"conditions are OR-ed", KeepAlive{Crashed: &yes, SuccessfulExit: &yes}, true, 0, true},
		{"a path is there", KeepAlive{PathState: map[string]bool{"there": true, "none": true}}, true, 0, true},
		{"a path is gone", KeepAlive{PathState: map[string]bool{"none": false}}, true, 0, true},
		{"a path should be gone", KeepAlive{PathState: map[string]bool{"there": false}}, true, 0, false},
		{"a job is loaded", KeepAlive{OtherJobEnabled: map[string]bool{"there": true}}, true, 0, true},
		{"a job should be loaded", KeepAlive{OtherJobEnabled: map[string]bool{"none": true}}, true, 0, false},
	}
	for _, tt := range tests {
		if got := tt.k.Holds(tt.ran, tt.status, is, is); got != tt.want {
			t.Errorf("%s: got %v", tt.why, got)
		}
	}
}

func TestOnDemand(t *testing.T) {
	for text, want := range map[string]bool{
		`"OnDemand": false`:                      true, // R218
		`"OnDemand": true`:                       false,
		`"OnDemand": false, "KeepAlive": {}`:     false, // what has replaced it wins
		`"KeepAlive": false`:                     false,
		`"KeepAlive": true, "OnDemand": true`:    true,
		`"KeepAlive": false, "OnDemand": false`:  true,
		`"KeepAlive": {"SuccessfulExit": false}`: false,
	} {
		j, err := ParseJob("", []byte(`{"Label":"a","Program":"/p",`+text+`}`))
		if err != nil || (j.KeepAlive != nil && j.KeepAlive.Always) != want {
			t.Errorf("%s: %+v, %v; want %v", text, j, err, want)
		}
	}
}

func TestConditionsAreBounded(t *testing.T) {
	var b strings.Builder
	for i := range MaxConditions + 1 {
		if i == MaxConditions {
			_, err := ParseJob("", []byte(`{"Label":"a","Program":"/p","KeepAlive":{"PathState":{`+strings.TrimSuffix(b.String(), ",")+`}}}`))
			if err != nil {
				t.Errorf("at the limit: %v", err)
			}
		}
		fmt.Fprintf(&b, `"/%d":true,`, i)
	}
	_, err := ParseJob("", []byte(`{"Label":"a","Program":"/p","KeepAlive":{"PathState":{`+strings.TrimSuffix(b.String(), ",")+`}}}`))
	if err == nil || !strings.Contains(err.Error(), "has 101 entries, the limit is 100") {
		t.Errorf("beyond: %v", err)
	}
}

func TestUmaskIsReadAsStrtoulDoes(t *testing.T) {
	for text, want := range map[string]int{`18`: 0o22, `"022"`: 0o22, `"18"`: 18, `"0x12"`: 18, `0`: 0, `511`: 0o777} {
		j, err := ParseJob("", []byte(`{"Label":"a","Program":"/p","Umask":`+text+`}`))
		if err != nil || *j.Umask != want {
			t.Errorf("%s: got %v, want %#o", text, err, want)
		}
	}
}
