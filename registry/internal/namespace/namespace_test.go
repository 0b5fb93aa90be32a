package namespace

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// run plays a script, one operation a line, and writes down what each answered.
func run(t *testing.T, tab *Table, script ...string) string {
	t.Helper()
	var out strings.Builder
	for _, line := range script {
		changes, err := step(t, tab, strings.Fields(line))
		fmt.Fprintf(&out, "%s ->", line)
		for _, c := range changes {
			fmt.Fprintf(&out, " %v(%s", c.Kind, c.Name)
			if c.Kind == Gone {
				fmt.Fprintf(&out, " %d: %s", c.Client, c.Reason)
			}
			out.WriteString(")")
		}
		var e *Error
		if errors.As(err, &e) {
			fmt.Fprintf(&out, " %v: %s", e.Code, e.Reason)
		}
		out.WriteString("\n")
	}
	return out.String()
}

func step(t *testing.T, tab *Table, f []string) ([]Change, error) {
	t.Helper()
	id := func(s string) Client {
		var c Client
		fmt.Sscan(s, &c)
		return c
	}
	switch f[0] {
	case "declare":
		return nil, tab.Declare(f[1], f[2:])
	case "undeclare":
		return tab.Undeclare(f[1], "it was unloaded"), nil
	case "look":
		return tab.LookUp(id(f[1]), f[2])
	case "in", "in-again": // client name [job]
		c := Caller{Client: id(f[1]), AdHoc: true, Again: f[0] == "in-again"}
		if len(f) > 3 {
			c.Job = f[3]
		}
		return tab.CheckIn(c, f[2])
	case "in-no-adhoc":
		return tab.CheckIn(Caller{Client: id(f[1])}, f[2])
	case "out":
		return nil, tab.CheckOut(id(f[1]), f[2])
	case "gone":
		return tab.ClientGone(id(f[1])), nil
	case "ended":
		return tab.JobEnded(f[1]), nil
	}
	t.Fatalf("no such operation: %q", f)
	return nil, nil
}

func TestTable(t *testing.T) {
	tests := []struct {
		why    string
		script []string
		want   string
	}{
		{
			"who asks again has what it had, and nobody else's",
			[]string{"declare J a", "in-again 9 a J", "in-again 9 a J", "in 9 a J", "in-again 10 a J", "in 5 x", "in-again 5 x", "in-again 6 x"},
			`declare J a ->
in-again 9 a J -> create-socket(a)
in-again 9 a J ->
in 9 a J -> service active: "a" is served by job "J" already
in-again 10 a J -> service active: "a" is served by job "J" already
in 5 x -> create-socket(x)
in-again 5 x ->
in-again 6 x -> service active: "x" is served by a program that no job launched already
`,
		}, {
			"a name costs nothing before somebody wants it, and is watched until the job checks in",
			[]string{"declare J a b", "look 1 a", "look 2 a", "in 9 a J", "look 3 a"},
			`declare J a b ->
look 1 a -> create-socket(a) watch(a)
look 2 a ->
in 9 a J -> unwatch(a)
look 3 a ->
`,
		}, {
			"a job that starts by itself checks in before anybody looked (RunAtLoad)",
			[]string{"declare J a", "in 9 a J", "look 1 a"},
			`declare J a ->
in 9 a J -> create-socket(a)
look 1 a ->
`,
		}, {
			"after the exit the registry has the name back, and the job's next run may check in (R215)",
			[]string{"declare J a b", "look 1 a", "in 9 a J", "ended J", "gone 9", "in 10 a J"},
			`declare J a b ->
look 1 a -> create-socket(a) watch(a)
in 9 a J -> unwatch(a)
ended J -> restamp(a) watch(a)
gone 9 ->
in 10 a J -> unwatch(a)
`,
		}, {
			"the old run's connection may end after the new run checked in; it takes nothing with it",
			[]string{"declare J a", "in 9 a J", "ended J", "in 10 a J", "gone 9", "in 11 a J"},
			`declare J a ->
in 9 a J -> create-socket(a)
ended J -> restamp(a) watch(a)
in 10 a J -> unwatch(a)
gone 9 ->
in 11 a J -> service active: "a" is served by job "J" already
`,
		}, {
			"strict check-in: not for other jobs nor for strangers, and once (R101, R111, R214)",
			[]string{"declare J a", "in 1 a", "in 1 a K", "in 9 a J", "in 9 a J", "out 1 a", "out 9 a", "out 9 a", "in 9 a J"},
			`declare J a ->
in 1 a -> not privileged: "a" belongs to job "J"
in 1 a K -> not privileged: "a" belongs to job "J"
in 9 a J -> create-socket(a)
in 9 a J -> service active: "a" is served by job "J" already
out 1 a -> not privileged: "a" was not checked in by this client
out 9 a ->
out 9 a -> not privileged: "a" was not checked in by this client
in 9 a J ->
`,
		}, {
			"an ad-hoc name lives as long as its program, also while it is checked out (R110)",
			[]string{"in 1 a", "in 1 a", "look 2 a", "look 3 a", "out 1 a", "in 2 a", "in 1 a", "out 1 a", "gone 2", "gone 1", "look 3 a"},
			`in 1 a -> create-socket(a)
in 1 a -> service active: "a" is served by a program that no job launched already
look 2 a ->
look 3 a ->
out 1 a ->
in 2 a -> service active: "a" is served by a program that no job launched already
in 1 a ->
out 1 a ->
gone 2 ->
gone 1 -> close-socket(a) gone(a 3: the program that registered "a" has ended)
look 3 a -> unknown service: no job declares "a" and no program has registered it
`,
		}, {
			"ad-hoc names can be switched off",
			[]string{"in-no-adhoc 1 a", "look 2 a"},
			`in-no-adhoc 1 a -> not privileged: no loaded job declares "a", and this program may not register names
look 2 a -> unknown service: no job declares "a" and no program has registered it
`,
		}, {
			"unload tells those who looked the name up, and only them (R123)",
			[]string{"declare J a b", "look 1 a", "look 2 b", "look 3 b", "gone 2", "in 9 a J", "undeclare J", "look 1 a", "declare J a"},
			`declare J a b ->
look 1 a -> create-socket(a) watch(a)
look 2 b -> create-socket(b) watch(b)
look 3 b ->
gone 2 ->
in 9 a J -> unwatch(a)
undeclare J -> close-socket(a) gone(a 1: it was unloaded) close-socket(b) gone(b 3: it was unloaded)
look 1 a -> unknown service: no job declares "a" and no program has registered it
declare J a ->
`,
		}, {
			"a job declares all of its names or none",
			[]string{"declare J a b", "declare K c b", "look 1 c", "in 1 d", "declare L d", "declare M e e", "declare N x/y"},
			`declare J a b ->
declare K c b -> name in use: "b" is in use by job "J"
look 1 c -> unknown service: no job declares "c" and no program has registered it
in 1 d -> create-socket(d)
declare L d -> name in use: "d" is in use by a program that no job launched
declare M e e -> name in use: "e" is declared twice
declare N x/y -> bad request: bad service name: "x/y" contains '/'
`,
		}, {
			"a failed start gives the name back too, though nobody checked in",
			[]string{"declare J a", "look 1 a", "ended J"},
			`declare J a ->
look 1 a -> create-socket(a) watch(a)
ended J -> restamp(a) watch(a)
`,
		},
	}
	for _, tt := range tests {
		var tab Table
		if diff := cmp.Diff(tt.want, run(t, &tab, tt.script...)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.why, diff)
		}
	}
}

