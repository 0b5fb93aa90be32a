package daemon

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/openxpc/openxpc/credentials"
	"github.com/openxpc/openxpc/registry"
	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// The people of the tables: the registry is user 1000's, group 50 and user 1002
// are on the lists.
var people = []struct {
	name string
	who  subject
}{
	{"root", subject{uid: 0, gid: 0}},
	{"owner", subject{uid: 1000, gid: 100}},
	{"listed user", subject{uid: 1002, gid: 100}},
	{"other uid", subject{uid: 1001, gid: 100}},
	{"other gid", subject{uid: 1001, gid: 51}},
	{"of the group", subject{uid: 1001, gid: 50}},
	{"group member", subject{uid: 1001, gid: 100, groups: credentials.NewGroupSet(51, 50)}},
	{"member of others", subject{uid: 1001, gid: 100, groups: credentials.NewGroupSet(51, 1000, 0)}},
	{"unknown", subject{uid: -1, gid: -1}},
}

// TestPolicy is reliability row 9: everybody against everything, and each yes is
// written down here.
func TestPolicy(t *testing.T) {
	list := &registry.Access{Users: []int{1002}, Groups: []int{50}}
	everybody := "root, owner, listed user, other uid, other gid, of the group, group member, member of others, unknown"
	plain := policy{owner: 1000}
	for _, tt := range []struct {
		why  string
		p    policy
		op   operation
		name *registry.Access
		yes  string
	}{
		{"a name without a list", plain, lookUpName, nil, everybody},
		{"a name with one", plain, lookUpName, list, "root, owner, listed user, of the group, group member"},
		{"a name with an empty one is the owner's and root's", plain, lookUpName, &registry.Access{}, "root, owner"},
		{"names of one's own are the owner's alone (R101)", plain, registerName, nil, "owner"},
		{"or those of the list, in place of the owner", policy{owner: 1000, adHoc: list}, registerName, nil, "listed user, of the group, group member"},
		{"or nobody's", policy{owner: 1000, noAdHoc: true, adHoc: list}, registerName, nil, ""},
		{"an empty list allows nobody", policy{owner: 1000, adHoc: &registry.Access{}}, registerName, nil, ""},
		{"a load executes programs as the owner", plain, loadJob, nil, "root, owner"},
		{"an unload kills them", plain, unloadJob, nil, "root, owner"},
		{"a kickstart executes programs, and who may not load may not disable", plain, controlJob, nil, "root, owner"},
		{"a list of names gives nobody a right to load", policy{owner: 1000, adHoc: list}, loadJob, list, "root, owner"},
		{"everybody may look (R210)", plain, listJobs, nil, everybody},
		{"everybody may look (R210)", plain, printJob, nil, everybody},
		{"root's registry is root's", policy{owner: 0}, loadJob, nil, "root"},
		{"root's registry is root's", policy{owner: 0}, registerName, nil, "root"},
		{"what there is not is not allowed", plain, printJob + 1, nil, ""},
	} {
		var yes []string
		for _, p := range people {
			if tt.p.allows(p.who, tt.op, tt.name) {
				yes = append(yes, p.name)
			}
		}
		if diff := cmp.Diff(tt.yes, strings.Join(yes, ", ")); diff != "" {
			t.Errorf("%s: operation %d (-want +got):\n%s", tt.why, tt.op, diff)
		}
	}
}

// looker is a client that asks for a name in every way there is, and prints what it was told.
func looker() {
	for _, op := range []string{bootstrap.OpLookUp, bootstrap.OpCheckIn, bootstrap.OpCheckOut, bootstrap.OpPrint} {
		fmt.Println(op, answerTo(op, "com.example.secret"), answerTo(op, "com.example.none"))
		for op == bootstrap.OpCheckIn && answerTo(bootstrap.OpLookUp, "com.example.none") == "granted" {
			runtime.Gosched() // the name ends with the connection that registered it, when the registry has noticed
		}
	}
	m := xpc.NewDictionary()
	m.SetString(bootstrap.KeyOp, bootstrap.OpPrint)
	m.SetString(bootstrap.KeyLabel, "secret")
	reply, err := askRegistry(noDeadline, m)
	if err != nil {
		fmt.Println(err)
		return
	}
	endpoints := reply.GetDictionary(bootstrap.KeyJob).GetDictionary("endpoints")
	fmt.Println("names", endpoints.Count())
	fmt.Println("register", answerTo(bootstrap.OpCheckIn, "com.example.own"))
}

// answerTo is the registry's answer about the name, without the name.
func answerTo(op, name string) string {
	m := xpc.NewDictionary()
	m.SetString(bootstrap.KeyOp, op)
	m.SetString(bootstrap.KeyName, name)
	reply, err := askRegistry(noDeadline, m)
	if err != nil {
		return err.Error()
	}
	if reply.GetInt64(bootstrap.KeyError) == 0 {
		return "granted"
	}
	return strings.ReplaceAll(reply.GetString(bootstrap.KeyReason), name, "NAME")
}

// visitAs runs looker as somebody else and returns what it printed.
func (s *served) visitAs(uid, gid uint32, groups ...uint32) string {
	s.t.Helper()
	self, err := os.ReadFile("/proc/self/exe")
	must(s.t, err)
	program := filepath.Join(filepath.Dir(s.path), "looker")
	must(s.t, os.WriteFile(program, self, 0o755))
	defer os.Remove(program)
	cmd := exec.CommandContext(s.ctx, program)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), roleVariable+"=looker")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid, Groups: groups}}
	out, err := cmd.CombinedOutput()
	must(s.t, err)
	return string(out)
}

