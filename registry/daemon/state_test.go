package daemon

import (
	"encoding/json"
	"testing"

	"github.com/openxpc/openxpc/registry/internal/handover"
)

// An id that is given out twice makes two jobs one: what is kept for the one is
// dropped with the other, and handed to it by the next start.
func TestRestoredIdsAreNotGivenOutAgain(t *testing.T) {
	record := func(v any) json.RawMessage {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for what, held := range map[string]*handover.Held{
		"a descriptor without a record": {FDs: map[string][]int{".k9": {7}, ".2": {8}}},
		"a way back that was lost":      {Records: map[string]json.RawMessage{jobKey + "a": record(jobRecord{Kept: ".k9"}), jobKey + "b": record(jobRecord{Kept: ".1"})}},
		"a tally":                       {Records: map[string]json.RawMessage{jobKey + "a": record(jobRecord{Kept: ".1", Tally: ".k9"})}},
		"a job's socket":                {Records: map[string]json.RawMessage{jobKey + "a": record(jobRecord{Sockets: []keptSocket{{Kept: ".k9"}}})}},
		"a name's socket":               {Records: map[string]json.RawMessage{nameKey + "a": record(nameRecord{Kept: ".k9"})}},
		"what is no number of ours":     {FDs: map[string][]int{".k9": {7}, lockID: {8}, doorID: {9}, "unknown": {10}}},
	} {
		d := &daemon{}
		d.used(held)
		if got := d.newID(); got != ".ka" {
			t.Errorf("%s: the next id is %s, want .ka", what, got)
		}
	}
}
