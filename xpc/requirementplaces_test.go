package xpc

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/credentials/requirement"
)

// setters are the six, each with a requirement that platformTool meets or does not.
func setters(meets bool) map[string]func(*Connection) error {
	name, value, id := "com.example.see", Object(String("value")), "com.example.tool"
	text, team := `anchor apple and identifier "com.example.tool"`, "EXAMPLE123"
	lwcr := with("signing-identifier", String(id))
	if !meets {
		name, value, id = "com.example.none", String("other"), "com.example.other"
		text, team = `anchor apple and !identifier "com.example.tool"`, "OTHER"
		lwcr = with("signing-identifier", String(id))
	}
	return map[string]func(*Connection) error{
		"entitlement exists": func(c *Connection) error { return c.SetPeerEntitlementExistsRequirement(name) },
		"entitlement matches": func(c *Connection) error {
			return c.SetPeerEntitlementMatchesValueRequirement("com.example.name", value)
		},
		"platform":    func(c *Connection) error { return c.SetPeerPlatformIdentityRequirement(id) },
		"lightweight": func(c *Connection) error { return c.SetPeerLightweightCodeRequirement(lwcr) },
		"text":        func(c *Connection) error { return c.SetPeerCodeSigningRequirement(text) },
		"team": func(c *Connection) error { // its setter asks the registry which team this is
			r, err := requirement.Team(team, "")
			p, err := peerRequirement(r, err)
			return c.setRequirement(p, err)
		},
	}
}

func toolFor(setter string) *attests {
	a := signedTool()
	a.facts.Code.Entitlements = map[string]any{"com.example.see": true, "com.example.name": "value"}
	if setter != "team" {
		a.facts.Code.Platform, a.facts.Code.Category = true, 1
	}
	return a
}

// place is a connection to be given a requirement, and the other end of it.
type place struct{ guarded, client *Connection }

// places makes, for a test, each kind of connection that is not a named one (those need
// a registry: package integration). serve is given every peer before it is activated.
var places = map[string]func(t *testing.T, serve func(*Connection)) place{
	"anonymous listener": func(t *testing.T, serve func(*Connection)) place {
		l := NewConnection("", nil)
		l.SetEventHandler(peersTo(serve))
		return place{l, NewConnectionFromEndpoint(NewEndpoint(l))}
	},
	"client of an endpoint": func(t *testing.T, serve func(*Connection)) place {
		l := NewConnection("", nil)
		l.SetEventHandler(peersTo(serve))
		l.Activate()
		t.Cleanup(func() { l.Cancel(); <-l.Done() })
		c := NewConnectionFromEndpoint(NewEndpoint(l))
		return place{c, c}
	},
	"listener on a handed socket": func(t *testing.T, serve func(*Connection)) place {
		path := t.TempDir() + "/s"
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		if err == nil {
			err = unix.Bind(fd, &unix.SockaddrUnix{Name: path})
		}
		if err == nil {
			err = unix.Listen(fd, 8)
		}
		if err != nil {
			t.Fatal(err)
		}
		l := NewConnectionFromListener(os.NewFile(uintptr(fd), "listener"), nil)
		l.SetEventHandler(peersTo(serve))
		return place{l, NewConnectionFromEndpoint(NewEndpointFromFD(-1, path))}
	},
	"peer on a handed socket": func(t *testing.T, serve func(*Connection)) place {
		path := t.TempDir() + "/s"
		l, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		if err == nil {
			err = unix.Bind(l, &unix.SockaddrUnix{Name: path})
		}
		if err == nil {
			err = unix.Listen(l, 8)
		}
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(l)
		c := NewConnectionFromEndpoint(NewEndpointFromFD(-1, path))
		c.SetEventHandler(func(Object) {})
		c.Activate()
		c.SendMessage(saying("dial"))
		fd, _, err := unix.Accept(l)
		if err != nil {
			t.Fatal(err)
		}
		p := NewConnectionFromSocket(os.NewFile(uintptr(fd), "socket"), nil)
		answerAll(p)
		return place{p, c}
	},
}

func peersTo(serve func(*Connection)) Handler {
	return func(o Object) {
		if p, ok := o.(*Connection); ok {
			answerAll(p)
			serve(p)
			p.Activate()
		}
	}
}

func answerAll(p *Connection) {
	p.SetEventHandler(func(o Object) {
		if m, ok := o.(*Dictionary); ok {
			if r := m.CreateReply(); r != nil {
				r.SetString("says", m.GetString("says"))
				p.SendMessage(r)
			}
		}
	})
}

// TestR170_R177_EverySetterAtEveryPlace: whoever has a requirement, and however it was
// set, who meets it is answered, and the call of who does not ends with the error.
func TestR170_R177_EverySetterAtEveryPlace(t *testing.T) {
	for where, open := range places {
		for _, meets := range []bool{true, false} {
			for how, set := range setters(meets) {
				p := open(t, func(*Connection) {})
				p.guarded.SetAttester(toolFor(how))
				if err := set(p.guarded); err != nil {
					t.Fatalf("%s, %s: %v", where, how, err)
				}
				g := &guarded{t: t, listener: p.guarded, client: p.client}
				if where != "peer on a handed socket" {
					p.client.SetEventHandler(func(Object) {})
				}
				for _, c := range []*Connection{p.guarded, p.client} {
					c.Activate()
				}
				err := g.call()
				if meets && err != nil {
					t.Errorf("%s, %s: %v", where, how, err)
				}
				if !meets {
					wantUnfit(t, err, "requirement")
					if n, why := p.guarded.Rejections(); n == 0 || why == nil {
						t.Errorf("%s, %s: it counts %d rejections, the last %v", where, how, n, why)
					}
				}
				for _, c := range []*Connection{p.client, p.guarded} {
					c.Cancel()
					<-c.Done()
				}
			}
		}
	}
}