func TestQuotas(t *testing.T) {
	var tab Table
	for i := range MaxAdHocNames {
		if _, err := tab.CheckIn(Caller{Client: 1, AdHoc: true}, fmt.Sprint("n", i)); err != nil {
			t.Fatalf("name %d is within the limit: %v", i, err)
		}
	}
	wantOverQuota(t, "one name more", func() error {
		_, err := tab.CheckIn(Caller{Client: 1, AdHoc: true}, "more")
		return err
	})
	if _, err := tab.CheckIn(Caller{Client: 2, AdHoc: true}, "more"); err != nil {
		t.Errorf("the limit is each client's own: %v", err)
	}
	tab.ClientGone(1)
	if _, err := tab.CheckIn(Caller{Client: 1, AdHoc: true}, "again"); err != nil {
		t.Errorf("what is released no longer counts: %v", err)
	}

	names := make([]string, MaxLookUps+1)
	for i := range names {
		names[i] = fmt.Sprint("j", i)
	}
	if err := tab.Declare("J", names); err != nil {
		t.Fatal(err)
	}
	for _, n := range names[:MaxLookUps] {
		if _, err := tab.LookUp(3, n); err != nil {
			t.Fatal(err)
		}
	}
	wantOverQuota(t, "one look-up more", func() error {
		_, err := tab.LookUp(3, names[MaxLookUps])
		return err
	})
	if _, err := tab.LookUp(3, names[0]); err != nil {
		t.Errorf("the same name again costs nothing: %v", err)
	}
}

func wantOverQuota(t *testing.T, what string, f func() error) {
	t.Helper()
	var e *Error
	if err := f(); !errors.As(err, &e) || e.Code != bootstrap.OverQuota {
		t.Errorf("%s: got %v, want over quota", what, err)
	}
}

func TestGet(t *testing.T) {
	var tab Table
	run(t, &tab, "declare J a b", "look 1 a", "look 2 a", "in 9 a J", "in 1 z")
	if got, want := fmt.Sprint(tab.Names("J"), tab.Names("")), "[a b] [z]"; got != want {
		t.Errorf("names: got %s, want %s", got, want)
	}
	got, ok := tab.Get("a")
	if want := (Info{Job: "J", Owner: 9, Active: true, Lookers: 2}); !ok || got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if _, ok := tab.Get("none"); ok || tab.Len() != 3 {
		t.Errorf("there are three names, and none is not one of them: Len %d", tab.Len())
	}
}
