package registry

import (
	"strings"
	"testing"
)

func TestEnableTransactions(t *testing.T) {
	for value, want := range map[string]bool{`"EnableTransactions": true`: true, `"EnableTransactions": false`: false, `"RunAtLoad": true`: false} {
		j, err := ParseJob("", []byte(`{"Label": "a", "Program": "/bin/true", `+value+`}`))
		if err != nil || j.EnableTransactions != want || len(j.Warnings) != 0 {
			t.Errorf("%s: got %v, %v, want %v and no warning (R184)", value, j, err, want)
		}
	}
	for text, want := range map[string]string{
		`"EnableTransactions": 1`:                              "must be a boolean",
		`"EnvironmentVariables": {"XPC_TRANSACTIONS": "true"}`: "is set by the registry",
	} {
		if _, err := ParseJob("", []byte(`{"Label": "a", "Program": "/bin/true", `+text+`}`)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error that says %q", text, err, want)
		}
	}
	j, err := ParseJob("", []byte(`{"Label": "a", "Program": "/bin/true", "EnablePressuredExit": true, "EnableTransactions": false}`))
	if err != nil || !j.EnableTransactions || !j.EnablePressuredExit || len(j.Warnings) != 0 {
		t.Errorf("got %v, %v: one implies the other (R185)", j, err)
	}
	j, err = ParseJob("", []byte(`{"Label": "a", "Program": "/bin/true", "EnablePressuredExit": true, "KeepAlive": true}`))
	if err != nil || j.EnablePressuredExit || len(j.Warnings) != 1 || !strings.Contains(j.Warnings[0].Text, "has no effect beside") {
		t.Errorf("got %v, %v: what always runs is not ended (R185)", j, err)
	}
}
