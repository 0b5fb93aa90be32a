// Package requirement says what must be true of a process before it is listened to.
//
// [Facts] is what is known of a process: its credentials, how well they are known
// ([Assurance]) and, if a valid signature was found, its [Code]. A [Requirement] is a
// question to facts; it is written in Apple's code signing requirement language
// ([Parse]), given as the dictionary of a lightweight code requirement
// ([LightweightCode]), or made by a constructor ([UID], [Unit], [And]), all of which
// can be mixed and have one text. The answer is a [Verdict], and a [Mismatch] names the
// clause that failed. This package finds out nothing itself: it is pure, and knows no
// socket, file or clock.
//
// What is not known is neither true nor false but Indeterminate, and so is its
// opposite: not identifier "x" lets nobody pass whose signature is not known. A clause
// that this system can never judge (platform = 2) is always Indeterminate, and
// [Requirement.Supported] says of a requirement that nobody can meet because of one.
// Texts are bounded by [MaxText] and [MaxDepth].
//
// Any function may be called from any goroutine; nothing here is changed after it was made.
package requirement
