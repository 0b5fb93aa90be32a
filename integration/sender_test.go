package integration_test

import (
	"context"
	"os"
	"strconv"
	"sync"
	"testing"

	figures "github.com/openxpc/openxpc/integration/soak"
	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// lateReader looks at messages only when many others have come, also from others.
var lateReader = helper("late-reader", func() {
	var mu sync.Mutex
	var held []*xpc.Dictionary
	var seen, wrong int64
	look := func() {
		for _, m := range held {
			seen++
			if m.Sender().PID != int(m.GetInt64("pid")) || m.RemoteConnection().PID() != m.Sender().PID {
				wrong++
			}
		}
		held = held[:0]
	}
	l := xpc.NewMachServiceConnection(os.Getenv(bootstrap.EnvServiceName), nil, xpc.MachServiceListener)
	l.SetEventHandler(func(o xpc.Object) {
		peer, ok := o.(*xpc.Connection)
		if !ok {
			return
		}
		peer.SetEventHandler(func(o xpc.Object) {
			m, ok := o.(*xpc.Dictionary)
			if !ok {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if held = append(held, m); len(held) > 256 {
				look()
			}
			if r := m.CreateReply(); r != nil {
				look()
				r.SetInt64("seen", seen)
				r.SetInt64("wrong", wrong)
				peer.SendMessage(r)
			}
		})
		peer.Activate()
	})
	l.Activate()
	<-l.Done()
})

// speaker says so often who it is.
var speaker = helper("speaker", func() {
	many, _ := strconv.Atoi(helperArgument())
	c := xpc.NewMachServiceConnection(serviceName, nil, 0)
	c.SetEventHandler(func(xpc.Object) {})
	c.Activate()
	mine := func() *xpc.Dictionary {
		m := xpc.NewDictionary()
		m.SetInt64("pid", int64(os.Getpid()))
		return m
	}
	for range many {
		if err := c.Send(context.Background(), mine()); err != nil {
			say("%v", err)
			os.Exit(1)
		}
	}
	if _, err := c.SendMessageWithReplySync(context.Background(), mine()); err != nil {
		say("%v", err)
		os.Exit(1)
	}
})

// A message's sender is who wrote it, whenever it is looked at and whoever has written
// to other connections meanwhile.
func TestEachMessageHasItsSender(t *testing.T) {
	const peers = 8
	many := figures.Times(500, 1_000_000/peers)
	w := begin(t, job{label: "service", helper: lateReader, names: []string{serviceName}})
	var clients []*process
	for range peers {
		clients = append(clients, w.run(speaker, strconv.Itoa(many)))
	}
	for _, p := range clients {
		if code := p.code(); code != 0 {
			t.Errorf("a client ended with %d", code)
		}
	}
	c := xpc.NewMachServiceConnection(serviceName, nil, 0)
	c.SetEventHandler(func(xpc.Object) {})
	c.Activate()
	defer func() {
		c.Cancel()
		<-c.Done()
	}()
	m := xpc.NewDictionary()
	m.SetInt64("pid", int64(os.Getpid()))
	r, err := c.SendMessageWithReplySync(t.Context(), m) // in a full run the world's patience is over
	must(t, err)
	if seen, want := r.GetInt64("seen"), int64(peers*(many+1)+1); seen != want || r.GetInt64("wrong") != 0 {
		t.Errorf("%d messages were seen, %d of them with another sender; want %d, and 0", seen, r.GetInt64("wrong"), want)
	}
}
