package integration_test

import (
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/openxpc/openxpc/integration/leaktest"
	"github.com/openxpc/openxpc/xpc"
)

// serviceHelper is the service of most tests. It says what events its peers have
// ("1 got hello", "2 INVALID"; peers are numbered as they come) and does with a
// message what its "do" says. Requests are answered, unless that is the point, and
// not told.
var serviceHelper = helper("service", func() {
	becomeUser()
	s := &service{forgets: os.Getenv(forgetVariable) != ""}
	s.listen(os.Getenv(serviceNameVariable))
	select {}
})

const (
	serviceNameVariable = "XPC_SERVICE_NAME" // set by xpcd for a job of one name
	userVariable        = "XPC_TEST_USER"    // the service takes this user's id first
	forgetVariable      = "XPC_TEST_FORGET"  // it keeps no peer, and says nothing of their ends
	requireVariable     = "XPC_TEST_REQUIRE" // a requirement of its listeners
)

func becomeUser() {
	if os.Getenv(userVariable) != "" {
		if err := syscall.Setuid(otherUser); err != nil {
			say("cannot become user %d: %v", otherUser, err)
		}
	}
}

const otherUser = 65534

type service struct {
	forgets bool

	mu        sync.Mutex // guards the rest
	peers     []*peer
	listeners []*xpc.Connection
}

// peer is one accepted connection. Its handlers never overlap, so most of it needs no lock.
type peer struct {
	*xpc.Connection
	s     *service
	n     int
	kept  []*xpc.Dictionary // requests that are not answered yet
	reply *xpc.Dictionary   // made and never sent
	overlap
}

// listen serves a name, or with "" an anonymous listener, and returns that.
func (s *service) listen(name string) *xpc.Connection {
	l := xpc.NewMachServiceConnection(name, nil, xpc.MachServiceListener)
	what := "listener "
	if name == "" {
		l, what = xpc.NewConnection("", nil), "anonymous listener "
	}
	if text := os.Getenv(requireVariable); text != "" {
		if err := l.SetPeerCodeSigningRequirement(text); err != nil {
			say("%v", err)
		}
	}
	l.SetEventHandler(func(o xpc.Object) {
		if c, ok := o.(*xpc.Connection); ok {
			s.accept(c)
			return
		}
		say("%s%s", what, eventName(o))
	})
	l.Activate()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listeners = append(s.listeners, l)
	return l
}

func (s *service) accept(c *xpc.Connection) {
	s.mu.Lock()
	p := &peer{Connection: c, s: s, n: len(s.peers) + 1}
	if !s.forgets {
		s.peers = append(s.peers, p)
	}
	s.mu.Unlock()
	c.SetEventHandler(p.handle)
	c.Activate()
}

// peer is the one that a message means by its number, or from.
func (s *service) peer(m *xpc.Dictionary, from *peer) *peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := int(m.GetInt64("n")); n >= 1 && n <= len(s.peers) {
		return s.peers[n-1]
	}
	return from
}

func (p *peer) say(text string) { say("%d %s", p.n, text) }

func (p *peer) handle(o xpc.Object) {
	p.enter()
	defer p.leave()
	m, ok := o.(*xpc.Dictionary)
	if !ok {
		if !p.s.forgets {
			p.say(eventName(o))
		}
		return
	}
	act := actions[m.GetString("do")]
	if act == nil {
		p.say("cannot " + m.GetString("do"))
		return
	}
	act(p, m)
}

// answer replies with what every reply has, and what fill adds.
func (p *peer) answer(m *xpc.Dictionary, fill func(*xpc.Dictionary)) {
	reply := m.CreateReply()
	if reply == nil {
		return
	}
	reply.SetString("text", m.GetString("text"))
	reply.SetInt64("pid", int64(os.Getpid()))
	reply.SetInt64("peer", int64(p.n))
	if fill != nil {
		fill(reply)
	}
	p.SendMessage(reply)
}

// actions are what a message can ask for by its "do".
var actions map[string]func(p *peer, m *xpc.Dictionary)

