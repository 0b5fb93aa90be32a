package integration_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/openxpc/openxpc/xpc"
)

// aSetter sets a requirement in one of the six ways; who is signed as the program below meets it or not.
type aSetter struct {
	name  string
	meets bool
	set   func(*xpc.Connection) error
}

func theSetters() []aSetter {
	lwcr := func(id string) *xpc.Dictionary {
		d := xpc.NewDictionary()
		d.SetString("signing-identifier", id)
		d.SetInt64("validation-category", 6)
		return d
	}
	return []aSetter{
		{"exists", true, func(c *xpc.Connection) error { return c.SetPeerEntitlementExistsRequirement("com.example.see") }},
		{"exists-not", false, func(c *xpc.Connection) error { return c.SetPeerEntitlementExistsRequirement("com.example.no") }},
		{"matches", true, func(c *xpc.Connection) error {
			return c.SetPeerEntitlementMatchesValueRequirement("com.example.name", xpc.String("value"))
		}},
		{"matches-not", false, func(c *xpc.Connection) error {
			return c.SetPeerEntitlementMatchesValueRequirement("com.example.name", xpc.Bool(true))
		}},
		{"team", true, func(c *xpc.Connection) error { return c.SetPeerTeamIdentityRequirement("com.example.setters") }},
		{"team-not", false, func(c *xpc.Connection) error { return c.SetPeerTeamIdentityRequirement("com.example.other") }},
		{"platform-not", false, func(c *xpc.Connection) error { return c.SetPeerPlatformIdentityRequirement("") }},
		{"lightweight", true, func(c *xpc.Connection) error { return c.SetPeerLightweightCodeRequirement(lwcr("com.example.setters")) }},
		{"lightweight-not", false, func(c *xpc.Connection) error { return c.SetPeerLightweightCodeRequirement(lwcr("com.example")) }},
		{"text", true, func(c *xpc.Connection) error {
			return c.SetPeerCodeSigningRequirement(`anchor apple generic and certificate leaf[subject.OU] = EXAMPLE123 and entitlement["com.example.name"] = "val"*`)
		}},
		{"text-not", false, func(c *xpc.Connection) error {
			return c.SetPeerCodeSigningRequirement(`anchor apple generic and !identifier "com.example.setters"`)
		}},
	}
}

const settersPrefix = "com.example.setters."

// settersService has a name for each setter, and one without.
var settersService = helper("setters service", func() {
	serve := func(name string, set func(*xpc.Connection) error) {
		l := xpc.NewMachServiceConnection(settersPrefix+name, nil, xpc.MachServiceListener)
		l.SetEventHandler(func(o xpc.Object) {
			p, ok := o.(*xpc.Connection)
			if !ok {
				return
			}
			p.SetEventHandler(func(o xpc.Object) {
				if m, ok := o.(*xpc.Dictionary); ok {
					p.SendMessage(m.CreateReply())
				}
			})
			p.Activate()
		})
		if set != nil {
			if err := set(l); err != nil {
				fmt.Fprintln(os.Stderr, name, err)
				os.Exit(1)
			}
		}
		l.Activate()
	}
	for _, s := range theSetters() {
		serve(s.name, s.set)
	}
	serve("open", nil)
	select {}
})

// settersClient calls each name, and the open one with each requirement of its own, and
// prints whether it was answered or refused.
var settersClient = helper("setters client", func() {
	call := func(what, name string, set func(*xpc.Connection) error) {
		c := xpc.NewMachServiceConnection(settersPrefix+name, nil, 0)
		c.SetEventHandler(func(xpc.Object) {})
		if set != nil {
			if err := set(c); err != nil {
				fmt.Println(what, err)
				return
			}
		}
		c.Activate()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_, err := c.SendMessageWithReplySync(ctx, xpc.NewDictionary())
		switch {
		case err == nil:
			fmt.Println(what, "answered")
		case errors.Is(err, xpc.ErrPeerCodeSigningRequirement):
			fmt.Println(what, "refused")
		default:
			fmt.Println(what, err)
		}
		c.Cancel()
		<-c.Done()
	}
	for _, it := range theSetters() {
		call("listener "+it.name, it.name, nil)
		call("client "+it.name, "open", it.set)
	}
})

// TestR170_TheSixSettersOfNamedConnections: with a real registry, a service of root's and
// a client of another user's, both one signed and installed program.
func TestR170_TheSixSettersOfNamedConnections(t *testing.T) {
	service, client := use(settersService), use(settersClient)
	p := privilegedFolder(t)
	self, err := os.Executable()
	must(t, err)
	image, err := os.ReadFile(self)
	must(t, err)
	must(t, os.WriteFile(p.client, image, 0o755))
	p.sign("com.example.setters", map[string]any{"com.example.see": true, "com.example.name": "value", "com.example.no": false})
	names := map[string]bool{settersPrefix + "open": true}
	for _, it := range theSetters() {
		names[settersPrefix+it.name] = true
	}
	job, err := json.Marshal(map[string]any{"Label": "com.example.setters", "Program": p.client, "MachServices": names,
		"EnvironmentVariables": map[string]string{helperVariable: service}})
	must(t, err)
	p.serve(job)
	out, err := p.run([]string{helperVariable + "=" + client}, p.client)
	must(t, err)
	var want strings.Builder
	for _, it := range theSetters() {
		verdict := map[bool]string{true: "answered", false: "refused"}[it.meets]
		fmt.Fprintf(&want, "listener %s %s\nclient %s %s\n", it.name, verdict, it.name, verdict)
	}
	if out != want.String() {
		t.Errorf("got\n%swant\n%s", out, &want)
	}
}
