// Command service replies to each request with its own content.
package main

import "github.com/openxpc/openxpc/xpc"

func main() {
	xpc.Main(func(peer *xpc.Connection) {
		peer.SetEventHandler(func(event xpc.Object) {
			request, _ := event.(*xpc.Dictionary)
			if reply := request.CreateReply(); reply != nil { // nil: no reply is wanted, or the event is an error
				for key, value := range request.All() {
					reply.Set(key, value)
				}
				box, _ := request.Get("file").(*xpc.FD)
				if file, err := box.File(); err == nil { // a descriptor: reply with what it reads
					content := make([]byte, 80)
					n, _ := file.Read(content)
					reply.SetData("file", content[:n])
					file.Close()
				}
				peer.SendMessage(reply)
			}
		})
		peer.Activate()
	})
}
