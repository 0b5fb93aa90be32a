// Command service is a privileged helper: root's, for one program only. It answers the
// client beside it, if that is signed and was installed with its group, and nobody else.
package main

import (
	"log"
	"os"
	"time"

	"github.com/openxpc/openxpc/xpc"
)

const (
	name   = "com.example.privileged"
	client = `identifier "com.example.privileged.client" and anchor trusted`
)

func main() {
	listener := xpc.NewMachServiceConnection(name, nil, xpc.MachServiceListener)
	if err := listener.SetPeerCodeSigningRequirement(client); err != nil {
		log.Fatal(err)
	}
	listener.SetEventHandler(func(o xpc.Object) {
		peer, ok := o.(*xpc.Connection)
		if !ok {
			log.Fatalf("%v: %s", o, listener.InvalidationReason())
		}
		peer.SetEventHandler(func(o xpc.Object) { answer(peer, o) })
		peer.Activate()
	})
	listener.Activate()
	logRefusals(listener)
}

// answer does what only root may: here, to say so.
func answer(peer *xpc.Connection, o xpc.Object) {
	request, ok := o.(*xpc.Dictionary)
	if !ok {
		return
	}
	if reply := request.CreateReply(); reply != nil {
		reply.SetInt64("uid", int64(os.Geteuid()))
		peer.SendMessage(reply)
	}
}

// logRefusals says why somebody was refused; who is refused learns only that.
func logRefusals(listener *xpc.Connection) {
	var told uint64
	for range time.Tick(100 * time.Millisecond) {
		if n, why := listener.Rejections(); n > told {
			log.Printf("refused %d times, the last: %v", n-told, why)
			told = n
		}
	}
}
