package xpc_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/openxpc/openxpc/credentials"
	"github.com/openxpc/openxpc/credentials/requirement"
	"github.com/openxpc/openxpc/xpc"
)

// serve is an anonymous listener whose peers hand each message to handle. The
// examples use one in place of a named service, which needs a registry.
func serve(handle func(peer *xpc.Connection, m *xpc.Dictionary)) (*xpc.Connection, *xpc.Endpoint) {
	listener := xpc.NewConnection("", nil)
	listener.SetEventHandler(func(event xpc.Object) {
		peer, ok := event.(*xpc.Connection)
		if !ok {
			return // ErrConnectionInvalid: the listener was cancelled
		}
		peer.SetEventHandler(func(event xpc.Object) {
			if m, ok := event.(*xpc.Dictionary); ok {
				handle(peer, m)
			}
		})
		peer.Activate()
	})
	listener.Activate()
	return listener, xpc.NewEndpoint(listener)
}

// greet answers a request.
func greet(peer *xpc.Connection, m *xpc.Dictionary) {
	if reply := m.CreateReply(); reply != nil {
		reply.SetString("greeting", "hello, "+m.GetString("name"))
		peer.SendMessage(reply)
	}
}

func connect(e *xpc.Endpoint) *xpc.Connection {
	c := xpc.NewConnectionFromEndpoint(e)
	c.SetEventHandler(func(xpc.Object) {})
	c.Activate()
	return c
}

// end cancels and waits until everything was told.
func end(connections ...*xpc.Connection) {
	for _, c := range connections {
		c.Cancel()
		<-c.Done()
	}
}

func ExampleConnection() {
	listener, endpoint := serve(greet)
	c := xpc.NewConnectionFromEndpoint(endpoint) // or NewMachServiceConnection(name, nil, 0)
	c.SetEventHandler(func(event xpc.Object) {
		switch event {
		case xpc.ErrConnectionInterrupted:
			fmt.Println("the service is gone; the next message reaches its successor")
		case xpc.ErrConnectionInvalid:
			fmt.Println("the end:", c.InvalidationReason())
		}
	})
	c.Activate()

	m := xpc.NewDictionary()
	m.SetString("name", "Ada")
	reply, err := c.SendMessageWithReplySync(context.Background(), m)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(reply.GetString("greeting"))

	end(c, listener)
	// Output:
	// hello, Ada
	// the end: the connection was cancelled
}

func ExampleConnection_SendMessageWithReply() {
	listener, endpoint := serve(greet)
	c := connect(endpoint)
	q := xpc.NewQueue("replies") // nil would be the connection's target queue
	answered := make(chan struct{})

	m := xpc.NewDictionary()
	m.SetString("name", "Grace")
	c.SendMessageWithReply(m, q, func(o xpc.Object) {
		defer close(answered)
		switch o := o.(type) {
		case *xpc.Dictionary:
			fmt.Println(o.GetString("greeting"))
		case *xpc.Error:
			fmt.Println("no reply:", o)
		}
	})
	<-answered

	end(c, listener)
	// Output: hello, Grace
}

func ExampleConnection_SendMessageWithReplySync_timeout() {
	listener, endpoint := serve(func(_ *xpc.Connection, m *xpc.Dictionary) {
		m.Retain() // kept for ever, never answered: do not do this
	})
	c := connect(endpoint)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()

	_, err := c.SendMessageWithReplySync(ctx, xpc.NewDictionary())
	fmt.Println(err) // XPC has no timeouts of its own; the context is one

	end(c, listener)
	// Output: context deadline exceeded
}

func ExampleConnection_Send() {
	listener, endpoint := serve(greet)
	c := connect(endpoint)
	m := xpc.NewDictionary()
	m.SetData("block", make([]byte, 64<<10))

	// SendMessage would queue all of it at once; Send waits for room.
	for range 100 {
		if err := c.Send(context.Background(), m); err != nil {
			fmt.Println(err)
			return
		}
	}
	fmt.Println("sent")

	end(c, listener)
	err := c.Send(context.Background(), m)
	fmt.Println(errors.Is(err, xpc.ErrConnectionInvalid), errors.Is(err, xpc.ErrCanceled))
	// Output:
	// sent
	// true true
}

func ExampleConnection_SendBarrier() {
	listener, endpoint := serve(greet)
	c := connect(endpoint)

	// Pacing (R155): at most one large message is held here; the next is made when
	// the one before has left.
	left := make(chan struct{})
	for i := range 3 {
		m := xpc.NewDictionary()
		m.SetData("frame", make([]byte, 1<<20))
		c.SendMessage(m)
		c.SendBarrier(func() { left <- struct{}{} })
		<-left
		fmt.Println("frame", i, "has left")
	}

	end(c, listener)
	// Output:
	// frame 0 has left
	// frame 1 has left
	// frame 2 has left
}

