package xpc

import (
	"context"
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/transport"
)

// sendFile sends a message that carries a descriptor.
func (p *peer) sendFile(name string) {
	fd, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		p.r.t.Fatal(err)
	}
	m := saying(name)
	m.SetFD("fd", fd)
	unix.Close(fd)
	body, files, err := encodeMessage(nil, m, &defaultLimits)
	closeBoxes(m)
	if err != nil {
		p.r.t.Fatal(err)
	}
	p.put(&transport.Frame{Kind: frameMessage, ID: p.nextID(), Body: body, Files: files})
}

// TestDescriptorsOfMessages: whatever becomes of a message, its descriptors are
// closed unless somebody took them, and not only by the collector (P7, R159).
func TestDescriptorsOfMessages(t *testing.T) {
	for name, does := range map[string]func(*ring){
		"delivered and not taken": func(r *ring) { r.p().sendFile("x") },
		"dropped by cancel while suspended": func(r *ring) {
			r.suspend()
			r.p().sendFile("x")
			settle()
			r.c.Cancel()
		},
		"dropped by cancel behind a handler": func(r *ring) {
			r.p().send("hold")
			r.p().sendFile("x")
			settle()
			r.c.Cancel()
		},
		"in flight when the socket ends": func(r *ring) {
			r.p().sendFile("x")
			r.c.Cancel()
		},
		"late reply": func(r *ring) {
			m := saying("x")
			m.SetFD("fd", 0)
			body, files, _ := encodeMessage(nil, m, &defaultLimits)
			closeBoxes(m)
			r.p().put(&transport.Frame{Kind: frameReply, ID: 99, Body: body, Files: files})
		},
		"with a frame of a later kind": func(r *ring) {
			d, _ := transport.DupDescriptor(0)
			r.p().put(&transport.Frame{Kind: 77, Files: []*transport.Descriptor{d}})
		},
		"with a message that cannot be read": func(r *ring) {
			d, _ := transport.DupDescriptor(0)
			r.p().put(&transport.Frame{Kind: frameMessage, ID: 1, Body: []byte{0xc1}, Files: []*transport.Descriptor{d}})
		},
		"sent to a peer that is gone": func(r *ring) {
			r.p().close()
			r.sendFile()
		},
		"unsent at cancel": func(r *ring) {
			r.suspend()
			r.sendFile()
			r.c.Cancel()
		},
		"beyond the queue's limit": func(r *ring) {
			r.suspend()
			r.c.SetLimits(Limits{MaxQueuedBytes: 1})
			r.sendFile()
		},
		"refused for the pending replies": func(r *ring) {
			r.c.SetLimits(Limits{MaxPendingReplies: 1})
			r.call("a")
			m := saying("b")
			m.SetFD("fd", 0)
			defer closeBoxes(m)
			if _, err := r.c.SendMessageWithReplySync(context.Background(), m); err == nil {
				r.t.Error("the call was not refused")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			countDescriptors(t)
			each(t, func(t *testing.T, r *ring) {
				r.open()
				does(r)
				settle()
			})
		})
	}
}

func (r *ring) sendFile() {
	m := saying("file")
	m.SetFD("fd", 0)
	defer closeBoxes(m)
	r.c.SendMessage(m)
}

// TestEndpointIsRelayedAndStaysLive: over sockets, because only those carry endpoints.
func TestEndpointIsRelayedAndStaysLive(t *testing.T) {
	_, far := echoListener(t)
	relay := dialEcho(t)
	m := NewDictionary()
	m.Set("endpoint", far)
	reply, err := relay.SendMessageWithReplySync(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		c := reply.CreateConnection("endpoint")
		if c == nil {
			t.Fatalf("got %s, want an endpoint (R161)", Description(reply))
		}
		c.SetEventHandler(func(Object) {})
		c.Activate()
		r, err := c.SendMessageWithReplySync(t.Context(), saying("hello"))
		if err != nil || r.GetString("says") != "hello" {
			t.Errorf("got %v and %v: any number of connections can be made of an endpoint (R108)", r, err)
		}
		if c.Name() != "" {
			t.Errorf("its name is %q, want none (R90)", c.Name())
		}
		c.Cancel()
		<-c.Done()
	}
}

