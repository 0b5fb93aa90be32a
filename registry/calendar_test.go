package registry

import (
	"strings"
	"testing"
	"time"
)

func TestNext(t *testing.T) {
	tests := []struct{ why, json, now, want string }{
		{"every minute", `{}`, "2024-01-31 23:59:30", "2024-02-01 00:00:00"},
		{"strictly after now", `{"Minute": 5}`, "2024-01-01 10:05:00", "2024-01-01 11:05:00"},
		{"what is left out is any", `{"Hour": 3}`, "2024-01-01 03:58:59", "2024-01-01 03:59:00"},
		{"the next day", `{"Hour": 3, "Minute": 0}`, "2024-12-31 03:00:00", "2025-01-01 03:00:00"},
		{"months without the day are passed over", `{"Day": 31, "Hour": 0, "Minute": 0}`, "2024-03-31 12:00:00", "2024-05-31 00:00:00"},
		{"0 and 7 are Sunday", `{"Weekday": 7, "Hour": 1, "Minute": 2}`, "2024-01-01 00:00:00", "2024-01-07 01:02:00"},
		{"day or weekday, as crontab(5)", `{"Day": 13, "Weekday": 5, "Hour": 0, "Minute": 0}`, "2024-01-06 00:00:00", "2024-01-12 00:00:00"},
		{"the 13th that is no Friday", `{"Day": 13, "Weekday": 5, "Hour": 0, "Minute": 0}`, "2024-01-12 00:00:00", "2024-01-13 00:00:00"},
		{"a leap day, eight years on", `{"Month": 2, "Day": 29, "Hour": 0, "Minute": 0}`, "2096-03-01 00:00:00", "2104-02-29 00:00:00"},
		{"the first of several", `[{"Hour": 5, "Minute": 0}, {"Hour": 4, "Minute": 0}]`, "2024-01-01 03:00:00", "2024-01-01 04:00:00"},
	}
	for _, tt := range tests {
		j, err := ParseJob("", []byte(`{"Label":"a","Program":"/p","StartCalendarInterval":`+tt.json+`}`))
		if err != nil {
			t.Fatalf("%s: %v", tt.why, err)
		}
		now, err := time.Parse(time.DateTime, tt.now)
		if err != nil {
			t.Fatal(err)
		}
		if got := j.NextStart(now).Format(time.DateTime); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.why, got, tt.want)
		}
	}
	if next := (&Job{}).NextStart(time.Now()); !next.IsZero() {
		t.Errorf("without entries there is no next start: %v", next)
	}
}

// Where clocks change, time goes on, and the hour that is left out has no start.
func TestNextWhereClocksChange(t *testing.T) {
	for _, zone := range []string{"Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe"} {
		loc, err := time.LoadLocation(zone)
		if err != nil {
			t.Skip(err)
		}
		half := Calendar{30, 2, Any, Any, Any}
		for now, end := time.Date(2018, 1, 1, 0, 0, 0, 0, loc), time.Date(2019, 1, 1, 0, 0, 0, 0, loc); now.Before(end); {
			next := half.Next(now)
			if !next.After(now) || next.Minute() != 30 || next.Hour() != 2 || next.Sub(now) > 50*time.Hour {
				t.Fatalf("%s: after %v comes %v", zone, now, next)
			}
			now = next
		}
	}
}

func TestCalendarsAreBounded(t *testing.T) {
	list := strings.Repeat(`{"Hour":1},`, MaxCalendar)
	for json, want := range map[string]string{list[:len(list)-1]: "", list + `{}`: "has 1001 entries, the limit is 1000"} {
		_, err := ParseJob("", []byte(`{"Label":"a","Program":"/p","StartCalendarInterval":[`+json+`]}`))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
