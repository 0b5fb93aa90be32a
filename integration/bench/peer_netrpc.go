package main

import (
	"net"
	"net/rpc"

	"github.com/openxpc/openxpc/integration/bench/internal/echo"
)

var netRPC = &peer{
	key: "netrpc", name: "net/rpc", note: "gob; no one-way messages",
	serve: func(addr string, ready func()) error {
		s := rpc.NewServer()
		if err := s.RegisterName("Echo", rpcEcho{}); err != nil {
			return err
		}
		l, err := net.Listen("unix", addr)
		if err != nil {
			return err
		}
		ready()
		s.Accept(l)
		return nil
	},
	dial: func(addr string) (caller, error) {
		c, err := rpc.Dial("unix", addr)
		return rpcCaller{c}, err
	},
}

type rpcEcho struct{}

// Call is the method that clients call.
func (rpcEcho) Call(request []byte, reply *[]byte) error {
	*reply = echo.Reply(request)
	return nil
}

type rpcCaller struct{ c *rpc.Client }

func (r rpcCaller) Call(p []byte) (reply []byte, err error) {
	err = r.c.Call("Echo.Call", p, &reply)
	return reply, err
}

func (r rpcCaller) Close() error { return r.c.Close() }