func ExampleConnection_Suspend() {
	got := make(chan string, 1)
	listener, endpoint := serve(func(_ *xpc.Connection, m *xpc.Dictionary) { got <- m.GetString("name") })
	c := connect(endpoint)
	c.Suspend()
	m := xpc.NewDictionary()
	m.SetString("name", "later")
	c.SendMessage(m) // waits
	fmt.Println(len(got))
	c.Resume()
	fmt.Println(<-got)

	end(c, listener)
	// Output:
	// 0
	// later
}

func ExampleConnection_SetFinalizer() {
	c := xpc.NewConnection("", nil)
	c.SetEventHandler(func(xpc.Object) { fmt.Println("invalid") })
	c.SetContext("my state")
	c.SetFinalizer(func(state any) { fmt.Println("done with", state) })
	c.Activate()
	c.Cancel()
	<-c.Done()
	// Output:
	// invalid
	// done with my state
}

func ExampleConnectionError() {
	listener, endpoint := serve(func(*xpc.Connection, *xpc.Dictionary) {}) // never answers
	c := connect(endpoint)

	_, err := c.SendMessageWithReplySync(context.Background(), xpc.NewDictionary())
	var ce *xpc.ConnectionError
	if errors.As(err, &ce) {
		fmt.Println(ce.Event == xpc.ErrConnectionInterrupted) // the connection is still usable
		fmt.Println(errors.Is(err, xpc.ErrDropped))
	}
	fmt.Println(err)

	end(c, listener)
	// Output:
	// true
	// true
	// xpc: Connection interrupted: the peer dropped the request without a reply
}

func ExampleDictionary_CreateReply() {
	late := make(chan *xpc.Dictionary, 1)
	listener, endpoint := serve(func(_ *xpc.Connection, m *xpc.Dictionary) {
		late <- m // not retained: the message ends when this handler returns
	})
	c := connect(endpoint)
	_, err := c.SendMessageWithReplySync(context.Background(), xpc.NewDictionary())
	fmt.Println("the sender was told:", errors.Is(err, xpc.ErrDropped))
	fmt.Println("no reply any more:", (<-late).CreateReply() == nil)

	end(c, listener)
	// Output:
	// the sender was told: true
	// no reply any more: true
}

func ExampleDictionary_Retain() {
	work := make(chan *xpc.Dictionary, 1)
	listener, endpoint := serve(func(_ *xpc.Connection, m *xpc.Dictionary) {
		work <- m.Retain() // answered later, elsewhere
	})
	go func() {
		m := <-work
		defer m.Release()
		reply := m.CreateReply()
		reply.SetString("greeting", "sorry for the wait")
		reply.RemoteConnection().SendMessage(reply)
	}()
	c := connect(endpoint)
	reply, err := c.SendMessageWithReplySync(context.Background(), xpc.NewDictionary())
	fmt.Println(reply.GetString("greeting"), err)

	end(c, listener)
	// Output: sorry for the wait <nil>
}

func ExampleEndpoint() {
	private, endpoint := serve(greet)
	public, door := serve(func(peer *xpc.Connection, m *xpc.Dictionary) {
		reply := m.CreateReply()
		reply.Set("endpoint", endpoint) // whoever asks gets a way to the private listener
		peer.SendMessage(reply)
	})
	c := connect(door)
	reply, err := c.SendMessageWithReplySync(context.Background(), xpc.NewDictionary())
	if err != nil {
		fmt.Println(err)
		return
	}
	direct := reply.CreateConnection("endpoint")
	direct.SetEventHandler(func(xpc.Object) {})
	direct.Activate()
	m := xpc.NewDictionary()
	m.SetString("name", "Alan")
	answer, err := direct.SendMessageWithReplySync(context.Background(), m)
	fmt.Println(answer.GetString("greeting"), err)

	end(direct, c, public, private)
	// Output: hello, Alan <nil>
}

func ExampleQueue() {
	q := xpc.NewQueue("log") // serial: blocks run one after another, in order
	done := make(chan struct{})
	for i := range 3 {
		q.Async(func() { fmt.Println("block", i) })
	}
	q.Async(func() { close(done) })
	<-done
	// Output:
	// block 0
	// block 1
	// block 2
}

func ExampleHandler() {
	var h xpc.Handler = func(event xpc.Object) {
		switch event := event.(type) {
		case *xpc.Dictionary:
			fmt.Println("a message from", event.GetString("name"))
		case *xpc.Connection:
			fmt.Println("a new peer, on a listener")
		case *xpc.Error:
			fmt.Println("an event:", event)
		}
	}
	m := xpc.NewDictionary()
	m.SetString("name", "Ada")
	h(m)
	h(xpc.ErrConnectionInterrupted)
	// Output:
	// a message from Ada
	// an event: Connection interrupted
}

