package xpc

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openxpc/openxpc/credentials"
	"github.com/openxpc/openxpc/credentials/requirement"
	"github.com/openxpc/openxpc/integration/soak"
	"github.com/openxpc/openxpc/transport"
)

// attests is an attester that says the same of everybody.
type attests struct {
	facts  requirement.Facts
	slow   bool
	err    error
	asked  atomic.Int32
	closed atomic.Int32
	checks atomic.Int32

	mu      sync.Mutex
	changed error
}

func (a *attests) Attest(_ context.Context, p Process) (*Attestation, error) {
	a.asked.Add(1)
	if a.err != nil {
		return nil, a.err
	}
	f := a.facts
	f.Credentials = p.Credentials
	return &Attestation{Facts: &f, Check: a.check, Slow: a.slow, Close: func() { a.closed.Add(1) }}, nil
}

func (a *attests) check() error {
	a.checks.Add(1)
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.changed
}

func (a *attests) change() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.changed = errors.New("it has executed another program")
}

func signedTool() *attests {
	return &attests{facts: requirement.Facts{Assurance: requirement.Granted, Code: &requirement.Code{Identifier: "com.example.tool", Team: "EXAMPLE123", Category: 6}}}
}

// guarded is an anonymous echo service and a client of it, neither of them activated.
type guarded struct {
	t        *testing.T
	listener *Connection
	client   *Connection
	onPeer   func(*Connection)

	seen     atomic.Int32 // messages that the service handled
	appeared atomic.Int32
	events   chan Object // of the client
}

func newGuarded(t *testing.T) *guarded {
	g := &guarded{t: t, listener: NewConnection("", nil), events: make(chan Object, 16), onPeer: func(*Connection) {}}
	g.listener.SetEventHandler(func(o Object) {
		p, ok := o.(*Connection)
		if !ok {
			return
		}
		g.appeared.Add(1)
		p.SetEventHandler(func(o Object) {
			m, ok := o.(*Dictionary)
			if !ok {
				return
			}
			g.seen.Add(1)
			if r := m.CreateReply(); r != nil {
				r.SetString("says", m.GetString("says"))
				p.SendMessage(r)
			}
		})
		g.onPeer(p)
		p.Activate()
	})
	g.client = NewConnectionFromEndpoint(NewEndpoint(g.listener))
	g.client.SetEventHandler(func(o Object) { g.events <- o })
	t.Cleanup(func() {
		for _, c := range []*Connection{g.client, g.listener} {
			c.Activate()
			c.Cancel()
			<-c.Done()
		}
	})
	return g
}

func (g *guarded) activate() *guarded {
	g.listener.Activate()
	g.client.Activate()
	return g
}

func (g *guarded) call() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	r, err := g.client.SendMessageWithReplySync(ctx, saying("hello"))
	if err == nil && r.GetString("says") != "hello" {
		g.t.Errorf("the reply is %v", r)
	}
	return err
}

// wantUnfit checks the error of a call that a requirement ended.
func wantUnfit(t *testing.T, err error, words string) {
	t.Helper()
	if !errors.Is(err, ErrPeerCodeSigningRequirement) || !strings.Contains(err.Error(), words) {
		t.Errorf("got %v, want ErrPeerCodeSigningRequirement with %q", err, words)
	}
}

func setRequirement(t *testing.T, c *Connection, text string) {
	t.Helper()
	if err := c.SetPeerCodeSigningRequirement(text); err != nil {
		t.Fatal(err)
	}
}

func TestT32_R176_AListenerRefuses(t *testing.T) {
	g := newGuarded(t)
	setRequirement(t, g.listener, "uid 4000000000 or identifier \"com.example.tool\"")
	g.listener.SetAttester(&attests{err: errors.New("nobody knows")})
	g.activate()
	wantUnfit(t, g.call(), ErrUnfit.Error())
	wantUnfit(t, g.call(), ErrUnfit.Error())
	if g.seen.Load() != 0 || g.appeared.Load() != 0 {
		t.Errorf("%d messages and %d peers reached the service, want none", g.seen.Load(), g.appeared.Load())
	}
	n, why := g.listener.Rejections()
	var e *PeerRequirementError
	if n != 2 || !errors.As(why, &e) || !strings.Contains(why.Error(), "nobody knows") || !strings.Contains(e.Mismatch.Clause, "uid 4000000000") {
		t.Errorf("the listener counts %d, and says %v", n, why)
	}
	if s := g.client.InvalidationReason(); s != "" {
		t.Errorf("the connection stays (R126), got %s", s)
	}
}

