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
// A [Connection] is made by name ([NewMachServiceConnection], [NewConnection]),
// from an [Endpoint] ([NewConnectionFromEndpoint]) or from a socket that was
// handed over ([NewConnectionFromListener], [NewConnectionFromSocket]). It gets
// its handler by SetEventHandler, and does nothing until Activate. A listener's
// handler receives a new Connection for every client; every other handler
// receives messages, and the error objects [ErrConnectionInterrupted] (the peer
// is gone, the connection is usable: the next message is sent to its successor)
// and [ErrConnectionInvalid] (the last event). Handlers run on a [Queue], and
// those of one connection never overlap. Messages arrive in the order they were
// sent, each at most once; what was not sent when the peer went is dropped, never
// sent a second time. A request ends exactly once: with its reply or an error.
//
// Nothing blocks but SendMessageWithReplySync and Send, which take a context.
// A connection lives until it is invalid: Cancel one that is not needed any more.
//
// # Services
//
// A process that the registry launched for one name serves it by [Main]; any
// other listens with [MachServiceListener] or, anonymously, with NewConnection("")
// and [NewEndpoint]. Each client is a Connection of its own, to be activated or
// cancelled. A reply is made with CreateReply while the handler runs, or later
// if the message was retained; a request that is let go of without one is told
// to its sender.
//
// A job whose file says EnableTransactions is not ended in the middle of its work.
// Messages count as such by themselves, and what goes on after them is put between
// [TransactionBegin] and [TransactionEnd]. When it is to end while it is busy its
// peers get [ErrTerminationImminent], no message is delivered any more, and the
// last transaction takes the process with it.
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
// is refused as a whole, by a [*LimitError] or by cancelling the connection; it is
// never truncated. Errors of synchronous calls are of type [*ConnectionError].
//
// # Misuse
//
// Where Apple's library ends the process because a program breaks the rules of
// the API, this one panics with Apple's words: "XPC API Misuse: ...".
//
// # Goroutines
//
// Connections, endpoints, queues, descriptors and errors may be used by any
// number of goroutines; arrays and dictionaries by any number that only read. An
// idle connection or queue has no goroutine and no thread.
//
// # Names
//
// Names are Apple's, in Go's spelling: xpc_dictionary_set_string is
// (*Dictionary).SetString, XPC_TYPE_STRING is [TypeString]. Every declaration
// names its original, and the rules (R37) of docs/semantics.md that it keeps.
// docs/differences.md says where and why this package is not Apple's.
package xpc
