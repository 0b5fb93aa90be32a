// Package lifecycle decides what a connection does. It is pure: ids and events go
// in, effects come out; there is no clock, lock, goroutine, I/O or payload here,
// so its tests search every reachable state.
//
//	Inactive -Activate-> Looking -LookedUp-> Ready -Send-> Dialing -Dialed-> Open
//	   Open, Dialing -Lost, DialFailed-> Ready          (told by INTERRUPTED)
//	   Dialing -Unfit-> Ready                           (calls end with Unqualified)
//	   Open -Lost-> Probing -Dialed-> Open              (endpoints: is its listener alive?)
//	   every state -Cancel, Gone, LookUpFailed-> Invalid (terminal, told by INVALID)
//
// An accepted peer is born with its socket: Inactive -Activate-> Open, and losing
// the socket makes it Invalid. A listener is Open while it listens. An epoch is
// one socket's life; every dial begins the next one.
//
// The caller holds its lock around Step and carries the effects out in order.
//
// Properties, searched in search_test.go; testdata tells the rules by example:
//
//	P1 Each call completes exactly once, unless its caller forgot it.
//	P2 At most one event handler runs at a time, and none begins while the connection is suspended or inactive.
//	P3 INVALID is delivered once, last, after a running handler has returned; after Cancel nothing else is.
//	P4 An event of an old epoch has no effect but to free what it brought.
//	P5 Within an epoch messages are written in the order of Send; none is written twice.
//	P6 INTERRUPTED never reaches an accepted peer; where it is delivered, the unwinding it announces came first.
//	P7 Each message handed in is written or discarded, each one received is run or dropped: exactly one of the two. Each socket is closed once.
//	P8 Barriers run once, one at a time, after all earlier sends are written or discarded, also after Cancel; nothing is written while one runs.
package lifecycle
