package main

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// dial makes an activated connection to a name; close it with hangUp.
func dial(name string) *xpc.Connection {
	c := xpc.NewMachServiceConnection(name, nil, 0)
	c.SetEventHandler(func(xpc.Object) {})
	c.Activate()
	return c
}

// hangUp cancels and waits until nothing of the connection is left.
func hangUp(c *xpc.Connection) {
	c.Cancel()
	<-c.Done()
}

// ask sends one request to the registry. Its "no" comes back as a registryError.
func ask(ctx context.Context, request *xpc.Dictionary) (*xpc.Dictionary, error) {
	c := dial(bootstrap.RegistryName)
	defer hangUp(c)
	return askOn(ctx, c, request)
}

// mostAsked bounds how often a question is put, as the registry may be restarted under it.
const mostAsked = 5

func askOn(ctx context.Context, c *xpc.Connection, request *xpc.Dictionary) (*xpc.Dictionary, error) {
	reply, err := c.SendMessageWithReplySync(ctx, request)
	for n := 1; n < mostAsked && errors.Is(err, xpc.ErrConnectionInterrupted) && reads(request); n++ {
		reply, err = c.SendMessageWithReplySync(ctx, request)
	}
	if err != nil {
		return nil, err
	}
	if code := reply.GetInt64(bootstrap.KeyError); code != 0 {
		return nil, &registryError{code: bootstrap.Code(code), reason: reasonOf(reply, code)}
	}
	return reply, nil
}

// reads says of a request that it changes nothing, so that it may be made once more.
func reads(request *xpc.Dictionary) bool {
	switch request.GetString(bootstrap.KeyOp) {
	case bootstrap.OpLookUp, bootstrap.OpList, bootstrap.OpPrint, bootstrap.OpPrintDisabled, bootstrap.OpStatus, bootstrap.OpPing:
		return true
	}
	return false
}

func reasonOf(reply *xpc.Dictionary, code int64) string {
	if reason := reply.GetString(bootstrap.KeyReason); reason != "" {
		return reason
	}
	return fmt.Sprintf("the registry says error %d; xpcctl error %d explains it", code, code)
}

// request makes a request of an operation and pairs of string keys and values.
func request(op string, pairs ...string) *xpc.Dictionary {
	d := xpc.NewDictionary()
	d.SetString(bootstrap.KeyOp, op)
	for i := 0; i+1 < len(pairs); i += 2 {
		d.SetString(pairs[i], pairs[i+1])
	}
	return d
}

// dictionaries ranges over the dictionaries of an array; nil gives none.
func dictionaries(a *xpc.Array) iter.Seq[*xpc.Dictionary] {
	return func(yield func(*xpc.Dictionary) bool) {
		if a == nil {
			return
		}
		for _, o := range a.All() {
			if d, ok := o.(*xpc.Dictionary); ok && !yield(d) {
				return
			}
		}
	}
}

// texts lists the strings of an array; nil gives none.
func texts(a *xpc.Array) []string {
	var list []string
	if a == nil {
		return nil
	}
	for _, o := range a.All() {
		if s, ok := o.(xpc.String); ok {
			list = append(list, string(s))
		}
	}
	return list
}