func TestT32_R174_AClientRefuses(t *testing.T) {
	for _, text := range []string{"uid 4000000000", `identifier "com.example.other"`} {
		g := newGuarded(t)
		setRequirement(t, g.client, text)
		g.client.SetAttester(signedTool())
		g.activate()
		for range 2 {
			wantUnfit(t, g.call(), text)
			if o := <-g.events; o != ErrPeerCodeSigningRequirement {
				t.Errorf("the event handler got %v (R126)", o)
			}
		}
		replied := make(chan Object, 1)
		g.client.SendMessageWithReply(saying("hello"), nil, func(o Object) { replied <- o })
		if o := <-replied; o != ErrPeerCodeSigningRequirement {
			t.Errorf("the reply handler got %v (R174)", o)
		}
		if g.seen.Load() != 0 {
			t.Error("a message was sent to a server that does not meet the requirement")
		}
		if n, _ := g.client.Rejections(); n != 3 {
			t.Errorf("the client counts %d, want 3", n)
		}
	}
}

func TestWhoMeetsTheRequirementIsServed(t *testing.T) {
	me := os.Geteuid()
	for name, set := range map[string]func(*Connection) error{
		"user": func(c *Connection) error {
			p, err := NewPeerSameUserRequirement()
			if err == nil {
				c.SetPeerRequirement(p)
			}
			return err
		},
		"group": func(c *Connection) error {
			return c.SetPeerCodeSigningRequirement("!gid 4000000000 and !uid 4000000001")
		},
		"code": func(c *Connection) error { return c.SetPeerCodeSigningRequirement(`identifier "com.example.tool"`) },
		"LWCR": func(c *Connection) error {
			return c.SetPeerLightweightCodeRequirement(with("team-identifier", String("EXAMPLE123")))
		},
		"combined": func(c *Connection) error {
			return c.SetPeerCodeSigningRequirement(`{"validation-category": 6} and assurance granted`)
		},
	} {
		for _, slow := range []bool{false, true} {
			g := newGuarded(t)
			a, b := signedTool(), signedTool()
			a.slow, b.slow = slow, slow
			for c, a := range map[*Connection]*attests{g.listener: a, g.client: b} {
				c.SetAttester(a)
				if err := set(c); err != nil {
					t.Fatal(err)
				}
			}
			g.activate()
			for range 3 {
				if err := g.call(); err != nil {
					t.Errorf("%s (user %d): %v", name, me, err)
				}
			}
			if n, why := g.listener.Rejections(); n != 0 {
				t.Errorf("%s: the listener refused %d: %v", name, n, why)
			}
			if want := map[bool]int32{true: 1}[name == "code" || name == "LWCR" || name == "combined"]; a.asked.Load() != want || b.asked.Load() != want {
				t.Errorf("%s: the attesters were asked %d and %d times, want %d: once for a socket, and never for users", name, a.asked.Load(), b.asked.Load(), want)
			}
			g.client.Cancel()
			<-g.client.Done()
			if a.asked.Load() != b.closed.Load() {
				t.Errorf("%s: the client's attestation was closed %d times", name, b.closed.Load())
			}
		}
	}
}

func TestR175_EveryMessageIsChecked(t *testing.T) {
	for _, slow := range []bool{false, true} {
		g := newGuarded(t)
		a := signedTool()
		a.slow = slow
		g.listener.SetAttester(a)
		setRequirement(t, g.listener, "always")
		g.activate()
		if err := g.call(); err != nil {
			t.Fatal(err)
		}
		a.change()
		wantUnfit(t, g.call(), ErrUnfit.Error())
		if g.seen.Load() != 1 {
			t.Errorf("slow %v: %d messages were handled, want the one before the change", slow, g.seen.Load())
		}
		if _, why := g.listener.Rejections(); why == nil || !strings.Contains(why.Error(), "executed another program") {
			t.Errorf("slow %v: the listener says %v", slow, why)
		}
	}
}

