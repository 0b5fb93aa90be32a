package main

import (
	"context"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/openxpc/openxpc/integration/bench/internal/echo"
)

var grpcPeer = &peer{
	key: "grpc", name: "grpc-go", note: "protobuf over HTTP/2; one-way messages are a client's stream; message limit raised",
	serve: serveGRPC,
	dial:  dialGRPC,
}

const (
	grpcLimit = 80 << 20
	grpcEcho  = "/" + echoService + "/" + echoMethod
	grpcSink  = "/" + echoService + "/" + sinkMethod
)

func serveGRPC(addr string, ready func()) error {
	s := grpc.NewServer(grpc.MaxRecvMsgSize(grpcLimit), grpc.MaxSendMsgSize(grpcLimit))
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: echoService,
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: echoMethod, Handler: echoGRPC}},
		Streams:     []grpc.StreamDesc{{StreamName: sinkMethod, Handler: sinkGRPC, ClientStreams: true}},
	}, struct{}{})
	l, err := net.Listen("unix", addr)
	if err != nil {
		return err
	}
	ready()
	return s.Serve(l)
}

func echoGRPC(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	var m wrapperspb.BytesValue
	err := decode(&m)
	m.Value = echo.Reply(m.Value)
	return &m, err
}

func sinkGRPC(_ any, stream grpc.ServerStream) error {
	var m wrapperspb.BytesValue
	for {
		if err := stream.RecvMsg(&m); err != nil {
			return err
		}
		echo.Sink(1)
	}
}

type grpcCaller struct {
	c    *grpc.ClientConn
	sink grpc.ClientStream // opened by the first Send
}

func dialGRPC(addr string) (caller, error) {
	c, err := grpc.NewClient("unix://"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(grpcLimit), grpc.MaxCallSendMsgSize(grpcLimit)))
	return &grpcCaller{c: c}, err
}

func (g *grpcCaller) Call(p []byte) ([]byte, error) {
	var reply wrapperspb.BytesValue
	err := g.c.Invoke(context.Background(), grpcEcho, &wrapperspb.BytesValue{Value: p}, &reply)
	return reply.Value, err
}

func (g *grpcCaller) Send(p []byte) (err error) {
	if g.sink == nil {
		if g.sink, err = g.c.NewStream(context.Background(), &grpc.StreamDesc{ClientStreams: true}, grpcSink); err != nil {
			return err
		}
	}
	return g.sink.SendMsg(&wrapperspb.BytesValue{Value: p})
}

func (g *grpcCaller) Close() error { return g.c.Close() }
