// Command client asks the privileged helper, and says what it answers.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/openxpc/openxpc/xpc"
)

func main() {
	c := xpc.NewMachServiceConnection("com.example.privileged", nil, 0)
	c.SetEventHandler(func(xpc.Object) {})
	c.Activate()
	defer c.Cancel()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	reply, err := c.SendMessageWithReplySync(ctx, xpc.NewDictionary())
	if err != nil {
		fmt.Println("refused:", err)
		os.Exit(1)
	}
	fmt.Printf("user %d was answered by user %d\n", os.Getuid(), reply.GetInt64("uid"))
}