func ExampleConnectionHandler() {
	var serve xpc.ConnectionHandler = func(peer *xpc.Connection) {
		peer.SetEventHandler(func(xpc.Object) {})
		peer.Activate() // or peer.Cancel(), to reject it
	}
	listener := xpc.NewConnection("", nil)
	listener.SetEventHandler(func(event xpc.Object) {
		if peer, ok := event.(*xpc.Connection); ok {
			serve(peer)
		}
	})
	listener.Activate()
	end(listener)
	fmt.Println(listener.InvalidationReason())
	// Output: the connection was cancelled
}

func ExampleFinalizer() {
	var release xpc.Finalizer = func(context any) { context.(*os.File).Close() }
	f, err := os.Open(os.DevNull)
	if err != nil {
		fmt.Println(err)
		return
	}
	c := xpc.NewConnection("", nil)
	c.SetEventHandler(func(xpc.Object) {})
	c.SetContext(f)
	c.SetFinalizer(release)
	end(c)
	_, err = f.Stat()
	fmt.Println(errors.Is(err, os.ErrClosed))
	// Output: true
}

func ExampleMachServiceFlags() {
	// A program that its job's MachServices name serves it so; clients leave the flag out.
	listener := xpc.NewMachServiceConnection("com.example.greeter", nil, xpc.MachServiceListener)
	fmt.Println(listener.Name())
	listener.SetEventHandler(func(xpc.Object) {})
	end(listener)
	// Output: com.example.greeter
}

// A service that goes on working after its handler has returned says so: a job with
// EnableTransactions is not ended before it has.
func ExampleTransactionBegin() {
	saved := make(chan string)
	handler := func(o xpc.Object) {
		m, ok := o.(*xpc.Dictionary)
		if !ok {
			return // ErrTerminationImminent needs no answer: the last TransactionEnd is it
		}
		note := m.GetString("note")
		xpc.TransactionBegin()
		go func() {
			defer xpc.TransactionEnd()
			saved <- note
		}()
	}
	m := xpc.NewDictionary()
	m.SetString("note", "buy milk")
	handler(m)
	fmt.Println(<-saved)
	// Output: buy milk
}

func ExamplePeerRequirement() {
	signed, err := xpc.NewPeerCodeSigningRequirement(`anchor apple generic and certificate leaf[subject.OU] = "EXAMPLE123"`)
	fmt.Println(signed, err)
	_, err = xpc.NewPeerCodeSigningRequirement(`identifer "com.example.tool"`)
	fmt.Println(err != nil)
	// Output:
	// anchor apple generic and certificate leaf[subject.OU] = "EXAMPLE123" <nil>
	// true
}

func ExamplePeerRequirementError() {
	listener := xpc.NewConnection("", nil)
	listener.SetEventHandler(func(xpc.Object) {})
	listener.Activate()
	client := xpc.NewConnectionFromEndpoint(xpc.NewEndpoint(listener))
	client.SetEventHandler(func(xpc.Object) {})
	if err := client.SetPeerCodeSigningRequirement("uid 4000000000"); err != nil {
		panic(err)
	}
	client.Activate()
	_, err := client.SendMessageWithReplySync(context.Background(), xpc.NewDictionary())
	var unmet *xpc.PeerRequirementError
	fmt.Println(errors.Is(err, xpc.ErrPeerCodeSigningRequirement), errors.As(err, &unmet), unmet.Mismatch.Clause)
	client.Cancel()
	listener.Cancel()
	<-client.Done()
	<-listener.Done()
	// Output: true true uid 4000000000
}

// everybodyIsSigned is an attester for tests.
type everybodyIsSigned struct{}

func (everybodyIsSigned) Attest(_ context.Context, p xpc.Process) (*xpc.Attestation, error) {
	return &xpc.Attestation{
		Facts: &requirement.Facts{Credentials: p.Credentials, Assurance: requirement.Granted, Code: &requirement.Code{Identifier: "com.example.tool"}},
		Check: func() error { return nil },
	}, nil
}

func ExampleAttester() {
	listener := xpc.NewConnection("", nil)
	listener.SetAttester(everybodyIsSigned{})
	fmt.Println(listener.SetPeerCodeSigningRequirement(`identifier "com.example.tool"`))
	listener.SetEventHandler(func(xpc.Object) {})
	listener.Activate()
	listener.Cancel()
	<-listener.Done()
	// Output: <nil>
}

func ExampleProcess() {
	p := xpc.Process{Credentials: credentials.Unknown(), Handle: -1}
	fmt.Println(p.Credentials, p.Handle)
	// Output: pid unknown uid unknown gid unknown -1
}

func ExampleAttestation() {
	a := xpc.Attestation{Facts: &requirement.Facts{Credentials: credentials.Unknown(), Why: "nobody has signed it"}}
	fmt.Println(a.Facts.Code == nil, a.Facts.Why)
	// Output: true nobody has signed it
}
