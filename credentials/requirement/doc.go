// Package requirement says what must be true of a process before it is listened to.
//
// [Facts] is what is known of a process: its credentials, how well they are known
// ([Assurance]) and, if a valid signature was found, its [Code]. This package finds
// out nothing itself: it is pure, and knows no socket, file or clock.
//
// Any function may be called from any goroutine; nothing here is changed after it was made.
package requirement
