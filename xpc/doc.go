// Package xpc is Apple's XPC programming model for every Unix: named services,
// connections with event handlers, replies, error events, endpoints.
//
// # Objects
//
// A message is a [*Dictionary], and everything in it is an [Object] of one of a
// few [Type]s. Types never turn into one another, on the wire neither: an int64
// and a uint64 of the same value are different objects. Getters do not fail;
// what is absent, or of another type, reads as a documented default.
//
//	m := xpc.NewDictionary()
//	m.SetString("greeting", "hello")
//	m.SetFD("file", int(f.Fd()))
//
// [Equal], [Copy], [Hash] and [Description] work on every object. Go collects
// what nobody refers to, so there is no retain and release, but for received
// messages: those live until their handler returns, unless retained.
//
// # Connections
//
// A [Connection] is made by name ([NewMachServiceConnection], [NewConnection])
// or from an [Endpoint] ([NewConnectionFromEndpoint]), gets its handler by
// SetEventHandler, and does nothing until Activate. A listener's handler
// receives a new Connection for every client; every other handler receives
// messages, and the error objects [ErrConnectionInterrupted] (the peer is gone,
// the connection is usable: the next message is sent to its successor) and
// [ErrConnectionInvalid] (the last event). Handlers run on a [Queue], and those
// of one connection never overlap. Messages arrive in the order they were sent,
// each at most once. A request ends exactly once: with its reply or an error.
//
// # Descriptors
//
// A descriptor that is put into a message is duplicated at once and stays the
// caller's; what is taken out of one belongs to the taker ([FD]). Descriptors of
// a message that nobody takes are closed with it.
//
// # Limits
//
// Everything a peer controls is bounded by [Limits]. A message that breaks one
// is refused as a whole.
//
// # Misuse
//
// Where Apple's library ends the process because a program breaks the rules of
// the API, this one panics with Apple's words: "XPC API Misuse: ...".
//
// # Goroutines
//
// Connections, endpoints, queues, descriptors and errors may be used by any
// number of goroutines; arrays and dictionaries by any number that only read.
//
// # Names
//
// Names are Apple's, in Go's spelling: xpc_dictionary_set_string is
// (*Dictionary).SetString, XPC_TYPE_STRING is [TypeString]. Every declaration
// names its original, and the rules (R37) of docs/semantics.md that it keeps.
package xpc
