package registry

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func withRequirement(text string) []byte {
	return fmt.Appendf(nil, `{"Label":"a","Program":"/bin/true","MachServices":{"com.example.a":{"Requirement":%s}}}`, text)
}

func TestRequirementsOfNames(t *testing.T) {
	j, err := ParseJob("", withRequirement(`"identifier com.example.client"`))
	if err != nil {
		t.Fatal(err)
	}
	r := j.Requirements["com.example.a"]
	if r.LookUp.String() != `identifier com.example.client` && r.LookUp.String() != `identifier "com.example.client"` || r.Own != nil {
		t.Errorf("a text is who may look the name up: %v, %v", r.LookUp, r.Own)
	}
	j, err = ParseJob("", withRequirement(`{"LookUp":"always","Own":"anchor trusted"}`))
	if err != nil {
		t.Fatal(err)
	}
	if r := j.Requirements["com.example.a"]; r.LookUp == nil || r.Own == nil {
		t.Errorf("%+v; want both", r)
	}
	kept, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	var again Job
	if err := json.Unmarshal(kept, &again); err != nil {
		t.Fatal(err)
	}
	was, is := j.Requirements["com.example.a"], again.Requirements["com.example.a"]
	if was.LookUp.String() != is.LookUp.String() || was.Own.String() != is.Own.String() {
		t.Errorf("the next xpcd requires %v and %v, this one %v and %v", is.LookUp, is.Own, was.LookUp, was.Own)
	}
	for text, want := range map[string]string{
		`"identifier"`:     "Requirement",
		`{"LookUp":"a b"}`: "LookUp",
		`{"Owner":"true"}`: `unknown key "Owner"`,
		`{"Own":true}`:     `"Own" must be a string`,
		`5`:                `"Requirement" must be a requirement's text`,
		`""`:               "Requirement",
		`["always"]`:       "not an array",
		`"platform = 2"`:   "nobody can meet it on this system: platform = 2: ",
	} {
		_, err := ParseJob("", withRequirement(text))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), ":1:") {
			t.Errorf("%s: %v; want an error with the place and %s", text, err, want)
		}
	}
}