// A name that is hidden looks like one that there is not, in every answer.
func TestHiddenNames(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become other users")
	}
	const user, member, group, stranger = 12345, 12346, 12350, 12347
	secret := service(t, "secret", "echo", nil)
	secret.LookUp = map[string]registry.Access{"com.example.secret": {Users: []int{user}, Groups: []int{group}}}
	s := serve(t, Options{Jobs: []*registry.Job{secret}, AdHoc: &registry.Access{Users: []int{member}}})
	must(t, os.Chmod(filepath.Dir(s.path), 0o711))
	must(t, os.Chmod(s.path, 0o666))

	const unknown = `no job declares "NAME" and no program has registered it`
	const denied = `no loaded job declares "NAME", and this program may not register names`
	const nameless = `no loaded job has the name "NAME"`
	const out = `"NAME" is not registered`
	wantStranger := strings.Join([]string{
		"look-up " + unknown + " " + unknown, "check-in " + denied + " " + denied,
		"check-out " + out + " " + out, "print " + nameless + " " + nameless,
		"names 0", "register " + denied, "",
	}, "\n")
	if diff := cmp.Diff(wantStranger, s.visitAs(stranger, stranger, stranger+1)); diff != "" {
		t.Errorf("who may not look it up cannot tell it from none (-want +got):\n%s", diff)
	}
	wantUser := strings.Join([]string{
		"look-up granted " + unknown, `check-in "NAME" belongs to job "secret" ` + denied,
		`check-out "NAME" was not checked in by this client ` + out, "print granted " + nameless,
		"names 1", "register " + denied, "",
	}, "\n")
	if diff := cmp.Diff(wantUser, s.visitAs(user, stranger)); diff != "" {
		t.Errorf("a user on the list (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(wantUser, s.visitAs(stranger, group)); diff != "" {
		t.Errorf("who runs with a group on the list (-want +got):\n%s", diff)
	}
	wantMember := strings.ReplaceAll(strings.Replace(wantUser, `"secret" `+denied, `"secret" granted`, 1), "register "+denied, "register granted")
	if diff := cmp.Diff(wantMember, s.visitAs(member, stranger, 7, group)); diff != "" {
		t.Errorf("a member of a group on the list, who may register names (-want +got):\n%s", diff)
	}
	s.connect("com.example.secret", 0).pid("root may, on no list")
	s.connect("com.example.own", xpc.MachServiceListener).wantEvent("the list replaces the registry's own user", xpc.ErrConnectionInvalid)
}

// A job that has become another user still knows what it serves itself.
func TestAJobKnowsItsOwnNames(t *testing.T) {
	secret := func(label string) *job {
		name := "com.example." + label
		return &job{file: &registry.Job{Label: label, MachServices: []string{name}, LookUp: map[string]registry.Access{name: {}}}}
	}
	mine, other := secret("mine"), secret("other")
	d := &daemon{uid: 1000, jobs: map[string]*job{"mine": mine, "other": other}}
	for label, j := range d.jobs {
		must(t, d.names.Declare(label, j.file.MachServices))
	}
	c := &client{job: mine, speaker: credentials.Credentials{PID: 1, UID: 2000, GID: 2000}}
	if d.hidden(c, "com.example.mine") {
		t.Error("its own name is hidden from the job")
	}
	if !d.hidden(c, "com.example.other") {
		t.Error("another job's name is not: it is who writes that counts, not who made the socket")
	}
}

// A name has at most 127 bytes (R213), whichever way it comes in.
func TestLengthOfNames(t *testing.T) {
	s := serve(t, Options{})
	longest := strings.Repeat("n", bootstrap.MaxName)
	const limit = "bad service name: 128 bytes, the limit is 127"
	for _, tt := range []struct {
		op   string
		want bootstrap.Code
	}{
		{bootstrap.OpLookUp, bootstrap.UnknownService}, {bootstrap.OpCheckOut, bootstrap.UnknownService},
		{bootstrap.OpCheckIn, 0}, // last: the name is its connection's for a moment longer
	} {
		if reply, code := s.tool(tt.op, map[string]string{bootstrap.KeyName: longest}); code != tt.want {
			t.Errorf("%s of a name of 127 bytes: %v, want %v", tt.op, reply, tt.want)
		}
	}
	for _, op := range []string{bootstrap.OpLookUp, bootstrap.OpCheckIn} {
		reply, code := s.tool(op, map[string]string{bootstrap.KeyName: longest + "n"})
		if code != bootstrap.BadRequest || reply.GetString(bootstrap.KeyReason) != limit {
			t.Errorf("%s of a name of 128 bytes: %v", op, reply)
		}
		if reply, code := s.tool(op, nil); code != bootstrap.BadRequest {
			t.Errorf("%s without a name: %v", op, reply)
		}
	}
	for _, flags := range []xpc.MachServiceFlags{0, xpc.MachServiceListener} {
		c := s.connect(longest+"n", flags)
		c.wantEvent("a name of 128 bytes", xpc.ErrConnectionInvalid)
		if got := c.InvalidationReason(); !strings.Contains(got, limit) {
			t.Errorf("flags %d: the reason is %q, want %q in it", flags, got, limit)
		}
	}
	c := xpc.NewConnection(longest+"n", nil)
	c.SetEventHandler(func(xpc.Object) {})
	c.Activate()
	<-c.Done()
	if got := c.InvalidationReason(); !strings.Contains(got, limit) {
		t.Errorf("NewConnection: the reason is %q, want %q in it", got, limit)
	}
	file := fmt.Sprintf(`{"Label":"x","Program":"/p","MachServices":{%q:true}}`, longest+"n")
	reply, code := s.tool(bootstrap.OpLoad, map[string]string{bootstrap.KeyDocument: file})
	if code != bootstrap.BadJob || !strings.Contains(reply.GetString(bootstrap.KeyReason), limit) {
		t.Errorf("a job file: %v", reply)
	}
}
