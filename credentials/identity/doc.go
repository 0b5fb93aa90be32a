// Package identity finds out what can be known of a process at the other end of a
// Unix socket, and how well it is known.
//
// An [Identifier] answers with a [Peer]: the requirement.Facts, and on Linux a hold on
// the process, so that the facts can be held against it again at each message. What
// cannot be found out lowers the assurance and is named in Facts.Why; nothing that
// fails raises it.
//
// What the facts say is of the process as it was between two looks at the same image.
// Bytes that it wrote before are somebody else's, perhaps: who wants to know whose
// they are sends the process a challenge after the look, and checks the Peer again
// when the answer has come (docs/identity.md). Package xpc does both.
//
// Linux 6.5 and later only. Elsewhere the facts are the credentials.
package identity