func TestR173_EveryReplyIsChecked(t *testing.T) {
	for _, slow := range []bool{false, true} {
		g := newGuarded(t)
		a := signedTool()
		a.slow = slow
		g.client.SetAttester(a)
		setRequirement(t, g.client, "always")
		g.activate()
		if err := g.call(); err != nil {
			t.Fatal(err)
		}
		a.change()
		wantUnfit(t, g.call(), "executed another program")
	}
}

func TestR173_EveryPushIsChecked(t *testing.T) {
	g := newGuarded(t)
	a := signedTool()
	g.client.SetAttester(a)
	setRequirement(t, g.client, "always")
	peers := make(chan *Connection, 1)
	g.onPeer = func(p *Connection) { peers <- p }
	g.activate()
	if err := g.call(); err != nil {
		t.Fatal(err)
	}
	p := <-peers
	p.SendMessage(saying("push"))
	if o := <-g.events; sayingOf(o) != "push" {
		t.Errorf("got %v, want the push", o)
	}
	a.change()
	p.SendMessage(saying("push"))
	if o := <-g.events; o != ErrPeerCodeSigningRequirement {
		t.Errorf("got %v, want the error in the message's place", o)
	}
}

func TestARequirementOnADeliveredPeer(t *testing.T) {
	for text, fit := range map[string]bool{
		`identifier "com.example.tool"`: true, `identifier "other"`: false, "uid 4000000000": false, "!uid 4000000000": true,
	} {
		g := newGuarded(t)
		g.onPeer = func(p *Connection) {
			p.SetAttester(signedTool())
			setRequirement(t, p, text)
		}
		g.activate()
		for range 2 {
			err := g.call()
			if fit && err != nil {
				t.Errorf("%s: %v", text, err)
			}
			if !fit {
				wantUnfit(t, err, ErrUnfit.Error())
			}
		}
		if got := g.seen.Load() > 0; got != fit {
			t.Errorf("%s: %d messages were handled", text, g.seen.Load())
		}
	}
}

func TestT33_R171_OneRequirementOnly(t *testing.T) {
	const one = "only one peer requirement may be set"
	for name, c := range map[string]*Connection{"client": NewConnection("com.example.none", nil), "listener": NewConnection("", nil)} {
		setRequirement(t, c, "always")
		mustPanic(t, name, one, func() { c.SetPeerCodeSigningRequirement("always") })
		mustPanic(t, name, one, func() { c.SetPeerEntitlementExistsRequirement("x") })
		mustPanic(t, name, "must not be nil", func() { c.SetPeerRequirement(nil) })
		if err := c.SetPeerCodeSigningRequirement("bogus"); err == nil {
			t.Errorf("%s: a bad requirement is an error first", name)
		}
	}
	g := newGuarded(t).activate()
	mustPanic(t, "late (R172)", "before the connection is activated", func() { g.client.SetPeerPlatformIdentityRequirement("") })
	mustPanic(t, "late", "before the connection is activated", func() { g.client.SetAttester(nil) })
}