func init() {
	actions = map[string]func(p *peer, m *xpc.Dictionary){
		"":                  hear,
		"echo":              echo,
		"who am I":          tellCredentials,
		"exit":              func(*peer, *xpc.Dictionary) { os.Exit(3) },
		"cancel me":         func(p *peer, _ *xpc.Dictionary) { p.Cancel() },
		"count":             func(*peer, *xpc.Dictionary) {},
		"counted":           tellCounts,
		"resources":         tellResources,
		"descriptors":       tellDescriptors,
		"collect":           func(p *peer, m *xpc.Dictionary) { runtime.GC(); p.answer(m, nil) },
		"be concurrent":     beConcurrent,
		"push":              push,
		"hold":              hold,
		"release":           release,
		"freeze with reply": freezeWithReply,
		"drop":              func(*peer, *xpc.Dictionary) {},
		"drop reply":        func(_ *peer, m *xpc.Dictionary) { m.CreateReply().Release() },
		"lose reply":        loseReply,
		"reply twice":       replyTwice,
		"reply elsewhere":   replyElsewhere,
		"suspend":           suspend,
		"resume":            func(p *peer, m *xpc.Dictionary) { p.s.peer(m, p).Resume(); p.answer(m, nil) },
		"suspend and ask":   suspendAndAsk,
		"ask back":          askBack,
		"ask inside":        askInside,
		"endpoint":          giveEndpoint,
		"cancel listener":   cancelListener,
		"listen again":      func(p *peer, m *xpc.Dictionary) { p.s.listen(os.Getenv(serviceNameVariable)); p.answer(m, nil) },
		"read shared":       readShared,
		"give descriptor":   giveDescriptor,
		"keep":              keep,
		"share queue":       func(p *peer, m *xpc.Dictionary) { p.SetTargetQueue(sharedQueue); p.answer(m, nil) },
		"work":              func(*peer, *xpc.Dictionary) { time.Sleep(time.Millisecond) },
		"fan out":           fanOut,
	}
}

// hear is what is done with an ordinary message: a plain one is told, a request answered.
func hear(p *peer, m *xpc.Dictionary) {
	reply := m.CreateReply()
	if reply == nil {
		p.say(eventName(m))
		return
	}
	reply.SetString("text", m.GetString("text"))
	reply.SetInt64("pid", int64(os.Getpid()))
	reply.SetInt64("peer", int64(p.n))
	p.SendMessage(reply)
}

// echo sends everything back.
func echo(p *peer, m *xpc.Dictionary) {
	p.answer(m, func(reply *xpc.Dictionary) {
		for key, v := range m.All() {
			reply.Set(key, v)
		}
	})
}

func tellCredentials(p *peer, m *xpc.Dictionary) {
	p.answer(m, func(reply *xpc.Dictionary) {
		reply.SetInt64("your pid", int64(p.PID()))
		reply.SetInt64("your uid", int64(p.EUID()))
		reply.SetInt64("your gid", int64(p.EGID()))
		reply.SetInt64("sender", int64(m.Sender().PID))
	})
}

func tellCounts(p *peer, m *xpc.Dictionary) {
	of := p.s.peer(m, p)
	p.answer(m, func(reply *xpc.Dictionary) {
		calls, most := of.read()
		reply.SetInt64("calls", int64(calls))
		reply.SetInt64("most", int64(most))
	})
}

func tellResources(p *peer, m *xpc.Dictionary) {
	p.answer(m, func(reply *xpc.Dictionary) {
		r := measure()
		reply.SetInt64("goroutines", int64(r.goroutines))
		reply.SetInt64("descriptors", int64(r.descriptors))
		reply.SetInt64("objects", int64(r.objects))
	})
}

// tellDescriptors counts without the collector's help.
func tellDescriptors(p *peer, m *xpc.Dictionary) {
	n := leaktest.Descriptors()
	p.answer(m, func(reply *xpc.Dictionary) { reply.SetInt64("descriptors", int64(n)) })
}

func beConcurrent(p *peer, m *xpc.Dictionary) {
	p.SetTargetQueue(xpc.NewConcurrentQueue("concurrent"))
	p.answer(m, nil)
}

// push sends n plain messages, then the answer.
func push(p *peer, m *xpc.Dictionary) {
	for i := range m.GetInt64("n") {
		p.SendMessage(numbered(int(i) + 1))
	}
	p.answer(m, nil)
}

// hold keeps a request until it is released by another message.
func hold(p *peer, m *xpc.Dictionary) {
	p.s.mu.Lock()
	p.kept = append(p.kept, m.Retain())
	p.s.mu.Unlock()
	p.say("holds " + m.GetString("text"))
}

// release answers what a peer holds, with size bytes if the message asks for that.
func release(p *peer, m *xpc.Dictionary) {
	of := p.s.peer(m, p)
	p.s.mu.Lock()
	kept := of.kept
	of.kept = nil
	p.s.mu.Unlock()
	for _, k := range kept {
		of.answer(k, func(reply *xpc.Dictionary) { reply.SetString("filler", strings.Repeat("x", int(m.GetInt64("size")))) })
		k.Release()
	}
	p.answer(m, nil)
}

// sharedQueue is that of the peers who asked for it.
var sharedQueue = xpc.NewQueue("shared")

