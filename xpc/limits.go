package xpc

import (
	"fmt"
	"math"
	"time"

	"github.com/openxpc/openxpc/xpc/wire"
)

// Limits bounds what a peer can make this process hold, and what this process
// may queue for a peer. A zero or negative field means its default, so the zero
// Limits are the defaults. Apple documents no limits (R158).
//
// A message that breaks a limit is never truncated: the sender gets a
// [*LimitError] and nothing leaves; a receiver that finds one cancels the
// connection, and its invalidation reason names the limit.
type Limits struct {
	// MaxMessageSize is the size of a message's body in bytes, sent or
	// received. Default 64 MiB; more than 2 GiB - 1 counts as that.
	MaxMessageSize int

	// MaxDepth is how deep containers nest, the message itself being the first
	// level. Default 64; more than 4,096 counts as that.
	MaxDepth int

	// MaxElements is how many values a message holds: itself, and the values of
	// all its containers. A received value takes up to 150 bytes of memory
	// beside the body, so the default of 262,144 keeps the objects of one
	// message below the largest message.
	MaxElements int

	// MaxDescriptors is how many descriptors and endpoints a message carries.
	// Default 253, which no system exceeds; more counts as that.
	MaxDescriptors int

	// SharedDataFrom is from how many bytes on data travels as memory that the
	// receiver maps; shorter data is written to the socket. Default 128 KiB, where
	// both cost the same; more than MaxMessageSize means as little as possible.
	SharedDataFrom int

	// MaxSharedSize is how many bytes of shared data and shared memory a message
	// carries beside its body. Default 4 GiB, on 32-bit systems 256 MiB - 1.
	MaxSharedSize int

	// MaxPendingReplies is how many requests of a connection may wait for their
	// reply at one time. Default 65,536.
	MaxPendingReplies int

	// MaxQueuedBytes is how much a connection keeps for a peer that does not
	// read, in bytes of frames. What a message shares counts too, with at most
	// half of the limit. Default 128 MiB, so that one message of the largest size
	// always fits.
	MaxQueuedBytes int

	// MaxUnreadReplies is how many replies may wait for a peer that does not read
	// them, and MaxUnreadReplyBytes how many bytes, whatever else is queued counted
	// too. Beyond either no more of that peer's requests are read until what waits
	// has left, unless this side waits for replies of the peer's itself. The limits
	// are soft: requests that were read already are answered. Default 1,024 and 1 MiB.
	MaxUnreadReplies    int
	MaxUnreadReplyBytes int

	// UnreadReplyPatience is how long a peer with so many unread replies may take
	// nothing at all of them; then the connection is cancelled. Default 30 s. Who
	// waits for a reply reads, so this ends nobody who follows the protocol, only who
	// is stopped.
	UnreadReplyPatience time.Duration

	// MaxSilentPeers is how many clients of one user a listener keeps that have not
	// sent a message yet. One more is turned away: it gets ErrConnectionInterrupted
	// with a cause that names the limit. Default: as many as there are descriptors
	// for, because whoever finds a listener back after a loss is silent too (R124).
	MaxSilentPeers int

	// MaxReceivedMessages is how many messages a connection reads ahead while its
	// handlers are busy or it is suspended. Default 1,024.
	MaxReceivedMessages int

	// MaxReceivedBytes is how much a connection reads ahead while its handlers
	// are busy or it is suspended, in bytes. What a peer sends in few bytes and
	// is kept in many is counted as such: each message takes 512 bytes beside
	// its body, each value 96 and each descriptor 32 KiB; what it shares counts
	// too, with at most this limit. The limit is soft: a
	// message that began to arrive below it is read to its end. Default 16 MiB.
	MaxReceivedBytes int
}

// What is counted of a message that waits for its handler, beside its body.
const (
	messageCost    = 512
	valueCost      = 96
	descriptorCost = 32 << 10
)

const (
	mostMessageSize = math.MaxInt32
	mostDepth       = 4096
	maxSharedSize   = min(4<<30, math.MaxInt/8) // by default
)

// withDefaults fills in what is zero and cuts what is above what can be.
func (l Limits) withDefaults() Limits {
	fill(&l.MaxMessageSize, 64<<20, mostMessageSize)
	fill(&l.MaxDepth, wire.DefaultDepth, mostDepth)
	fill(&l.MaxElements, wire.DefaultElements, math.MaxInt32)
	fill(&l.MaxDescriptors, wire.MaxDescriptors, wire.MaxDescriptors)
	fill(&l.SharedDataFrom, sharedDataFrom, math.MaxInt)
	fill(&l.MaxSharedSize, maxSharedSize, math.MaxInt)
	fill(&l.MaxPendingReplies, 65536, math.MaxInt32)
	fill(&l.MaxQueuedBytes, 128<<20, math.MaxInt)
	fill(&l.MaxUnreadReplies, 1024, math.MaxInt32)
	fill(&l.MaxUnreadReplyBytes, 1<<20, math.MaxInt)
	fill(&l.UnreadReplyPatience, 30*time.Second, math.MaxInt64)
	fill(&l.MaxSilentPeers, math.MaxInt32, math.MaxInt32)
	fill(&l.MaxReceivedMessages, 1024, math.MaxInt32)
	fill(&l.MaxReceivedBytes, 16<<20, math.MaxInt)
	return l
}

func fill[T ~int | ~int64](field *T, standard, most T) {
	if *field <= 0 {
		*field = standard
	}
	*field = min(*field, most)
}

// LimitError says that a message to be sent is above one of the [Limits]. Nothing
// of the message left, and the connection is as usable as before.
type LimitError struct {
	Limit string // name of the field of Limits
	Max   int    // what it allows
}

// Error names the limit, its value and the remedy.
func (e *LimitError) Error() string {
	return fmt.Sprintf("xpc: the message exceeds Limits.%s (%d): send less, or raise the limit on both sides with SetLimits",
		e.Limit, e.Max)
}