func TestR170_BadRequirementsAreToldAtOnce(t *testing.T) {
	t.Setenv("XPC_REGISTRY", t.TempDir()+"/none")
	c := NewConnection("com.example.none", nil)
	for name, err := range map[string]error{
		"text":          c.SetPeerCodeSigningRequirement("identifier"),
		"entitlement":   c.SetPeerEntitlementExistsRequirement(""),
		"its value":     c.SetPeerEntitlementMatchesValueRequirement("x", Double(1)),
		"no value":      c.SetPeerEntitlementMatchesValueRequirement("x", nil),
		"an uint64":     c.SetPeerEntitlementMatchesValueRequirement("x", Uint64(1)),
		"no dictionary": c.SetPeerLightweightCodeRequirement(nil),
		"empty":         c.SetPeerLightweightCodeRequirement(NewDictionary()),
		"no platforms":  c.SetPeerCodeSigningRequirement("platform = 2 and anchor apple generic"),
		"no volumes":    c.SetPeerLightweightCodeRequirement(with("on-authorized-authapfs-volume", Bool(true))),
		"a set":         c.SetPeerCodeSigningRequirement("designated => always"),
		"unknown fact":  c.SetPeerLightweightCodeRequirement(with("colour", String("red"))),
		"null":          c.SetPeerLightweightCodeRequirement(with("team-identifier", Null{})),
		"no registry":   c.SetPeerTeamIdentityRequirement(""),
	} {
		if err == nil || !strings.HasPrefix(err.Error(), "xpc: ") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if err := c.SetPeerTeamIdentityRequirement(""); err == nil || !strings.Contains(err.Error(), `Start one with "xpcd"`) {
		t.Errorf("without a registry: got %v, which does not say what is missing", err)
	}
	if _, err := NewPeerRequirement(nil); err == nil {
		t.Error("a requirement of nothing")
	}
	setRequirement(t, c, "always") // none of those was set
}

func TestTheSettersSayWhatTheyMean(t *testing.T) {
	for want, f := range map[string]func() (*PeerRequirement, error){
		`entitlement["x"] exists`:                               func() (*PeerRequirement, error) { return NewPeerEntitlementExistsRequirement("x") },
		`{"entitlements": {"$query": [[1, "x"], [5, true]]}}`:   func() (*PeerRequirement, error) { return NewPeerEntitlementMatchesValueRequirement("x", Bool(true)) },
		`{"entitlements": {"$query": [[1, "x"], [3, "v"]]}}`:    func() (*PeerRequirement, error) { return NewPeerEntitlementMatchesValueRequirement("x", String("v")) },
		`{"entitlements": {"$query": [[1, "x"], [7, 5]]}}`:      func() (*PeerRequirement, error) { return NewPeerEntitlementMatchesValueRequirement("x", Int64(5)) },
		`{"signing-identifier": "i", "validation-category": 1}`: func() (*PeerRequirement, error) { return NewPeerPlatformIdentityRequirement("i") },
		`{"cdhash": H"0000000000000000000000000000000000000001", "launch-type": {"$in": [1, 2]}}`: func() (*PeerRequirement, error) {
			d, in, two := NewDictionary(), NewDictionary(), NewArray()
			two.AppendInt64(1)
			two.AppendUint64(2)
			in.Set("$in", two)
			d.Set("launch-type", in)
			d.SetData("cdhash", append(make([]byte, 19), 1))
			return NewPeerLightweightCodeRequirement(d)
		},
	} {
		if p, err := f(); err != nil || p.String() != want {
			t.Errorf("got %v, %v, want %s", p, err, want)
		}
	}
	if team, err := ownTeam(signedTool()); team != "EXAMPLE123" || err != nil {
		t.Errorf("the team of this process: %q, %v", team, err)
	}
	bare := signedTool()
	bare.facts.Code.Team = ""
	if _, err := ownTeam(bare); err == nil || !strings.Contains(err.Error(), "without a team") {
		t.Errorf("ad-hoc code: got %v", err)
	}
}

func TestRootWantsTheKernelsWord(t *testing.T) {
	a := signedTool()
	a.facts.Assurance = requirement.Image
	for text, fit := range map[string]bool{`identifier "com.example.tool"`: os.Geteuid() != 0, `identifier "com.example.tool" and assurance image`: true} {
		p, err := NewPeerCodeSigningRequirement(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.judge(&a.facts); (err == nil) != fit {
			t.Errorf("%s: got %v", text, err)
		}
	}
}

func TestWithoutARegistryTheErrorSaysWhatIsMissing(t *testing.T) {
	t.Setenv("XPC_REGISTRY", t.TempDir()+"/none")
	g := newGuarded(t)
	setRequirement(t, g.client, "anchor apple generic")
	g.activate()
	wantUnfit(t, g.call(), `Start one with "xpcd"`)
}

func TestR192_MatchReceivedMessage(t *testing.T) {
	matches := make(chan [4]error, 1)
	g := newGuarded(t)
	g.onPeer = func(p *Connection) {
		p.SetAttester(signedTool())
		p.SetEventHandler(func(o Object) {
			m, ok := o.(*Dictionary)
			if !ok {
				return
			}
			match := func(text string) error {
				need, err := NewPeerCodeSigningRequirement(text)
				if err != nil {
					t.Fatal(err)
				}
				return need.MatchReceivedMessage(context.Background(), m)
			}
			matches <- [4]error{match(`identifier "com.example.tool"`), match("!uid 4000000000"), match("anchor apple"), match("uid 4000000000")}
			r := m.CreateReply()
			r.SetString("says", "hello")
			p.SendMessage(r)
		})
	}
	g.activate()
	if err := g.call(); err != nil {
		t.Fatal(err)
	}
	got := <-matches
	if got[0] != nil || got[1] != nil {
		t.Errorf("got %v and %v, want a match", got[0], got[1])
	}
	var e *PeerRequirementError
	if !errors.As(got[2], &e) || !errors.As(got[3], &e) {
		t.Errorf("got %v and %v, want mismatches", got[2], got[3])
	}
	p, _ := NewPeerSameUserRequirement()
	if err := p.MatchReceivedMessage(context.Background(), NewDictionary()); err == nil {
		t.Error("a dictionary that was not received has no sender")
	}
}

// raw is a client that speaks frames.
type raw struct {
	conn   *transport.Conn
	frames chan transport.Frame
}

// dialRaw connects to the listener.
func (g *guarded) dialRaw() *raw {
	g.t.Helper()
	conn, err := NewEndpoint(g.listener).dial(transport.Options{})
	if err != nil {
		g.t.Fatal(err)
	}
	r := &raw{conn, make(chan transport.Frame, 64)}
	conn.Start(r)
	return r
}

func (r *raw) Receive(f *transport.Frame, _ bool) transport.Outcome {
	g := *f
	g.Body = append([]byte(nil), f.Body...)
	r.frames <- g
	return 0
}
func (r *raw) Work()        {}
func (r *raw) Closed(error) { close(r.frames) }

// next is the next frame of a kind.
func (r *raw) next(t *testing.T, kind uint8) *transport.Frame {
	t.Helper()
	for f := range r.frames {
		if f.Kind == kind {
			return &f
		}
	}
	t.Fatalf("the connection ended before a frame of kind %d", kind)
	return nil
}

func (r *raw) send(kind, flags uint8, id uint64, body []byte) {
	r.conn.Append(&transport.Frame{Kind: kind, Flags: flags, ID: id, Body: body, Identify: kind == frameHello})
	r.conn.Flush()
}

// TestQueuedThenAnswered: who executes the signed program only after he has written
// is found out by the count of bytes, and nothing of what he wrote is delivered. Frames
// would not do: his can have hidden the signed program's first ones in its body, and
// then as many have come as that program wrote.
func TestQueuedThenAnswered(t *testing.T) {
	hello, evil := helloFrame(&defaultLimits), bodyOf(saying("evil"))
	ofHello := size(hello)
	all := ofHello + uint64(transport.HeaderSize+len(evil))
	for name, c := range map[string]struct {
		sent  uint64
		spoil bool
		fit   bool
	}{
		"honest": {sent: all, fit: true}, "knows of nothing": {}, "knows of its HELLO": {sent: ofHello}, "two frames that were hidden in one": {sent: all - transport.HeaderSize},
		"claims more": {sent: all + 1}, "another nonce": {sent: all, spoil: true},
	} {
		g := newGuarded(t)
		g.listener.SetAttester(signedTool())
		setRequirement(t, g.listener, "always")
		g.activate()
		r := g.dialRaw()
		r.send(frameHello, 0, 0, hello.Body)
		r.send(frameMessage, flagWantsReply, 1, evil)
		nonce, _, err := parseChallenge(r.next(t, frameChallenge))
		if err != nil {
			t.Fatal(err)
		}
		if c.spoil {
			nonce[0]++
		}
		r.send(frameAnswer, 0, 0, challengeFrame(frameAnswer, nonce, c.sent).Body)
		kind := uint8(frameAbandoned)
		if c.fit {
			kind = frameReply
		}
		f := r.next(t, kind)
		if !c.fit && f.Flags != flagUnfit {
			t.Errorf("%s: ABANDONED with the flags %d", name, f.Flags)
		}
		if got := g.seen.Load() == 1; got != c.fit {
			t.Errorf("%s: handled %d messages", name, g.seen.Load())
		}
		r.conn.Close()
	}
}

// TestOneCheckForARead: a check says that nothing has changed until now, so one after a
// read of the socket is enough for all the messages that it brought; and what is read
// later wants another.
func TestOneCheckForARead(t *testing.T) {
	for _, slow := range []bool{false, true} {
		g := newGuarded(t)
		a := signedTool()
		a.slow = slow
		g.listener.SetAttester(a)
		setRequirement(t, g.listener, "always")
		g.activate()
		r := g.dialRaw()
		hello, body := helloFrame(&defaultLimits), bodyOf(saying("x"))
		r.send(frameHello, 0, 0, hello.Body)
		r.send(frameMessage, flagWantsReply, 1, body)
		nonce, _, err := parseChallenge(r.next(t, frameChallenge))
		if err != nil {
			t.Fatal(err)
		}
		r.send(frameAnswer, 0, 0, challengeFrame(frameAnswer, nonce, size(hello)+uint64(transport.HeaderSize+len(body))).Body)
		r.next(t, frameReply)
		before := a.checks.Load()
		burst := func(id uint64) {
			for n := range uint64(8) {
				r.conn.Append(&transport.Frame{Kind: frameMessage, Flags: flagWantsReply, ID: id + n, Body: body})
			}
			r.conn.Flush()
		}
		burst(2)
		for range 8 {
			r.next(t, frameReply)
		}
		if n := a.checks.Load() - before; n != 1 {
			t.Errorf("slow %v: %d checks of 8 messages that were written at once, want 1", slow, n)
		}
		a.change()
		burst(10)
		for range 8 {
			r.next(t, frameAbandoned)
		}
		if n := g.seen.Load(); n != 9 {
			t.Errorf("slow %v: %d messages were handled, want the 9 from before the change", slow, n)
		}
		r.conn.Close()
	}
}

// TestALibraryThatAnswersNoChallenge is never known by its code.
func TestALibraryThatAnswersNoChallenge(t *testing.T) {
	g := newGuarded(t)
	g.listener.SetAttester(signedTool())
	setRequirement(t, g.listener, "always")
	g.activate()
	r := g.dialRaw()
	defer r.conn.Close()
	d := NewDictionary()
	d.SetUint64("version", protocolVersion)
	r.send(frameHello, 0, 0, bodyOf(d))
	r.send(frameMessage, flagWantsReply, 1, bodyOf(saying("x")))
	r.next(t, frameAbandoned)
	if _, why := g.listener.Rejections(); why == nil || !strings.Contains(why.Error(), "does not answer challenges") {
		t.Errorf("the listener says %v", why)
	}
}

func TestAPeerThatGoesBeforeItIsKnown(t *testing.T) {
	g := newGuarded(t)
	g.listener.SetAttester(signedTool())
	setRequirement(t, g.listener, "always")
	g.activate()
	r := g.dialRaw()
	r.send(frameHello, 0, 0, helloFrame(&defaultLimits).Body)
	r.send(frameMessage, flagWantsReply, 1, bodyOf(saying("x")))
	r.next(t, frameChallenge)
	r.conn.Close()
	if err := g.call(); err != nil { // it is there after the other has gone
		t.Error(err)
	}
	if g.appeared.Load() != 1 {
		t.Errorf("%d peers appeared, want the client alone", g.appeared.Load())
	}
}

func TestCancelWhileNobodyIsKnown(t *testing.T) {
	g := newGuarded(t)
	hold := make(chan struct{})
	a := &waits{hold, make(chan struct{})}
	g.client.SetAttester(a)
	setRequirement(t, g.client, "always")
	g.activate()
	got := make(chan Object, 1)
	g.client.SendMessageWithReply(saying("x"), nil, func(o Object) { got <- o })
	<-a.asked
	g.client.Cancel()
	if o := <-got; o != ErrConnectionInvalid {
		t.Errorf("got %v", o)
	}
	close(hold)
	<-g.client.Done()
}

// waits is an attester that takes its time.
type waits struct{ hold, asked chan struct{} }

func (w *waits) Attest(context.Context, Process) (*Attestation, error) {
	close(w.asked)
	<-w.hold
	return nil, errors.New("too late")
}

func BenchmarkGuardedCall(b *testing.B) {
	for name, text := range map[string]string{"none": "", "user": "!uid 4000000000", "code": "always"} {
		b.Run(name, func(b *testing.B) {
			l := NewConnection("", nil)
			l.SetEventHandler(func(o Object) {
				if p, ok := o.(*Connection); ok {
					p.SetEventHandler(func(o Object) {
						if m, ok := o.(*Dictionary); ok {
							p.SendMessage(m.CreateReply())
						}
					})
					p.Activate()
				}
			})
			if text != "" {
				l.SetAttester(benchAttester{})
				if err := l.SetPeerCodeSigningRequirement(text); err != nil {
					b.Fatal(err)
				}
			}
			c := NewConnectionFromEndpoint(NewEndpoint(l))
			c.SetEventHandler(func(Object) {})
			l.Activate()
			c.Activate()
			m := NewDictionary()
			for b.Loop() {
				if _, err := c.SendMessageWithReplySync(context.Background(), m); err != nil {
					b.Fatal(err)
				}
			}
			c.Cancel()
			l.Cancel()
			<-c.Done()
			<-l.Done()
		})
	}
}

// benchAttester pins the process, as the registry's attester does, and calls it signed.
type benchAttester struct{}

func (benchAttester) Attest(_ context.Context, p Process) (*Attestation, error) {
	held, err := credentials.PinProcess(p.Handle)
	if err != nil {
		return nil, err
	}
	f := signedTool().facts
	f.Credentials = p.Credentials
	return &Attestation{Facts: &f, Check: held.Check, Close: held.Close}, nil
}

// What a message says of its sender is not believed, whatever it calls it.
func TestKeysSayNothingOfTheSender(t *testing.T) {
	keys := []string{"uid", "euid", "pid", "gid", "audit-token", "audit_token", "sender", "credentials", "entitlements", "team-identifier", "signing-identifier", "UID"}
	me := credentials.Credentials{PID: os.Getpid(), UID: os.Geteuid(), GID: os.Getegid()}
	rnd := rand.New(rand.NewPCG(1, 2))
	hostile := func() *Dictionary {
		m := saying("x")
		for range 1 + rnd.IntN(4) {
			key := keys[rnd.IntN(len(keys))]
			switch rnd.IntN(4) {
			case 0:
				m.SetInt64(key, rnd.Int64N(3)-1)
			case 1:
				m.SetUint64(key, rnd.Uint64())
			case 2:
				m.SetString(key, "uid=0")
			case 3:
				m.SetData(key, make([]byte, 32)) // an audit token of root's
			}
		}
		return m
	}
	for text, fit := range map[string]bool{"!uid 4000000000": true, "uid 4000000000": false} {
		g := newGuarded(t)
		g.onPeer = func(p *Connection) {
			p.SetEventHandler(func(o Object) {
				m, ok := o.(*Dictionary)
				if !ok {
					return
				}
				g.seen.Add(1)
				if who := m.Sender(); who.PID != me.PID || who.UID != me.UID || who.GID != me.GID {
					t.Errorf("%v is from %v, want this process %v", m, who, me)
				}
				r := m.CreateReply()
				r.SetString("says", "hello")
				p.SendMessage(r)
			})
		}
		setRequirement(t, g.listener, text)
		g.activate()
		n := soak.Times(500, 100_000)
		for range n {
			if _, err := g.client.SendMessageWithReplySync(context.Background(), hostile()); (err == nil) != fit {
				t.Fatalf("%s: %v", text, err)
			}
		}
		if want := map[bool]int{true: n}[fit]; int(g.seen.Load()) != want {
			t.Errorf("%s: %d messages were handled, want %d", text, g.seen.Load(), want)
		}
	}
}