// keep is hold without a word.
func keep(p *peer, m *xpc.Dictionary) {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	p.kept = append(p.kept, m.Retain())
}

// fanOut sends the data that came to every other peer.
func fanOut(p *peer, m *xpc.Dictionary) {
	p.s.mu.Lock()
	peers := p.s.peers
	p.s.mu.Unlock()
	for _, to := range peers {
		if to == p {
			continue
		}
		out := xpc.NewDictionary()
		out.Set("data", m.Get("data"))
		to.SendMessage(out)
	}
	p.answer(m, nil)
}

// freezeWithReply has a reply in hand and never returns.
func freezeWithReply(p *peer, m *xpc.Dictionary) {
	p.reply = m.CreateReply()
	p.say("has a reply")
	select {}
}

// loseReply makes a reply that becomes garbage.
func loseReply(_ *peer, m *xpc.Dictionary) { m.CreateReply() }

// replyTwice makes two replies of one message and says what became of that (R144).
func replyTwice(p *peer, m *xpc.Dictionary) {
	first, second := m.CreateReply(), m.CreateReply()
	p.say(made("first", first) + ", " + made("second", second))
	if first != nil {
		p.SendMessage(first)
	}
}

func made(which string, reply *xpc.Dictionary) string {
	if reply == nil {
		return which + " none"
	}
	return which + " made"
}

// replyElsewhere sends a reply on the wrong connection, which is misuse (R147).
func replyElsewhere(p *peer, m *xpc.Dictionary) {
	p.s.peer(m, p).SendMessage(m.CreateReply())
}

// suspend tells when it is done: an answer would have to leave before.
func suspend(p *peer, m *xpc.Dictionary) {
	for range max(1, m.GetInt64("times")) {
		p.Suspend()
	}
	p.say("suspended")
}

// suspendAndAsk asks the client something and suspends: the client sends messages
// before its answer, so that when the answer is here the messages are as well.
func suspendAndAsk(p *peer, _ *xpc.Dictionary) {
	ended := make(chan struct{})
	defer close(ended)
	p.SendMessageWithReply(message("", "question"), nil, func(o xpc.Object) {
		<-ended
		calls, _ := p.read()
		say("%d suspended, %s, %d call of the handler", p.n, eventName(o), calls)
		p.Resume()
	})
	p.Suspend()
	p.say("suspended in its handler")
}

// askBack asks the client on the same connection and says the outcome.
func askBack(p *peer, m *xpc.Dictionary) {
	p.SendMessageWithReply(message("", "question"), nil, func(o xpc.Object) { p.say("asked: " + eventName(o)) })
	p.answer(m, nil)
}

// askInside asks the client from inside the handler, and waits for the answer there (R67).
func askInside(p *peer, m *xpc.Dictionary) {
	p.SendMessage(message("", "sent inside"))
	reply, err := p.SendMessageWithReplySync(testContext(), message("", "question"))
	if err != nil {
		p.say(err.Error())
	}
	p.answer(m, func(r *xpc.Dictionary) { r.SetString("text", reply.GetString("text")) })
}

// giveEndpoint makes an anonymous listener.
func giveEndpoint(p *peer, m *xpc.Dictionary) {
	l := p.s.listen("")
	p.answer(m, func(reply *xpc.Dictionary) { reply.Set("endpoint", xpc.NewEndpoint(l)) })
}

// cancelListener cancels the listener that was made last.
func cancelListener(p *peer, m *xpc.Dictionary) {
	p.s.mu.Lock()
	last := len(p.s.listeners) - 1
	l := p.s.listeners[last]
	p.s.listeners = p.s.listeners[:last]
	p.s.mu.Unlock()
	l.Cancel()
	<-l.Done()
	p.answer(m, nil)
}

// readShared reads 5 bytes of the descriptor that came.
func readShared(p *peer, m *xpc.Dictionary) {
	fd := m.DupFD("fd")
	buf := make([]byte, 5)
	n, err := syscall.Read(fd, buf)
	if err != nil {
		p.say(err.Error())
	}
	syscall.Close(fd)
	p.answer(m, func(reply *xpc.Dictionary) { reply.SetString("text", string(buf[:max(0, n)])) })
}

// giveDescriptor answers with a pipe's reading end; "from the service" is in it.
func giveDescriptor(p *peer, m *xpc.Dictionary) {
	r, w, err := os.Pipe()
	if err != nil {
		p.say(err.Error())
		return
	}
	w.WriteString("from the service")
	w.Close()
	p.answer(m, func(reply *xpc.Dictionary) { reply.SetFD("fd", int(r.Fd())) })
	r.Close()
}
