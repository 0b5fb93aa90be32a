// Command service replies to each request with its own content.
package main

import (
	"bufio"
	"os"
	"strings"

	"github.com/openxpc/openxpc/xpc"
)

func main() {
	xpc.Main(func(peer *xpc.Connection) {
		peer.SetEventHandler(func(event xpc.Object) {
			request, _ := event.(*xpc.Dictionary)
			if reply := request.CreateReply(); reply != nil { // nil: no reply is wanted, or the event is an error
				for key, value := range request.All() {
					reply.Set(key, value)
				}
				if file := os.NewFile(uintptr(request.DupFD("file")), "file"); file != nil {
					line, _ := bufio.NewReader(file).ReadString('\n')
					reply.SetString("line", strings.NewReplacer("\n", "", "\x00", "").Replace(line))
					reply.Delete("file")
					file.Close()
				}
				peer.SendMessage(reply)
			}
		})
		peer.Activate()
	})
}
