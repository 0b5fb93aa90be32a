// Package credentials says who is at the other end of a Unix socket.
//
// Its one type is [Credentials]: process id, effective user and group id, and the
// supplementary groups (a [GroupSet]), as the kernel recorded them. There are two sources, and they answer different
// questions:
//
//   - [FromSocket] tells who connected (or who called listen): the kernel takes
//     the note once and never changes it (R196). A socket that a process
//     inherited, or was handed, still names the process that connected it.
//   - [ParseCredentials] tells who sent one message, on systems where the kernel
//     attaches that to messages; [EnableReceive] asks for it and
//     [AppendCredentials] attaches this process's own effective ids.
//
// # Which system gives what
//
//	           FromSocket          pid           groups         per message   process handle
//	linux      SO_PEERCRED         yes           SO_PEERGROUPS  yes           PeerPidfd
//	freebsd    LOCAL_PEERCRED      13.0 and up   at most 16     no            no
//	dragonfly  LOCAL_PEERCRED      no (0)        no             no            no
//	openbsd    SO_PEERCRED         yes           no             no            no
//	netbsd     LOCAL_PEEREID       yes           no             no            no
//	darwin     LOCAL_PEERCRED      LOCAL_PEERPID at most 16     no            no
//
// On Linux [SecurityLabel] asks the security module (SO_PEERSEC).
//
// What a kernel cannot say is the error [ErrUnsupported], never a zero value
// that looks like root.
//
// # Limitations
//
// Process ids are used again (R197): never let one decide what a peer may do.
// On Linux [PeerPidfd] gives a handle that cannot change its meaning, and [PinPeer] one
// that also notices when the process executes another program; elsewhere only the
// user and group ids are facts to decide by.
//
// All functions may be called from any goroutine. None keeps a descriptor that
// it was given, and none closes one.
//
// Apple's names: xpc_connection_get_pid, get_euid, get_egid and get_asid
// (R195 to R200) are answered from here.
package credentials
