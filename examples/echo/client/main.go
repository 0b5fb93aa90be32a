// Command client asks the echo service once and prints the reply.
package main

import (
	"context"
	"fmt"

	"github.com/openxpc/openxpc/xpc"
)

func main() {
	conn := xpc.NewMachServiceConnection("com.example.echo", nil, 0)
	conn.SetEventHandler(func(event xpc.Object) { fmt.Println("event:", event) })
	conn.Activate()
	request := xpc.NewDictionary()
	request.SetString("greeting", "hello")
	fmt.Println(conn.SendMessageWithReplySync(context.Background(), request))
}
