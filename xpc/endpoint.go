package xpc

import (
	"errors"
	"fmt"

	"github.com/openxpc/openxpc/transport"
)

// Endpoint leads to a listener (xpc_endpoint_t): inert data that can be sent in
// messages and relayed through third processes; whoever receives it can make any
// number of connections from it (R108, R161). It does not keep its listener
// alive (R160). On Linux an Endpoint is a capability: a process that was never
// given one cannot dial its listener. Any number of goroutines may use one.
type Endpoint struct {
	d    *transport.Descriptor // where there is O_PATH: the socket's file
	path string                // elsewhere
}

// NewEndpoint makes an endpoint of a listener (xpc_endpoint_create). The listener
// may be inactive; connections made meanwhile wait. It is misuse to give another
// kind of connection. An endpoint of a listener that could not be made, or was
// cancelled, leads nowhere.
func NewEndpoint(c *Connection) *Endpoint {
	if c == nil || c.listening == nil {
		misuse("xpc_endpoint_create of a connection that is not a listener")
	}
	return c.listening.endpoint()
}

// NewEndpointFromFD makes an endpoint of a listening socket's file: fd is the file
// opened with O_PATH (Linux; ownership passes), or -1, and then path is where the
// socket is bound. It is the registry's door.
func NewEndpointFromFD(fd int, path string) *Endpoint {
	if fd < 0 {
		return &Endpoint{path: path}
	}
	return &Endpoint{d: transport.NewDescriptor(fd)}
}

// Close gives up what the endpoint holds, which the collector does otherwise.
// Connections made from it go on; new ones are refused. Messages that were sent
// with it carry an endpoint of their own. On a nil Endpoint it does nothing.
func (e *Endpoint) Close() {
	if e != nil && e.d != nil {
		e.d.Close()
	}
}

// Type is TypeEndpoint.
func (e *Endpoint) Type() Type { return TypeEndpoint }

// dialNow connects if that needs no waiting, else it returns nil.
func (e *Endpoint) dialNow(o transport.Options) *transport.Conn {
	if e.d == nil {
		return nil
	}
	conn, err := transport.DialDescriptorNow(e.d, o)
	if err != nil {
		return nil
	}
	return conn
}

func (e *Endpoint) dial(o transport.Options) (*transport.Conn, error) {
	switch {
	case e.d != nil:
		conn, err := transport.DialDescriptor(e.d, o)
		if errors.Is(err, transport.ErrDescriptorClosed) {
			err = fmt.Errorf("%w: the endpoint was closed", transport.ErrRefused)
		}
		return conn, err
	case e.path != "":
		return transport.Dial(e.path, o)
	}
	return nil, transport.ErrRefused
}
