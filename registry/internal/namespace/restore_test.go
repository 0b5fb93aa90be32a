package namespace

import (
	"slices"
	"testing"
)

// A table that was put back treats names as the one before did.
func TestRestore(t *testing.T) {
	var tab Table
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	kinds := func(changes []Change) (out []Kind) {
		for _, c := range changes {
			out = append(out, c.Kind)
		}
		return out
	}
	must(tab.Declare("job", []string{"idle", "served", "unused"}))
	const gone, back, stranger Client = 1, 2, 3
	if got := kinds(tab.Restore("idle", 0, false)); !slices.Equal(got, []Kind{Restamp, Watch}) {
		t.Errorf("a job's name that nobody serves: %v, want it taken back and watched", got)
	}
	if got := tab.Restore("served", gone, true); got != nil {
		t.Errorf("a name that a process serves: %v, want it left alone", got)
	}
	tab.Restore("adhoc", gone, true)
	tab.Restore("out", gone, false)

	if _, err := tab.CheckIn(Caller{Client: stranger, Job: "job"}, "served"); err == nil {
		t.Error("who has not reclaimed a name has checked it in")
	}
	if _, err := tab.CheckIn(Caller{Client: stranger, AdHoc: true}, "adhoc"); err == nil {
		t.Error("somebody else has an ad-hoc name whose program is to come back")
	}
	for _, name := range []string{"served", "adhoc", "out"} {
		tab.Reclaim(back, name)
		changes, err := tab.CheckIn(Caller{Client: back, Job: "job", AdHoc: true}, name)
		must(err)
		if len(changes) != 0 {
			t.Errorf("%s: %v, want the socket that it has", name, changes)
		}
	}
	if got := tab.ClientGone(gone); got != nil {
		t.Errorf("nothing is left of the client that was there in its place: %v", got)
	}
	if got := kinds(tab.ClientGone(back)); !slices.Equal(got, []Kind{CloseSocket, CloseSocket}) {
		t.Errorf("its ad-hoc names go with it: %v", got)
	}
	if got := kinds(tab.JobEnded("job")); !slices.Equal(got, []Kind{Restamp, Watch, Restamp, Watch}) {
		t.Errorf("the end of the job: %v, want both of its sockets taken back", got)
	}
	tab.Reclaim(back, "idle")
	tab.Reclaim(back, "no such name")
	if info, _ := tab.Get("idle"); info.Owner != 0 {
		t.Error("a name that nobody had was reclaimed")
	}
}

// A program that does not come back loses its names, and its clients are told.
func TestRestoredClientNeverComes(t *testing.T) {
	var tab Table
	tab.Restore("adhoc", 1, true)
	if _, err := tab.LookUp(2, "adhoc"); err != nil {
		t.Fatal(err)
	}
	changes := tab.ClientGone(1)
	if len(changes) != 2 || changes[0].Kind != CloseSocket || changes[1].Kind != Gone || changes[1].Client != 2 {
		t.Errorf("got %v", changes)
	}
	if tab.Len() != 0 {
		t.Error("the name is still there")
	}
}
