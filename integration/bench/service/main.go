// Command service is the echo service that the comparison measures, launched by
// xpcd. With an argument it prints one line and ends: what launching it costs
// when nothing but fork, exec and the start of the Go runtime is paid for.
package main

import (
	"fmt"
	"os"

	"github.com/openxpc/openxpc/integration/bench/internal/echo"
	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

func main() {
	if len(os.Args) > 1 {
		fmt.Println("ready")
		return
	}
	l := xpc.NewMachServiceConnection(os.Getenv(bootstrap.EnvServiceName), nil, xpc.MachServiceListener)
	l.SetLimits(xpc.Limits{MaxMessageSize: 80 << 20, MaxQueuedBytes: 256 << 20})
	if text := os.Getenv("BENCH_REQUIREMENT"); text != "" {
		if err := l.SetPeerCodeSigningRequirement(text); err != nil {
			fmt.Fprintln(os.Stderr, "service:", err)
			os.Exit(1)
		}
	}
	l.SetEventHandler(func(event xpc.Object) {
		if peer, ok := event.(*xpc.Connection); ok {
			serve(peer)
		}
	})
	l.Activate()
	<-l.Done()
	fmt.Fprintln(os.Stderr, "service:", l.InvalidationReason())
	os.Exit(1)
}

func serve(peer *xpc.Connection) {
	peer.SetEventHandler(func(event xpc.Object) {
		request, _ := event.(*xpc.Dictionary)
		if request == nil {
			return
		}
		reply := request.CreateReply()
		if reply == nil {
			echo.Sink(1)
			return
		}
		answer(request, reply)
		peer.SendMessage(reply)
	})
	peer.Activate()
}

// answer gives the payload back, or the eight fields of a request that has fields.
func answer(request, reply *xpc.Dictionary) {
	if d, ok := request.Get("p").(*xpc.Data); ok {
		if d.Len() == len(echo.Stat) {
			d = xpc.NewData(echo.Reply(d.Bytes()))
		}
		reply.Set("p", d)
		return
	}
	if d := request.GetData("map"); d != nil {
		reply.SetInt64("first", int64(d[0]))
		reply.SetInt64("last", int64(d[len(d)-1]))
		return
	}
	if d, ok := request.Get("read").(*xpc.Data); ok {
		page := make([]byte, os.Getpagesize())
		n := d.CopyBytes(0, page)
		reply.SetInt64("first", int64(page[0]))
		n = d.CopyBytes(d.Len()-n, page)
		reply.SetInt64("last", int64(page[n-1]))
		return
	}
	reply.SetString("operation", request.GetString("operation"))
	reply.SetString("path", request.GetString("path"))
	reply.SetInt64("offset", request.GetInt64("offset"))
	reply.SetUint64("size", request.GetUint64("size"))
	reply.SetBool("create", request.GetBool("create"))
	reply.SetDouble("timeout", request.GetDouble("timeout"))
	reply.SetDate("since", request.GetDate("since"))
	reply.SetUUID("id", request.GetUUID("id"))
}
