package main

import (
	"context"
	"net"

	"github.com/containerd/ttrpc"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/openxpc/openxpc/integration/bench/internal/echo"
)

var ttrpcPeer = &peer{
	key: "ttrpc", name: "ttrpc", note: "protobuf; one-way messages are a client's stream; messages end at 4 MiB",
	serve: serveTTRPC,
	dial: func(addr string) (caller, error) {
		conn, err := net.Dial("unix", addr)
		if err != nil {
			return nil, err
		}
		return &ttrpcCaller{c: ttrpc.NewClient(conn)}, nil
	},
}

// echoService and its methods, as ttrpc and gRPC name them.
const (
	echoService = "bench.Echo"
	echoMethod  = "Call"
	sinkMethod  = "Sink"
)

func serveTTRPC(addr string, ready func()) error {
	s, err := ttrpc.NewServer()
	if err != nil {
		return err
	}
	s.RegisterService(echoService, &ttrpc.ServiceDesc{
		Methods: map[string]ttrpc.Method{echoMethod: func(_ context.Context, unmarshal func(any) error) (any, error) {
			var m wrapperspb.BytesValue
			err := unmarshal(&m)
			m.Value = echo.Reply(m.Value)
			return &m, err
		}},
		Streams: map[string]ttrpc.Stream{sinkMethod: {StreamingClient: true, Handler: sinkTTRPC}},
	})
	l, err := net.Listen("unix", addr)
	if err != nil {
		return err
	}
	ready()
	return s.Serve(context.Background(), l)
}

func sinkTTRPC(_ context.Context, stream ttrpc.StreamServer) (any, error) {
	var m wrapperspb.BytesValue
	for {
		if err := stream.RecvMsg(&m); err != nil {
			return nil, err
		}
		echo.Sink(1)
	}
}

type ttrpcCaller struct {
	c    *ttrpc.Client
	sink ttrpc.ClientStream // opened by the first Send
}

func (t *ttrpcCaller) Call(p []byte) ([]byte, error) {
	var reply wrapperspb.BytesValue
	err := t.c.Call(context.Background(), echoService, echoMethod, &wrapperspb.BytesValue{Value: p}, &reply)
	return reply.Value, err
}

func (t *ttrpcCaller) Send(p []byte) (err error) {
	if t.sink == nil {
		desc := &ttrpc.StreamDesc{StreamingClient: true}
		if t.sink, err = t.c.NewStream(context.Background(), desc, echoService, sinkMethod, nil); err != nil {
			return err
		}
	}
	return t.sink.SendMsg(&wrapperspb.BytesValue{Value: p})
}

func (t *ttrpcCaller) Close() error { return t.c.Close() }
