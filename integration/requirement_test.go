package integration_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/openxpc/openxpc/xpc"
)

func demanding(text string) job {
	j := theService
	j.env = map[string]string{requireVariable: text}
	return j
}

// T32: the client's side and the listener's, by users, which every system tells, and
// by code that nobody has signed.
func TestT32_R174_R176_PeerRequirement(t *testing.T) {
	me := fmt.Sprint("uid ", os.Geteuid())
	for _, c := range []struct {
		service, client string
		unfit           error // the cause in the client's error; nil: it is served
		words           string
	}{
		{"", me, nil, ""},
		{me, "", nil, ""},
		{me, me, nil, ""},
		{"uid 4000000000", "", xpc.ErrUnfit, "does not meet the peer's"},
		{"anchor apple generic", "", xpc.ErrUnfit, "does not meet the peer's"},
		{"", "uid 4000000000", nil, "uid 4000000000"},
		{me, me + " and anchor apple generic", nil, "anchor apple generic"},
	} {
		t.Run(c.service+"/"+c.client, func(t *testing.T) {
			w := begin(t, demanding(c.service))
			k := w.inactive(xpc.NewMachServiceConnection(serviceName, nil, 0))
			if c.client != "" {
				must(t, k.SetPeerCodeSigningRequirement(c.client))
			}
			k.Activate()
			if c.words == "" {
				k.pid("both meet what is required")
				return
			}
			for range 2 {
				err := k.fails("the requirement is not met", message("", "who"), xpc.ErrPeerCodeSigningRequirement)
				if !strings.Contains(err.Error(), c.words) || c.unfit != nil && !errors.Is(err, c.unfit) {
					t.Errorf("the error is %q, want %q in it", err, c.words)
				}
				if c.unfit == nil {
					k.wants("the event handler is told (R126)", `error "Peer code signing requirement not met"`)
				}
			}
			k.quiet("a listener's refusal is told to the call alone")
			if reason := k.InvalidationReason(); reason != "" {
				t.Errorf("the connection is invalid: %s", reason)
			}
		})
	}
}

// misuser sets a requirement twice, as its argument says.
var misuser = helper("misuser", func() {
	c := xpc.NewMachServiceConnection(serviceName, nil, 0)
	say("first: %v", c.SetPeerCodeSigningRequirement("anchor apple"))
	switch helperArgument() {
	case "text":
		c.SetPeerCodeSigningRequirement("anchor apple")
	case "entitlement":
		c.SetPeerEntitlementExistsRequirement("com.example.see")
	case "platform":
		c.SetPeerPlatformIdentityRequirement("")
	}
	say("second was taken")
})

// T33: the program that sets a second requirement ends.
func TestT33_R171_SecondRequirement(t *testing.T) {
	w := begin(t)
	for _, second := range []string{"text", "entitlement", "platform"} {
		p := w.run(misuser, second)
		w.says("a first requirement is taken", misuser, "first: <nil>")
		w.dies(second+": a second requirement ends the process", "XPC API Misuse: only one peer requirement may be set per connection.")
		if code := p.code(); code == 0 {
			t.Errorf("%s: it ended with 0", second)
		}
		w.mayDie()
	}
}
