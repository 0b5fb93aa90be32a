package xpc

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// own gives a ring a count of its own, so that neither other tests nor the end of
// this process have a part in it. "ends" is written where a program would exit.
func own(r *ring) *transactions {
	t := newTransactions(func() { r.barriers.add("ends") })
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	r.c.process = t
	if r.c.isPeer() {
		t.join(r.c)
	}
	return t
}

func (t *transactions) want(test *testing.T, why string, open int64) {
	test.Helper()
	settle()
	if got := t.open.Load() &^ ending; got != open {
		test.Errorf("%d transactions are open, want %d: %s", got, open, why)
	}
}

func TestExplicitTransactions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tx := newTransactions(func() { t.Error("nobody told the process to end") })
		tx.beginExplicit()
		tx.beginExplicit()
		tx.endExplicit()
		tx.want(t, "each begin counts, whoever ends it (R180)", 1)
		tx.endExplicit()
		tx.want(t, "the end of the last is no end of a process that nobody wants to end", 0)
		tx.begin()
		for range 2 {
			if text := misuseOf(tx.endExplicit); !strings.Contains(text, "Unbalanced call to xpc_transaction_end()") {
				t.Errorf("got %q: one end too many is misuse", text)
			}
		}
		tx.want(t, "and does not end the transaction of a message (R180)", 1)
	})
}

func TestAutomaticTransactions(t *testing.T) {
	bubble(t, fromListener, func(t *testing.T, r *ring) {
		tx := own(r)
		var kept, reply *Dictionary
		r.onRequest(func(m *Dictionary) {
			if tx.open.Load() != 1 {
				t.Errorf("%d transactions while %s is handled, want one (R181)", tx.open.Load(), sayingOf(m))
			}
			switch m.GetString("says") {
			case "retained", "retained request":
				kept = m.Retain()
			case "answered", "answered, retained":
				r.c.SendMessage(m.CreateReply())
				if tx.open.Load() != 1 {
					t.Error("a handler that has replied may still be at work: its message counts until it returns")
				}
			case "reply kept":
				reply = m.CreateReply()
			case "both kept":
				kept, reply = m.Retain(), m.CreateReply()
			}
			if m.GetString("says") == "answered, retained" {
				kept = m.Retain()
			}
		})
		r.open()

		r.p().send("plain")
		tx.want(t, "a message counts until its handler returns (R181)", 0)
		r.p().ask("dropped")
		tx.want(t, "also a request that is dropped", 0)
		r.p().send("retained")
		tx.want(t, "or, retained, until its last release (R181)", 1)
		kept.Release()
		tx.want(t, "which is now", 0)

		r.p().ask("answered")
		tx.want(t, "the reply is sent, the handler has returned", 0)
		r.p().ask("answered, retained")
		tx.want(t, "the obligation was the reply's: what remains of the message does not count", 0)
		kept.Release()
		tx.want(t, "nor does its release", 0)

		r.p().ask("reply kept")
		tx.want(t, "the reply goes on with the transaction of its message (R181)", 1)
		r.c.SendMessage(reply)
		tx.want(t, "until it is sent", 0)
		r.p().ask("reply kept")
		settle()
		reply.Release()
		tx.want(t, "or released", 0)
		r.p().ask("both kept")
		tx.want(t, "one transaction, the reply's", 1)
		kept.Release()
		tx.want(t, "so the message's release does not end it", 1)
		r.c.SendMessage(reply)
		tx.want(t, "but the sending does", 0)

		r.p().ask("retained request")
		tx.want(t, "a request that is to be answered later", 1)
		late := kept.CreateReply()
		kept.Release()
		tx.want(t, "the reply took it over (R181)", 1)
		r.c.SendMessage(late)
		tx.want(t, "and ended it", 0)

		r.p().send("plain")
		r.c.Suspend()
		r.p().send("plain")
		tx.want(t, "what waits for a suspended connection is not delivered, and does not count", 0)
		r.c.Resume()
		tx.want(t, "", 0)
	})
}

// The collector ends the transactions of what a program forgets.
func TestTransactionsOfGarbage(t *testing.T) {
	tx := newTransactions(func() {})
	events, lost := make(chan struct{}), make(chan struct{})
	l := NewConnection("", nil)
	l.process = tx
	var peer *Connection
	l.SetEventHandler(func(o Object) {
		p, ok := o.(*Connection)
		if !ok {
			return
		}
		peer = p
		p.SetEventHandler(func(o Object) {
			m, ok := o.(*Dictionary)
			if !ok {
				return
			}
			if m.GetString("says") == "message" {
				m.Retain()
			} else {
				m.CreateReply()
			}
			events <- struct{}{}
		})
		p.Activate()
	})
	l.Activate()
	c := NewConnectionFromEndpoint(NewEndpoint(l))
	c.SetEventHandler(func(Object) {})
	c.Activate()
	c.SendMessage(saying("message"))
	<-events
	c.SendMessageWithReply(saying("request"), nil, func(o Object) {
		if o != Object(ErrConnectionInterrupted) {
			t.Errorf("the reply is lost (R150), got %v", o)
		}
		close(lost)
	})
	<-events
	for deadline := time.Now().Add(rulePatience); tx.open.Load() > 0; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d transactions are open that nothing can end", tx.open.Load())
		}
		runtime.GC()
	}
	<-lost
	for _, c := range []*Connection{c, peer, l} {
		c.Cancel()
		<-c.Done()
	}
}

func TestClientsMessagesAreNoTransactions(t *testing.T) {
	for _, k := range []from{fromName, fromEndpoint} {
		bubble(t, k, func(t *testing.T, r *ring) {
			tx := own(r)
			r.onRequest(func(m *Dictionary) {
				m.Retain()
				m.CreateReply()
			})
			r.open()
			r.p().ask("x")
			tx.want(t, "only what an accepted peer gets counts (R182)", 0)
			if idle := tx.terminate(); !idle {
				t.Error("an idle process may be ended at once (R184)")
			}
			r.p().ask("y")
			r.want("and to the end a client hears what it is told", "events: x, y")
		})
	}
}