func TestEndpointOfACancelledListenerLeadsNowhere(t *testing.T) {
	l, ep := echoListener(t)
	c := NewConnectionFromEndpoint(ep)
	var events record
	c.SetEventHandler(func(o Object) { events.add(sayingOf(o)) })
	c.Activate()
	if _, err := c.SendMessageWithReplySync(t.Context(), saying("hello")); err != nil {
		t.Fatal(err)
	}
	l.Cancel()
	<-l.Done()
	<-c.Done()
	got := events.history()
	if got[len(got)-1] != "INVALID" {
		t.Errorf("got %v, want INVALID at the end: the listener is gone (R109, T19)", got)
	}
	late := NewConnectionFromEndpoint(ep)
	late.SetEventHandler(func(Object) {})
	late.Activate()
	if _, err := late.SendMessageWithReplySync(t.Context(), saying("hello")); !errors.Is(err, ErrConnectionInvalid) {
		t.Errorf("got %v, want INVALID (R122)", err)
	}
	<-late.Done()
}

func TestListenerDeliversPeersWithTheirFirstMessage(t *testing.T) {
	peers := make(chan *Connection, 10)
	l := NewConnection("", NewQueue("listener's"))
	l.SetEventHandler(func(o Object) {
		switch o := o.(type) {
		case *Connection:
			peers <- o
		case *Dictionary:
			t.Error("a listener got a message (R100)")
		}
	})
	l.Activate()
	defer func() { l.Cancel(); <-l.Done() }()
	ep := NewEndpoint(l)

	silent := NewConnectionFromEndpoint(ep)
	silent.SetEventHandler(func(Object) {})
	silent.Activate()
	c := NewConnectionFromEndpoint(ep)
	got := make(chan Object, 10)
	c.SetEventHandler(func(o Object) { got <- o })
	c.Activate()
	c.SendMessage(saying("hello"))

	p := <-peers // the silent one did not surface before it, nor does it after
	if p.queue != DefaultQueue() || p.PID() != os.Getpid() || p.Name() != "" {
		t.Errorf("an accepted peer starts with the default queue (R75), its credentials (R106) and no name (R90)")
	}
	heard := make(chan Object, 10)
	p.SetEventHandler(func(o Object) { heard <- o })
	p.Activate()
	if o := <-heard; sayingOf(o) != "hello" {
		t.Errorf("got %v, want the message that made it surface (R53)", o)
	}
	p.SendMessage(saying("pushed"))
	if o := <-got; sayingOf(o) != "pushed" {
		t.Errorf("got %v: an accepted peer may send first (R105)", o)
	}
	silent.Cancel()
	<-silent.Done()
	c.Cancel()
	if o := <-heard; o != ErrConnectionInvalid {
		t.Errorf("got %v, want INVALID: the client cancelled (R84)", o)
	}
	<-p.Done()
	if len(peers) != 0 {
		t.Error("a connection that never sent surfaced (R53), or one surfaced twice (R52)")
	}
}

func TestPeerThatIsRejectedOrIgnored(t *testing.T) {
	for name, deal := range map[string]func(*Connection){
		"cancelled": func(p *Connection) { p.Cancel() },
		"ignored":   func(*Connection) {},
	} {
		t.Run(name, func(t *testing.T) {
			l := NewConnection("", nil)
			dealt := make(chan bool, 10)
			l.SetEventHandler(func(o Object) {
				if p, ok := o.(*Connection); ok {
					deal(p)
					dealt <- true
				}
			})
			l.Activate()
			c := NewConnectionFromEndpoint(NewEndpoint(l))
			events := make(chan Object, 10)
			c.SetEventHandler(func(o Object) { events <- o })
			c.Activate()
			c.SendMessage(saying("hello"))
			<-dealt
			if name == "cancelled" {
				if o := <-events; o != ErrConnectionInterrupted {
					t.Errorf("got %v, want INTERRUPTED: the peer was rejected, the listener lives (R103, R124)", o)
				}
			}
			c.Cancel()
			<-c.Done()
			l.Cancel()
			<-l.Done()
			// TestMain counts what an ignored peer would leave behind (R103, R104, T22).
		})
	}
}
