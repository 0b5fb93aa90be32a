package daemon

import (
	"strings"
	"testing"

	"github.com/openxpc/openxpc/credentials/requirement"
	"github.com/openxpc/openxpc/registry"
	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// signedAs is the requirement that this test binary meets where trustRoot is.
const signedAs = `assurance image and identifier "com.example.test" and anchor trusted`

func requiring(t *testing.T, label, lookUp, own string) *registry.Job {
	t.Helper()
	j := service(t, label, "echo", nil)
	var r registry.NameRequirement
	for text, to := range map[string]**requirement.Requirement{lookUp: &r.LookUp, own: &r.Own} {
		if text == "" {
			continue
		}
		need, err := requirement.Parse(text)
		must(t, err)
		*to = need
	}
	j.Requirements = map[string]registry.NameRequirement{"com.example." + label: r}
	return j
}

func TestRequirementsOfNames(t *testing.T) {
	ownPidfd(t)
	s := serve(t, Options{TrustRoot: trustRoot(t), Jobs: []*registry.Job{
		requiring(t, "met", signedAs, signedAs+" "),
		requiring(t, "other", `assurance image and identifier "com.example.other"`, ""),
		requiring(t, "nobodys", "", `assurance image and identifier "com.example.other"`),
	}})
	s.connect("com.example.met", 0).pid("the client is signed as it must be, and so is the job")

	c := s.connect("com.example.other", 0)
	c.wantEvent("the client is signed as somebody else", xpc.ErrConnectionInvalid)
	for _, part := range []string{"Operation not permitted", `com.example.other`, `identifier`} {
		if !strings.Contains(c.InvalidationReason(), part) {
			t.Errorf("the reason names the clause: %q has no %q", c.InvalidationReason(), part)
		}
	}
	reply, _ := s.tool(bootstrap.OpPrint, map[string]string{bootstrap.KeyLabel: "met"})
	e := reply.GetDictionary(bootstrap.KeyJob).GetDictionary("endpoints").GetDictionary("com.example.met")
	if e.GetString("look-up requirement") == "" || e.GetString("owner requirement") == "" {
		t.Errorf("print shows the requirements: %v", xpc.Description(e))
	}
	if code := s.lookUpCode("com.example.nobodys"); code != 0 {
		t.Errorf("looking a name up does not need its owner: %v", code)
	}
}

// lookUpCode is what a look-up is answered.
func (s *served) lookUpCode(name string) bootstrap.Code {
	s.t.Helper()
	_, code := s.tool(bootstrap.OpLookUp, map[string]string{bootstrap.KeyName: name})
	return code
}

// The job's process must be the program, or it gets no listening socket.
func TestRequirementOfTheOwner(t *testing.T) {
	ownPidfd(t)
	s := serve(t, Options{TrustRoot: trustRoot(t), Jobs: []*registry.Job{
		requiring(t, "nobodys", "", `assurance image and identifier "com.example.other"`),
	}})
	c := s.connect("com.example.nobodys", 0)
	c.SendMessageWithReply(xpc.NewDictionary(), nil, func(o xpc.Object) {
		if _, answered := o.(*xpc.Dictionary); answered {
			t.Error("a program that is not the required one has answered")
		}
	})
	for {
		j := s.job("nobodys")
		if _, exited := j.Get(bootstrap.KeyStatus).(xpc.Int64); exited {
			break
		}
		if s.ctx.Err() != nil {
			t.Fatal("the job does not end, although it cannot check in")
		}
	}
	reply, _ := s.tool(bootstrap.OpPrint, map[string]string{bootstrap.KeyLabel: "nobodys"})
	e := reply.GetDictionary(bootstrap.KeyJob).GetDictionary("endpoints").GetDictionary("com.example.nobodys")
	if e.GetBool("active") {
		t.Error("a program that is not the required one has the name")
	}
}