// R125, R186: imminent, then nothing more is delivered, sending goes on, and the
// end of the last transaction is the process's.
func TestR125_TerminationImminent(t *testing.T) {
	bubble(t, fromListener, func(t *testing.T, r *ring) {
		tx := own(r)
		var reply *Dictionary
		r.onRequest(func(m *Dictionary) {
			if m.GetString("says") == "request" {
				reply = m.CreateReply()
			}
		})
		r.open()
		id := r.p().ask("request")
		r.p().send("hold")
		r.p().send("behind")
		r.want("the handler runs, a message waits behind it", "events: request, hold")
		if tx.terminate() {
			t.Error("a busy process must not be ended at once (R184)")
		}
		r.p().send("late")
		r.want("the running handler is not interrupted", "")
		r.letGo()
		r.want("then it is told, and gets none of the messages that were not delivered before (R186)", "events: IMMINENT")
		if tx.terminate() {
			t.Error("asked a second time it is as busy")
		}
		r.p().ask("late request")
		r.send("still")
		r.call("question")
		r.want("told once; what it sends still leaves (R125)", "frames: message still, request question")
		r.p().reply("question", "answer")
		r.want("and its calls are answered", "replies: question=answer")
		reply.SetString("says", "last")
		r.c.SendMessage(reply)
		r.want("the last transaction ends with the reply, and the process after that", fmt.Sprintf("frames: reply %d last; barriers: ends", id))
		r.c.Cancel()
		r.want("it may cancel meanwhile; a request that came too late learns of the end by the end", "frames: closed; events: INVALID, finalizer, done")
	})
}

func TestTerminationOfAnIdleProcess(t *testing.T) {
	bubble(t, fromListener, func(t *testing.T, r *ring) {
		tx := own(r)
		r.open()
		if !tx.terminate() || !tx.terminate() {
			t.Error("it is idle, however often it is asked (R184)")
		}
		r.p().send("late")
		r.want("it takes no more messages, and has nothing to be told", "")
	})
}

func TestAbandonedProcessEndsItself(t *testing.T) {
	bubble(t, fromListener, func(t *testing.T, r *ring) {
		tx := own(r)
		r.open()
		tx.abandoned()
		r.want("the registry is gone, and nobody had asked for an end", "")
		tx.beginExplicit()
		tx.terminate()
		tx.abandoned()
		r.want("a busy process ends by itself", "events: IMMINENT")
		tx.endExplicit()
		r.want("now", "barriers: ends")
		tx.beginExplicit()
		tx.endExplicit()
		tx.abandoned()
		r.want("once", "")
	})
}

// What was sent before the end of a transaction is with the client before the process ends.
func TestTheEndWaitsForWhatWasSent(t *testing.T) {
	bubble(t, fromListener, func(t *testing.T, r *ring) {
		tx := own(r)
		r.open()
		r.p().goDeaf()
		r.send("takes the deaf peer's ear")
		for range 64 {
			r.c.SendMessage(large(64 << 10))
		}
		settle()
		if len(tx.unwritten()) != 1 {
			t.Fatal("the pipe took everything: it must hold something back for this test")
		}
		if tx.terminate() {
			t.Error("a process with unwritten replies must not be killed at once")
		}
		r.p().listen()
		settle()
		if ends := r.barriers.take(); len(ends) != 1 {
			t.Errorf("got %v: when everything is written it ends", ends)
		}
		r.frames.take()
	})
	bubble(t, fromListener, func(t *testing.T, r *ring) {
		tx := own(r)
		r.open()
		r.p().goDeaf()
		for range 64 {
			r.c.SendMessage(large(64 << 10))
		}
		settle()
		before := time.Now()
		if tx.terminate() {
			t.Error("not idle")
		}
		for len(r.barriers.take()) == 0 {
			settle()
		}
		if waited := time.Since(before); waited < lastWrites {
			t.Errorf("it ended after %v of the bubble's time: the client had less than %v", waited, lastWrites)
		}
		r.frames.take()
	})
}

func large(n int) *Dictionary {
	m := NewDictionary()
	m.SetData("data", make([]byte, n))
	return m
}

// Clients that were not accepted wait for the next process.
func TestTerminationLeavesTheQueue(t *testing.T) {
	tx := newTransactions(func() {})
	for _, when := range []string{"before", "after"} {
		l := NewConnectionFromListener(listening(t, filepath.Join(t.TempDir(), "s")), nil)
		l.process = tx
		l.SetEventHandler(func(Object) {})
		if when == "after" {
			tx.terminate()
		}
		l.Activate()
		for listens := false; !listens; runtime.Gosched() {
			tx.mu.Lock()
			listens = len(tx.listeners) == 1
			tx.mu.Unlock()
		}
		if when == "before" {
			tx.terminate()
			tx.open.Store(0)
		}
		// Told after, it is the listener that stops itself, a little after it can be seen here.
		deadline := time.Now().Add(time.Minute)
		for accepts := true; accepts; runtime.Gosched() {
			_, err := l.listening.socket.File()
			if accepts = err == nil; accepts && (when == "before" || time.Now().After(deadline)) {
				t.Fatalf("told %s it listened: it still accepts", when)
			}
		}
		l.Cancel()
		<-l.Done()
		for remembered := true; remembered; runtime.Gosched() { // a listener that is gone is forgotten
			tx.mu.Lock()
			remembered = len(tx.listeners) > 0
			tx.mu.Unlock()
		}
	}
}
