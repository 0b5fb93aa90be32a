// Package transport moves frames between two processes: bytes and descriptors,
// in order, whole or not at all. It knows nothing of XPC.
//
// # Types
//
// A [Conn] is one end of a connection, over a Unix stream socket ([NewSocket],
// [Dial], [Listener]) or in memory ([Pipe]). A [Frame] is what it moves. A
// [Receiver] is told what arrived. A [Waiter] is a caller that lends its
// goroutine while it waits. A [Descriptor] owns a file descriptor.
//
// # Who reads, delivers
//
// At any moment at most one goroutine holds the reading role of a Conn. It reads
// a frame, hands it to the Receiver and, for as long as nobody else needs the
// role, runs the Receiver's work itself: a message is never handed to another
// goroutine on its way. The role passes on when a caller waits for its reply
// ([Conn.Wait]) or when the work takes longer than about a millisecond, so user
// code cannot hide a reply or the end of the connection. A connection on which
// nothing happens is parked with the poller and holds no goroutine, no thread and
// no buffer. The rules are in role.go, pure, and their tests search all states.
//
// # Who writes, writes for all
//
// [Conn.Append] fixes the order and does no I/O; [Conn.Flush] writes what has
// gathered, unless somebody is writing already: then that goroutine does it.
// Frames appended by a Receiver while more frames wait in the read buffer leave
// together, before the reader blocks.
//
// # Guarantees
//
// Frames arrive in the order of Append, each once, with its own descriptors. A
// frame cut short by the end of the connection is not delivered. Sizes and counts
// that a peer claims are checked before memory is spent on them.
package transport
