package main

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// A registry that is restarted hangs up on those it has not answered. Who only asked
// need not know; what was ordered may have been carried out, and is not ordered twice.
func TestAQuestionOutlivesARestart(t *testing.T) {
	for op, want := range map[string]error{
		bootstrap.OpList:      nil,
		bootstrap.OpKickstart: xpc.ErrConnectionInterrupted,
	} {
		var asked atomic.Int64
		l := xpc.NewConnection("", nil)
		l.SetEventHandler(func(o xpc.Object) {
			p, ok := o.(*xpc.Connection)
			if !ok {
				return
			}
			p.SetEventHandler(func(o xpc.Object) {
				m, ok := o.(*xpc.Dictionary)
				switch {
				case !ok:
				case asked.Add(1) == 1:
					p.Cancel()
				default:
					p.SendMessage(m.CreateReply())
				}
			})
			p.Activate()
		})
		l.Activate()
		c := xpc.NewConnectionFromEndpoint(xpc.NewEndpoint(l))
		c.SetEventHandler(func(xpc.Object) {})
		c.Activate()
		if _, err := askOn(t.Context(), c, request(op)); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", op, err, want)
		}
		hangUp(c)
		hangUp(l)
	}
}
